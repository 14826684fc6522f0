package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
)

// compareCarts is the other half of R1: the copy of each live cart, line by line.
func (a *auditor) compareCarts(ctx context.Context, q querier, ids []uuid.UUID, _ bool) ([]differs, error) {
	keys := redisx.Keys{Namespace: a.Namespace}
	copies := make([]*redis.MapStringStringCmd, len(ids))
	pipe := a.Redis.Pipeline()
	for i, id := range ids {
		copies[i] = pipe.HGetAll(ctx, keys.Cart(id))
	}
	_, _ = pipe.Exec(ctx) // the errors are looked at one by one
	rows, err := readCarts(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	var found []differs
	for i, id := range ids {
		row, live := rows[id]
		err := copies[i].Err()
		switch {
		case redisx.Unavailable(err):
			return nil, fmt.Errorf("read Redis: %w", err)
		case !live:
		case err != nil:
			found = append(found, differs{Rule: "the cart's copy can be read", Key: id, Redis: err.Error(), Postgres: row})
		case spell(copies[i].Val()) != row:
			found = append(found, differs{Rule: "a cart's copy is its rows", Key: id, Redis: spell(copies[i].Val()), Postgres: row})
		}
	}
	return found, nil
}

// spell writes a cart's copy in the order in which readCarts writes its rows.
func spell(fields map[string]string) string {
	words := []string{"version " + fields["version"], "expires " + fields["expires"]}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if name != "version" && name != "expires" {
			words = append(words, name+" "+fields[name])
		}
	}
	return strings.Join(words, ", ")
}

// readCarts writes the rows of the carts that are live as the copies should be.
func readCarts(ctx context.Context, q querier, ids []uuid.UUID) (map[uuid.UUID]string, error) {
	rows, err := q.Query(ctx, `
		SELECT c.id, concat_ws(', ', 'version ' || c.turn, 'expires ' || (extract(epoch FROM c.expires_at) * 1000)::bigint,
			string_agg(l.product_id || ' ' || l.quantity, ', ' ORDER BY l.product_id))
		FROM cart.carts c LEFT JOIN cart.lines l ON l.cart_id = c.id
		WHERE c.id = ANY($1) AND c.state = 'OPEN' AND c.expires_at > $2 GROUP BY c.id`, ids, clock.Now())
	if err != nil {
		return nil, fmt.Errorf("read carts: %w", err)
	}
	carts := make(map[uuid.UUID]string, len(ids))
	var id uuid.UUID
	var row string
	if _, err := pgx.ForEachRow(rows, []any{&id, &row}, func() error {
		carts[id] = row
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read carts: %w", err)
	}
	return carts, nil
}
