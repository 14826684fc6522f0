package cart

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// What these statements pick, they find again by ARRAY: a plan that is made for any batch takes it for a tenth of the table, and
// would rather read all of that than look a few hundred ids up.

// closeExpired closes open carts that expired long ago and deletes their lines.
func closeExpired(ctx context.Context, db querier) (int64, error) {
	tag, err := db.Exec(ctx, `
WITH old AS (
    SELECT id FROM cart.carts WHERE state = 'OPEN' AND expires_at < now() - $1::interval
    ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM cart.lines WHERE cart_id = ANY (ARRAY(SELECT id FROM old))
)
UPDATE cart.carts SET state = 'DROPPED', turn = turn + 1, changed_at = now() WHERE id = ANY (ARRAY(SELECT id FROM old))`, keep, batch)
	if err != nil {
		return 0, fmt.Errorf("close expired carts: %w", err)
	}
	return tag.RowsAffected(), nil
}

// closeEmptied closes open carts that have had no lines for long: nothing of them expires. Whoever puts something in at that moment
// is at another turn, and begins again with a new cart.
func closeEmptied(ctx context.Context, db querier) (int64, error) {
	tag, err := db.Exec(ctx, `
WITH old AS (
    SELECT id FROM cart.carts WHERE state = 'OPEN' AND expires_at IS NULL AND changed_at < now() - $1::interval
    ORDER BY changed_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE cart.carts SET state = 'DROPPED', turn = turn + 1, changed_at = now() WHERE id = ANY (ARRAY(SELECT id FROM old))`, keep, batch)
	if err != nil {
		return 0, fmt.Errorf("close emptied carts: %w", err)
	}
	return tag.RowsAffected(), nil
}

// withCopies gives closed carts whose copies may still be there.
func withCopies(ctx context.Context, db querier) ([]uuid.UUID, error) {
	rows, err := db.Query(ctx, `
SELECT id FROM cart.carts WHERE state <> 'OPEN' AND tidied = 0 ORDER BY changed_at LIMIT $1`, batch)
	if err != nil {
		return nil, fmt.Errorf("find closed carts: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("find closed carts: %w", err)
	}
	return ids, nil
}

// noteDropped notes that the copies of closed carts are gone.
func noteDropped(ctx context.Context, db querier, ids []uuid.UUID) (int64, error) {
	tag, err := db.Exec(ctx, `
WITH mine AS (
    SELECT id FROM cart.carts WHERE id = ANY ($1) AND state <> 'OPEN' AND tidied = 0 ORDER BY id FOR UPDATE SKIP LOCKED
)
UPDATE cart.carts c SET tidied = 1 FROM mine WHERE c.id = mine.id`, ids)
	if err != nil {
		return 0, fmt.Errorf("note dropped copies: %w", err)
	}
	return tag.RowsAffected(), nil
}

// deleteLines deletes the lines of carts that were closed a while ago.
func deleteLines(ctx context.Context, db querier) (int64, error) {
	tag, err := db.Exec(ctx, `
WITH old AS (
    SELECT id FROM cart.carts WHERE state <> 'OPEN' AND tidied = 1 AND changed_at < now() - $1::interval
    ORDER BY changed_at LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM cart.lines WHERE cart_id = ANY (ARRAY(SELECT id FROM old))
)
UPDATE cart.carts SET tidied = 2 WHERE id = ANY (ARRAY(SELECT id FROM old))`, keepLines, batch)
	if err != nil {
		return 0, fmt.Errorf("delete lines of closed carts: %w", err)
	}
	return tag.RowsAffected(), nil
}

// deleteClosed deletes carts that were closed long ago, with lines that they should not have any more.
func deleteClosed(ctx context.Context, db querier) (int64, error) {
	tag, err := db.Exec(ctx, `
WITH old AS (
    SELECT id FROM cart.carts WHERE state <> 'OPEN' AND tidied = 2 AND changed_at < now() - $1::interval
    ORDER BY changed_at LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM cart.lines WHERE cart_id = ANY (ARRAY(SELECT id FROM old))
)
DELETE FROM cart.carts WHERE id = ANY (ARRAY(SELECT id FROM old))`, keep, batch)
	if err != nil {
		return 0, fmt.Errorf("delete closed carts: %w", err)
	}
	return tag.RowsAffected(), nil
}
