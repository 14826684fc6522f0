package cart

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// querier is a pool or a transaction.
type querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

const cartColumns = `now(), c.id, c.customer, c.state, c.version, c.turn, c.first_line_at, c.expires_at,
       l.product_id, l.quantity, l.unit_price_minor, l.currency, l.held`

// readOpen reads a customer's open cart with its lines, and Postgres' clock. Without one the cart is zero but for the customer.
func readOpen(ctx context.Context, db querier, customer string) (Cart, time.Time, error) {
	rows, err := db.Query(ctx, `
SELECT `+cartColumns+`
FROM (VALUES (1)) AS one
LEFT JOIN cart.carts c ON c.customer = $1 AND c.state = 'OPEN'
LEFT JOIN cart.lines l ON l.cart_id = c.id
ORDER BY l.added_at, l.product_id`, customer)
	c, now, err := scanCart(rows, err)
	if err != nil {
		return c, now, fmt.Errorf("read cart of customer: %w", err)
	}
	c.Customer = customer
	return c, now, nil
}

// readByID reads a cart in whatever state. A cart that is not there is zero but for the id.
func readByID(ctx context.Context, db querier, id uuid.UUID) (Cart, time.Time, error) {
	rows, err := db.Query(ctx, `
SELECT `+cartColumns+`
FROM (VALUES (1)) AS one
LEFT JOIN cart.carts c ON c.id = $1
LEFT JOIN cart.lines l ON l.cart_id = c.id
ORDER BY l.added_at, l.product_id`, id)
	c, now, err := scanCart(rows, err)
	if err != nil {
		return c, now, fmt.Errorf("read cart %s: %w", id, err)
	}
	c.ID = id
	return c, now, nil
}

// scanCart reads rows of cartColumns: one of a cart without lines, else one a line.
func scanCart(rows pgx.Rows, err error) (c Cart, now time.Time, _ error) {
	if err != nil {
		return c, now, err
	}
	var id, productID *uuid.UUID
	var customer, state, currency *string
	var version, turn, quantity, price *int64
	var first, expires *time.Time
	var held *bool
	into := []any{&now, &id, &customer, &state, &version, &turn, &first, &expires, &productID, &quantity, &price, &currency, &held}
	_, err = pgx.ForEachRow(rows, into, func() error {
		if id == nil {
			return nil
		}
		c.ID, c.Customer, c.State, c.Version, c.Turn = *id, *customer, State(*state), *version, *turn
		c.FirstLineAt, c.ExpiresAt = value(first), value(expires)
		if productID != nil {
			c.Lines = append(c.Lines, Line{ProductID: *productID, Quantity: *quantity, UnitPriceMinor: *price, Currency: *currency, Held: *held})
		}
		return nil
	})
	return c, now, err
}

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

const (
	addCart = `
INSERT INTO cart.carts (id, customer, version, turn, first_line_at, expires_at) VALUES ($1, $2, $3, $4 + 1, $5, $6)
ON CONFLICT (customer) WHERE state = 'OPEN' DO NOTHING
RETURNING id, turn`
	alterCart = `
UPDATE cart.carts SET version = $3, turn = turn + 1, first_line_at = $5, expires_at = $6, changed_at = now()
WHERE id = $1 AND customer = $2 AND turn = $4 AND state = 'OPEN'
RETURNING id, turn`
	andLines = `
), gone AS (
    DELETE FROM cart.lines l USING c WHERE l.cart_id = c.id AND l.product_id = ANY ($7::uuid[])
), put AS (
    INSERT INTO cart.lines (cart_id, product_id, quantity, unit_price_minor, currency, held)
    SELECT c.id, n.* FROM c, unnest($8::uuid[], $9::bigint[], $10::bigint[], $11::text[], $12::boolean[]) AS n
    ON CONFLICT (cart_id, product_id) DO UPDATE
    SET quantity = excluded.quantity, unit_price_minor = excluded.unit_price_minor, currency = excluded.currency, held = excluded.held
)
SELECT turn FROM c`
)

// save writes a change in one statement and gives the cart's new turn. It is errTurn, and nothing is written, if the cart is
// not open any more or not at the turn that the change was worked out from.
func save(ctx context.Context, db querier, ch Change) (turn int64, err error) {
	statement := "WITH c AS (" + alterCart + andLines
	if ch.Before.Turn == 0 {
		statement = "WITH c AS (" + addCart + andLines
	}
	c := ch.After
	put, gone := ch.written()
	ids, quantities, prices := make([]uuid.UUID, len(put)), make([]int64, len(put)), make([]int64, len(put))
	currencies, held := make([]string, len(put)), make([]bool, len(put))
	for i, l := range put {
		ids[i], quantities[i], prices[i], currencies[i], held[i] = l.ProductID, l.Quantity, l.UnitPriceMinor, l.Currency, l.Held
	}
	err = db.QueryRow(ctx, statement, c.ID, c.Customer, c.Version, ch.Before.Turn, orNull(c.FirstLineAt), orNull(c.ExpiresAt),
		gone, ids, quantities, prices, currencies, held).Scan(&turn)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, errTurn
	}
	if err != nil {
		return 0, fmt.Errorf("save cart %s: %w", c.ID, err)
	}
	return turn, nil
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// nextTurn gives an open cart another turn, so that whoever has read the one before is told to begin again. It is errTurn if
// the cart is not at that turn.
func nextTurn(ctx context.Context, db querier, id uuid.UUID, turn int64) (next int64, err error) {
	err = db.QueryRow(ctx, `
UPDATE cart.carts SET turn = turn + 1, changed_at = now() WHERE id = $1 AND turn = $2 AND state = 'OPEN' RETURNING turn`,
		id, turn).Scan(&next)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, errTurn
	}
	if err != nil {
		return 0, fmt.Errorf("next turn of cart %s: %w", id, err)
	}
	return next, nil
}

// noteChange makes a cart look changed, so that the reconciler compares it.
func noteChange(ctx context.Context, db querier, id uuid.UUID) error {
	_, err := db.Exec(ctx, `UPDATE cart.carts SET changed_at = now() WHERE id = $1`, id)
	return err
}

// remember keeps the prices that were shown.
func remember(ctx context.Context, db querier, id uuid.UUID, shown []Line) error {
	ids, prices, currencies := make([]uuid.UUID, len(shown)), make([]int64, len(shown)), make([]string, len(shown))
	for i, l := range shown {
		ids[i], prices[i], currencies[i] = l.ProductID, l.UnitPriceMinor, l.Currency
	}
	_, err := db.Exec(ctx, `
UPDATE cart.lines l SET unit_price_minor = n.price, currency = n.currency
FROM unnest($2::uuid[], $3::bigint[], $4::text[]) AS n (product_id, price, currency)
WHERE l.cart_id = $1 AND l.product_id = n.product_id AND (l.unit_price_minor, l.currency) <> (n.price, n.currency)`, id, ids, prices, currencies)
	if err != nil {
		return fmt.Errorf("remember prices shown of cart %s: %w", id, err)
	}
	return nil
}

// take marks an open cart of that version as bought and says whether there was one.
func take(ctx context.Context, tx pgx.Tx, id uuid.UUID, version int64, orderID uuid.UUID) (bool, error) {
	tag, err := tx.Exec(ctx, `
UPDATE cart.carts SET state = 'BOUGHT', order_id = $3, turn = turn + 1, changed_at = now()
WHERE id = $1 AND version = $2 AND state = 'OPEN'`, id, version, orderID)
	if err != nil {
		return false, fmt.Errorf("take cart %s for order %s: %w", id, orderID, err)
	}
	return tag.RowsAffected() == 1, nil
}

// boughtLately says whether a cart of the customer was bought a moment ago.
func boughtLately(ctx context.Context, db querier, customer string) (bought bool, err error) {
	err = db.QueryRow(ctx, `
SELECT EXISTS (SELECT FROM cart.carts WHERE customer = $1 AND state = 'BOUGHT' AND changed_at > now() - $2::interval)`,
		customer, takenLately).Scan(&bought)
	if err != nil {
		return false, fmt.Errorf("look for a cart bought lately: %w", err)
	}
	return bought, nil
}
