package inventory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const productColumns = `id, sku, name, description, unit_price_minor, currency, version, cut_at`

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

func selectProducts(ctx context.Context, q querier, where string, args ...any) ([]Product, error) {
	rows, err := q.Query(ctx, `SELECT `+productColumns+` FROM inventory.products `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read products: %w", err)
	}
	products, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Product])
	if err != nil {
		return nil, fmt.Errorf("read products: %w", err)
	}
	return products, nil
}

// upsertProducts writes products by sku, and gives them as they are then, in the order of their skus. A product keeps the id
// given only if it is new; a version counts on only if something changed.
func upsertProducts(ctx context.Context, tx pgx.Tx, products []NewProduct) ([]Product, error) {
	n := len(products)
	ids, skus, names, descriptions := make([]uuid.UUID, n), make([]string, n), make([]string, n), make([]string, n)
	prices, currencies := make([]int64, n), make([]string, n)
	for i, p := range products {
		ids[i], skus[i], names[i], descriptions[i], prices[i], currencies[i] = p.ID, p.SKU, p.Name, p.Description, p.UnitPriceMinor, p.Currency
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO inventory.products AS p (id, sku, name, description, unit_price_minor, currency)
		SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[])
		     AS n(id, sku, name, description, unit_price_minor, currency)
		ORDER BY sku
		ON CONFLICT (sku) DO UPDATE
		SET name = excluded.name, description = excluded.description, unit_price_minor = excluded.unit_price_minor,
		    currency = excluded.currency, version = p.version + 1, changed_at = now()
		WHERE (p.name, p.description, p.unit_price_minor, p.currency)
		      IS DISTINCT FROM (excluded.name, excluded.description, excluded.unit_price_minor, excluded.currency)`,
		ids, skus, names, descriptions, prices, currencies)
	if err != nil {
		return nil, fmt.Errorf("upsert %d products: %w", n, err)
	}
	return selectProducts(ctx, tx, `WHERE sku = ANY ($1) ORDER BY sku`, skus)
}

// openStock makes the stock rows of new products, and gives them with what their opening movements are to be written into.
func openStock(ctx context.Context, tx pgx.Tx, products []uuid.UUID) (*Books, error) {
	_, err := tx.Exec(ctx, `
		INSERT INTO inventory.stock (product_id, available, allocated)
		SELECT id, 0, 0 FROM unnest($1::uuid[]) AS n(id) ORDER BY id`, products)
	if err != nil {
		return nil, fmt.Errorf("open stock of %d products: %w", len(products), err)
	}
	rows := make([]Stock, len(products))
	for i, id := range products {
		rows[i] = Stock{ProductID: id, Version: 1}
	}
	return openBooks(rows), nil
}

// changeProduct writes all but the stock, if the version is one of those given (nil: whatever it is). It says whether it did.
func changeProduct(ctx context.Context, tx pgx.Tx, p NewProduct, versions []int64) (Product, bool, error) {
	rows, err := tx.Query(ctx, `
		UPDATE inventory.products SET sku = coalesce(nullif($2, ''), sku), name = $3, description = CASE WHEN $8 THEN description ELSE $4 END, unit_price_minor = $5, currency = $6,
		       version = version + 1, changed_at = now()
		WHERE id = $1 AND ($7::bigint[] IS NULL OR version = ANY ($7)) RETURNING `+productColumns,
		p.ID, p.SKU, p.Name, p.Description, p.UnitPriceMinor, p.Currency, versions, p.KeepDescription)
	if err != nil {
		return Product{}, false, fmt.Errorf("change product %s: %w", p.ID, err)
	}
	changed, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Product])
	if errors.Is(err, pgx.ErrNoRows) {
		return Product{}, false, nil
	}
	if err != nil {
		return Product{}, false, fmt.Errorf("change product %s: %w", p.ID, err)
	}
	return changed, true, nil
}

// txTime is the time that rows written by default in this transaction carry.
func txTime(ctx context.Context, tx pgx.Tx) (at time.Time, err error) {
	if err = tx.QueryRow(ctx, `SELECT now()`).Scan(&at); err != nil {
		return at, fmt.Errorf("time of the transaction: %w", err)
	}
	return at, nil
}

// readMovements gives a product's ledger, newest first, from before an entry on (zero: from the newest).
func readMovements(ctx context.Context, q querier, productID, before uuid.UUID, limit int) ([]Movement, error) {
	rows, err := q.Query(ctx, `
		SELECT id, product_id, kind, quantity, balance, coalesce(order_id, $3), fact_id, reason, at FROM inventory.movements
		WHERE product_id = $1 AND ($2 = $3 OR id < $2) ORDER BY id DESC LIMIT $4`, productID, before, uuid.Nil, limit)
	if err != nil {
		return nil, fmt.Errorf("movements of product %s: %w", productID, err)
	}
	movements, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Movement])
	if err != nil {
		return nil, fmt.Errorf("movements of product %s: %w", productID, err)
	}
	return movements, nil
}

// readCarried gives what the movements of a product's archived orders come to, nil if it has none.
func readCarried(ctx context.Context, q querier, productID uuid.UUID) (*carried, error) {
	rows, err := q.Query(ctx, `SELECT movements, taken FROM inventory.carried WHERE product_id = $1`, productID)
	if err != nil {
		return nil, fmt.Errorf("archived movements of product %s: %w", productID, err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByPos[carried])
	if err != nil {
		return nil, fmt.Errorf("archived movements of product %s: %w", productID, err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	return list[0], nil
}

// shelved is what the books and the owners of holds say of one product.
type shelved struct {
	available, version int64
	holds              []LiveHold
}

// decisions are the orders that the books have decided on, each with the zero id, or with a product where it is only that.
type decisions map[[2]uuid.UUID]bool

// readStock gives what the shelf ought to have of products.
func readStock(ctx context.Context, q querier, products []uuid.UUID, live []LiveHold) (map[uuid.UUID]*shelved, error) {
	stock, decided, err := readBooks(ctx, q, products, live)
	if err != nil {
		return nil, err
	}
	shelve(stock, live, decided)
	return stock, nil
}

// readBooks gives the stock of products, and which of the holds' orders the books have decided on: these hold no more. The decisions
// are read before the stock, so that units that were taken in between are counted twice rather than not at all, until the fact that
// says so is heard.
func readBooks(ctx context.Context, q querier, products []uuid.UUID, live []LiveHold) (map[uuid.UUID]*shelved, decisions, error) {
	var orders []uuid.UUID
	for _, h := range live {
		if h.OrderID != uuid.Nil {
			orders = append(orders, h.OrderID)
		}
	}
	decided := decisions{}
	stock := make(map[uuid.UUID]*shelved, len(products))
	batch := &pgx.Batch{}
	if len(orders) > 0 {
		batch.Queue(`
			SELECT order_id, $2 FROM inventory.reservations WHERE order_id = ANY ($1) AND state <> 'GATHERING'
			UNION ALL
			SELECT order_id, l.product_id FROM inventory.reservations r JOIN inventory.reservation_lines l USING (order_id)
			WHERE order_id = ANY ($1) AND r.state = 'GATHERING'`, orders, uuid.Nil).Query(func(rows pgx.Rows) error {
			var of [2]uuid.UUID
			_, err := pgx.ForEachRow(rows, []any{&of[0], &of[1]}, func() error { decided[of] = true; return nil })
			return err
		})
	}
	if len(products) > 0 {
		batch.Queue(`SELECT product_id, available, version FROM inventory.stock WHERE product_id = ANY ($1)`, products).Query(func(rows pgx.Rows) error {
			var id uuid.UUID
			var row shelved
			_, err := pgx.ForEachRow(rows, []any{&id, &row.available, &row.version}, func() error {
				stock[id] = &shelved{available: row.available, version: row.version}
				return nil
			})
			return err
		})
	}
	if batch.Len() == 0 {
		return stock, decided, nil
	}
	if err := q.SendBatch(ctx, batch).Close(); err != nil {
		return nil, nil, fmt.Errorf("read stock of %d products: %w", len(products), err)
	}
	return stock, decided, nil
}

// shelve puts live holds to their products, each once, with the later of its expiries. A hold whose order is decided, or decided
// as far as the product goes, is left out, also where it comes as its cart's.
func shelve(stock map[uuid.UUID]*shelved, live []LiveHold, decided decisions) {
	over := map[[2]uuid.UUID]bool{} // hold, and product where it is only that
	for _, h := range live {
		for _, p := range []uuid.UUID{uuid.Nil, h.ProductID} {
			if decided[[2]uuid.UUID{h.OrderID, p}] {
				over[[2]uuid.UUID{h.HoldID, p}] = true
			}
		}
	}
	at := map[[2]uuid.UUID]int{}
	for _, h := range live {
		row := stock[h.ProductID]
		if row == nil || over[[2]uuid.UUID{h.HoldID, uuid.Nil}] || over[[2]uuid.UUID{h.HoldID, h.ProductID}] || h.Quantity < 1 || h.ExpiresAt.UnixMilli() < 1 { // the last two hold nothing
			continue
		}
		key := [2]uuid.UUID{h.HoldID, h.ProductID}
		i, there := at[key]
		if !there {
			at[key], row.holds = len(row.holds), append(row.holds, h)
		} else if h.ExpiresAt.After(row.holds[i].ExpiresAt) {
			row.holds[i] = h
		}
	}
}
