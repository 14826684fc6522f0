package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/run"
)

// redisPage is how many products or carts are compared at once.
const redisPage = 200

// looks is how often at least a difference is looked at before it counts, and as often as the time to wait for rest allows:
// customers go on changing their carts while others are audited, a cart may expire between the two readings, and after a
// failure the reconciler may be at work.
const looks = 4

// differs is one thing on which Redis and Postgres do not agree.
type differs struct {
	Rule     string    `json:"rule"`
	Key      uuid.UUID `json:"key"`            // the product or the cart
	Hold     string    `json:"hold,omitempty"` // of the product, where it is about one of many
	Redis    string    `json:"redis"`
	Postgres string    `json:"postgres"`
}

// querier is the snapshot's transaction, or the pool when it has to be looked at again.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// compare tells on what Redis and Postgres do not agree about some products or carts; exact where that is dear and they are few.
type compare func(ctx context.Context, q querier, ids []uuid.UUID, exact bool) ([]differs, error)

// proveRedisAgrees is R1. A product that is not in Redis is no difference: it is loaded when somebody asks for it.
func proveRedisAgrees(ctx context.Context, a *auditor, v *Verdict) error {
	products := `SELECT product_id FROM inventory.stock WHERE product_id > $1 ORDER BY product_id LIMIT $2`
	carts := `SELECT id FROM cart.carts WHERE state = 'OPEN' AND expires_at > now() AND id > $1 ORDER BY id LIMIT $2`
	for _, one := range []struct {
		page string
		look compare
	}{{products, a.compareProducts}, {carts, a.compareCarts}} {
		if err := a.eachPage(ctx, v, one.page, one.look); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			v.skip(err.Error())
			return nil
		}
	}
	return nil
}

// eachPage walks over all ids by key and enters what differs and goes on to differ.
func (a *auditor) eachPage(ctx context.Context, v *Verdict, sql string, look compare) error {
	shown := map[string]int{} // by rule
	for last := uuid.Nil; ; {
		ids, err := column(ctx, a.snap.tx, sql, last, redisPage)
		if err != nil || len(ids) == 0 {
			return err
		}
		last = ids[len(ids)-1]
		v.Checked += int64(len(ids))
		found, err := a.lookTwice(ctx, ids, look)
		if err != nil {
			return err
		}
		for _, d := range found {
			if shown[d.Rule]++; shown[d.Rule] <= firstRows {
				v.breaks(d.row())
			}
		}
	}
}

// lookTwice compares in the snapshot, and what differs again as it is now, until it agrees or has been looked at for long. What counts
// is what has differed at every look: of a product that is in use some hold or other is always on its way.
func (a *auditor) lookTwice(ctx context.Context, ids []uuid.UUID, look compare) ([]differs, error) {
	found, err := look(ctx, a.snap.tx, ids, false)
	for again := 1; err == nil && len(found) > 0 && (again < looks || time.Now().Before(a.deadline)); again++ {
		if err := run.Pause(ctx, time.Duration(min(again, 10))*100*time.Millisecond); err != nil {
			return nil, err
		}
		seen := make(map[differs]bool, len(found))
		for _, d := range found {
			seen[d.same()] = true
		}
		found, err = look(ctx, a.Postgres, keysOf(found), true)
		found = slices.DeleteFunc(found, func(d differs) bool { return !seen[d.same()] })
	}
	return found, err
}

// same is what makes two differences one: an entry that was written between the looks is another one, by another call.
func (d differs) same() differs {
	same := differs{Rule: d.Rule, Key: d.Key, Hold: d.Hold}
	if d.Hold != "" {
		same.Redis = d.Redis
	}
	return same
}

func keysOf(found []differs) []uuid.UUID {
	ids := make([]uuid.UUID, 0, len(found))
	for _, d := range found {
		if len(ids) == 0 || ids[len(ids)-1] != d.Key {
			ids = append(ids, d.Key)
		}
	}
	return ids
}

func (d differs) row() Row {
	row, err := json.Marshal(d)
	if err != nil {
		panic(fmt.Sprintf("audit: encode difference: %v", err)) // strings and an id
	}
	return row
}

func column(ctx context.Context, q querier, sql string, args ...any) ([]uuid.UUID, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}
