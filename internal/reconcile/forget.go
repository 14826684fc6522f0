package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/lease"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
)

// adopt has a Redis forget what may be wrong, and tells it that its memory is ours again. Everything is compared soon after.
func (m *Memory) adopt(ctx context.Context, term lease.Term, s sight) error {
	began := time.Now()
	since, partly := s.since()
	epoch, keys, err := s.epoch, int64(0), error(nil)
	if partly {
		keys, err = m.forgetSince(ctx, since, s.now)
	} else {
		epoch = uuid.New()
		keys, err = m.forgetAll(ctx)
	}
	if err != nil {
		return fmt.Errorf("have Redis forget: %w", err)
	}
	if err := m.enter(ctx, term, s, epoch); err != nil {
		return err
	}
	if err := m.Redis.Del(ctx, m.epochKey()).Err(); err != nil { // so that some instance compares everything
		return fmt.Errorf("have Redis forget: %w", err)
	}
	m.Doubt()
	_, err = m.tell(ctx, s.parts, func(t told) string {
		return told{epoch: epoch.String(), beat: s.beat + 1, at: s.now, run: t.is}.String()
	})
	if s.beat == 0 && keys == 0 {
		m.Log.InfoContext(ctx, "Redis is told for the first time that its memory is ours")
		return err
	}
	m.Log.WarnContext(ctx, "Redis may have lost some of its memory and has forgotten what may be wrong", "everything", !partly, "since", since,
		"keys", keys, "seconds", time.Since(began).Seconds())
	return err
}

// since gives the moment from which on Redis may have lost what was done, or false if that is not known or long ago. It is not
// known of what was told before Postgres' clock was put back: how much was done since cannot be told by the clock.
func (s sight) since() (time.Time, bool) {
	first := s.now
	for _, t := range s.parts {
		if s.knows(t) {
			continue
		}
		if t.epoch != s.epoch.String() || t.beat > s.beat+1 || s.now.Sub(t.at) > mostLost || t.at.After(s.now.Add(time.Second)) {
			return time.Time{}, false
		}
		if t.at.Before(first) {
			first = t.at
		}
	}
	return first.Add(-lossMargin), true
}

// enter writes down what Redis is about to be told. Until it has been told it knows less, and the next look begins again.
func (m *Memory) enter(ctx context.Context, term lease.Term, s sight, epoch uuid.UUID) error {
	err := m.Postgres.InTx(ctx, func(tx pgx.Tx) error {
		if err := lease.Fence(ctx, tx, term); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `UPDATE shared.redis_memory SET epoch = $3, beat = beat + 1, at = $4 WHERE epoch = $1 AND beat = $2`, s.epoch, s.beat, epoch, s.now)
		if err == nil && tag.RowsAffected() == 0 {
			err = errors.New("somebody else told it something meanwhile")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("write down what Redis is told: %w", err)
	}
	return nil
}

// ofMemory are the kinds of key that are forgotten: all that is loaded or compared again.
var ofMemory = []string{":stock:", ":reserved:", ":holds:", ":expiry:", ":loading:", ":cart:"}

// forgetAll deletes everything that the namespace has of products and carts.
func (m *Memory) forgetAll(ctx context.Context) (deleted int64, err error) {
	p := &pass{Reconciler: m.Reconciler}
	var sum atomic.Int64 // the nodes of a cluster are scanned at once
	err = p.scan(ctx, func(keys []string) error {
		keys = slices.DeleteFunc(keys, func(key string) bool {
			rest := strings.TrimPrefix(key, m.Keys.Namespace)
			return !slices.ContainsFunc(ofMemory, func(kind string) bool { return strings.HasPrefix(rest, kind) })
		})
		sum.Add(int64(len(keys)))
		return m.unlink(ctx, keys)
	})
	return sum.Load(), err
}

// forgetSince deletes what Redis has of products and carts whose rows have changed since then.
func (m *Memory) forgetSince(ctx context.Context, from, to time.Time) (deleted int64, err error) {
	p := &pass{Reconciler: m.Reconciler, window: window{from: from, to: to}}
	for last := uuid.Nil; ; {
		ids, err := p.productsOf(ctx, last)
		if err != nil {
			return deleted, err
		}
		if len(ids) == 0 {
			break
		}
		last = ids[len(ids)-1]
		var keys []string
		for _, id := range ids {
			keys = append(keys, m.Keys.Product(id)...)
		}
		deleted += int64(len(keys))
		if err := m.unlink(ctx, keys); err != nil {
			return deleted, err
		}
	}
	err = p.changedCarts(ctx, func(ids []uuid.UUID) error {
		var keys []string
		for _, id := range ids {
			keys = append(keys, m.Keys.Cart(id))
		}
		deleted += int64(len(keys))
		return m.unlink(ctx, keys)
	})
	return deleted, err
}

// unlink deletes keys one by one, since in a cluster they are on several nodes.
func (m *Memory) unlink(ctx context.Context, keys []string) error {
	calls := make([]redisx.Call, len(keys))
	for i, key := range keys {
		calls[i] = redisx.Command("UNLINK", key)
	}
	replies, err := m.Scripts.Run(ctx, calls)
	for i := 0; err == nil && i < len(replies); i++ {
		err = replies[i].Err
	}
	return err
}

// refill loads the products that carts or orders hold units of, so that not everybody's next request has to. It goes through the
// products, page by page, and asks for each whether it is held; the orders under way are few and are read once.
func (m *Memory) refill(ctx context.Context) error {
	ordered, err := column(ctx, m.Postgres, `
		SELECT DISTINCT l.product_id FROM orders.orders o JOIN orders.lines l ON l.order_id = o.id
		WHERE o.ended_at IS NULL AND o.inventory_status = 'NOT_STARTED'`)
	if err != nil {
		return err
	}
	for last := uuid.Nil; ; {
		ids, err := column(ctx, m.Postgres, `SELECT product_id FROM inventory.stock WHERE product_id > $1 ORDER BY product_id LIMIT $2`, last, page)
		if err != nil || len(ids) == 0 {
			return err
		}
		last = ids[len(ids)-1]
		held, err := column(ctx, m.Postgres, `
			SELECT p FROM unnest($1::uuid[]) AS p WHERE p = ANY($2) OR EXISTS (
				SELECT FROM cart.lines l JOIN cart.carts c ON c.id = l.cart_id
				WHERE l.product_id = p AND l.held AND c.state = 'OPEN' AND c.expires_at > now())`, ids, ordered)
		if err != nil {
			return err
		}
		if len(held) == 0 {
			continue
		}
		if err := m.Shelf.Load(ctx, held); err != nil {
			return fmt.Errorf("load %d products: %w", len(held), err)
		}
	}
}
