package archive

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// What keeps an order from coming back.
var (
	ErrNotArchived = errors.New("this order is not archived")
	ErrGone        = errors.New("the order's month was dropped: restore it from its dump and attach it again first")
)

// Restore brings an archived order back as it was, so that it can be cancelled, given back or looked into like any other. Nothing is
// done about one that is not archived, or whose month is gone.
func Restore(ctx context.Context, db *postgres.DB, order uuid.UUID) error {
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		var there bool
		err := tx.QueryRow(ctx, `
			SELECT EXISTS (SELECT FROM archive.orders d WHERE (d.id, d.month) = (a.id, a.month)) FROM orders.archived a WHERE a.id = $1 FOR UPDATE`, order).
			Scan(&there)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return ErrNotArchived
		case err != nil:
			return err
		case !there:
			return ErrGone
		}
		return back(ctx, tx, []uuid.UUID{order})
	})
	if err != nil {
		return fmt.Errorf("restore order %s: %w", order, err)
	}
	return nil
}

// back writes the rows of documents again and takes away what was kept in their place.
func back(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) error {
	batch := &pgx.Batch{}
	const documents = ` FROM orders.archived a JOIN archive.orders d ON (d.id, d.month) = (a.id, a.month), `
	for i := range parts {
		p := parts[len(parts)-1-i]
		batch.Queue(`INSERT INTO `+p.Table+` SELECT t.*`+documents+
			`jsonb_populate_recordset(NULL::`+p.Table+`, d.rows->'`+p.Table+`') t WHERE a.id = ANY ($1)`, ids)
	}
	batch.Queue(`INSERT INTO orders.view SELECT t.*`+documents+`jsonb_populate_record(NULL::orders.view, d.view) t WHERE a.id = ANY ($1)`, ids)
	batch.Queue(monthsSQL(-1), ids)
	// A product that carries nothing more has no row, which also keeps it above what the next statement may leave.
	batch.Queue(`
		DELETE FROM inventory.carried c USING (SELECT product_id, count(*) AS n FROM inventory.movements WHERE order_id = ANY ($1) GROUP BY 1) m
		WHERE m.product_id = c.product_id AND m.n = c.movements`, ids)
	batch.Queue(`
		UPDATE inventory.carried c SET taken = c.taken - m.taken, movements = c.movements - m.n, chain = c.chain - m.chain
		FROM (SELECT product_id, -sum(quantity) AS taken, count(*) AS n, sum(inventory.link(balance - quantity, balance)) AS chain
		      FROM inventory.movements WHERE order_id = ANY ($1) GROUP BY product_id) m WHERE m.product_id = c.product_id`, ids)
	batch.Queue(`DELETE FROM archive.orders d USING orders.archived a WHERE (d.id, d.month) = (a.id, a.month) AND a.id = ANY ($1)`, ids)
	batch.Queue(`DELETE FROM payment.archived WHERE order_id = ANY ($1)`, ids)
	batch.Queue(`DELETE FROM orders.archived WHERE id = ANY ($1)`, ids)
	return tx.SendBatch(ctx, batch).Close()
}
