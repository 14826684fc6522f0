package cart

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// readOpen reads the open carts of customers with their lines, in their order, and Postgres' clock. A customer without one has
// a cart that is zero but for the customer. Each is looked up by the indexes: a join would be planned as a walk through all carts.
func readOpen(ctx context.Context, db querier, customers []string) ([]moment, error) {
	rows, err := db.Query(ctx, `
SELECT n.at, `+cartColumns+`
FROM unnest($1::text[]) WITH ORDINALITY AS n (customer, at)
LEFT JOIN LATERAL (SELECT * FROM cart.carts WHERE customer = n.customer AND state = 'OPEN' LIMIT 1) AS c ON true
LEFT JOIN LATERAL (SELECT * FROM cart.lines WHERE cart_id = c.id OFFSET 0) AS l ON true
ORDER BY n.at, l.added_at, l.product_id`, customers)
	carts := make([]moment, len(customers))
	for i, customer := range customers {
		carts[i].cart.Customer = customer
	}
	err = scanCarts(rows, err, carts)
	if err != nil {
		return nil, fmt.Errorf("read carts of %d customers: %w", len(customers), err)
	}
	return carts, nil
}

// moment is a cart as it was at a moment on Postgres' clock.
type moment struct {
	cart     Cart
	now      time.Time
	products map[uuid.UUID]Product // where they were asked for; perhaps others, too, and not to be changed
}

// readByID reads a cart in whatever state. A cart that is not there is zero but for the id.
func readByID(ctx context.Context, db querier, id uuid.UUID) (Cart, time.Time, error) {
	rows, err := db.Query(ctx, `
SELECT 1, `+cartColumns+`
FROM (VALUES (1)) AS one
LEFT JOIN cart.carts c ON c.id = $1
LEFT JOIN cart.lines l ON l.cart_id = c.id
ORDER BY l.added_at, l.product_id`, id)
	found := []moment{{cart: Cart{ID: id}}}
	if err := scanCarts(rows, err, found); err != nil {
		return found[0].cart, found[0].now, fmt.Errorf("read cart %s: %w", id, err)
	}
	return found[0].cart, found[0].now, nil
}

// scanCarts reads rows of a cart's place, counted from 1, and cartColumns: one of a cart without lines, else one a line.
func scanCarts(rows pgx.Rows, err error, into []moment) error {
	if err != nil {
		return err
	}
	var at int
	var now time.Time
	var id, productID *uuid.UUID
	var customer, state, currency *string
	var version, turn, quantity, price *int64
	var first, expires *time.Time
	var held *bool
	columns := []any{&at, &now, &id, &customer, &state, &version, &turn, &first, &expires, &productID, &quantity, &price, &currency, &held}
	_, err = pgx.ForEachRow(rows, columns, func() error {
		into[at-1].now = now
		if id == nil {
			return nil
		}
		c := &into[at-1].cart
		c.ID, c.Customer, c.State, c.Version, c.Turn = *id, *customer, State(*state), *version, *turn
		c.FirstLineAt, c.ExpiresAt = value(first), value(expires)
		if productID != nil {
			c.Lines = append(c.Lines, Line{ProductID: *productID, Quantity: *quantity, UnitPriceMinor: *price, Currency: *currency, Held: *held})
		}
		return nil
	})
	return err
}

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// saveCarts writes what it finds at the expected turn and says what that was. Carts are locked in one order, so that batches of
// two instances do not wait for each other in a circle.
const saveCarts = `
WITH n AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::timestamptz[])
        AS n (id, customer, version, turn, first_line_at, expires_at)
), mine AS (
    SELECT c.id FROM cart.carts c WHERE c.id = ANY ($1::uuid[]) ORDER BY c.id FOR NO KEY UPDATE
), altered AS (
    UPDATE cart.carts c SET version = n.version, turn = c.turn + 1, first_line_at = n.first_line_at, expires_at = n.expires_at, changed_at = now()
    FROM n JOIN mine USING (id) WHERE c.id = n.id AND c.id = ANY ($1::uuid[]) AND c.customer = n.customer AND c.turn = n.turn AND c.state = 'OPEN'
    RETURNING c.id, c.turn
), added AS (
    INSERT INTO cart.carts (id, customer, version, turn, first_line_at, expires_at)
    SELECT id, customer, version, 1, first_line_at, expires_at FROM n WHERE turn = 0 ORDER BY customer
    ON CONFLICT (customer) WHERE state = 'OPEN' DO NOTHING
    RETURNING id, turn
), c AS (
    SELECT id, turn FROM altered UNION ALL SELECT id, turn FROM added
), gone AS (
    DELETE FROM cart.lines l USING c, unnest($7::uuid[], $8::uuid[]) AS g (cart_id, product_id)
    WHERE g.cart_id = c.id AND l.cart_id = g.cart_id AND l.cart_id = ANY ($7::uuid[]) AND l.product_id = g.product_id
), put AS (
    INSERT INTO cart.lines (cart_id, product_id, quantity, unit_price_minor, currency, held)
    SELECT p.* FROM c JOIN unnest($9::uuid[], $10::uuid[], $11::bigint[], $12::bigint[], $13::text[], $14::boolean[])
        AS p (cart_id, product_id, quantity, unit_price_minor, currency, held) ON p.cart_id = c.id
    ON CONFLICT (cart_id, product_id) DO UPDATE
    SET quantity = excluded.quantity, unit_price_minor = excluded.unit_price_minor, currency = excluded.currency, held = excluded.held
)
SELECT id, turn FROM c`

// save writes the changes of many carts in one statement and gives each cart's new turn. It is 0, and nothing of that cart is
// written, if the cart is not open any more or not at the turn that its change was worked out from.
func save(ctx context.Context, db querier, changes []Change) ([]int64, error) {
	rows, err := db.Query(ctx, saveCarts, columnsOf(firstOfEach(changes))...)
	if err != nil {
		return nil, fmt.Errorf("save %d carts: %w", len(changes), err)
	}
	turns := make(map[uuid.UUID]int64, len(changes))
	var id uuid.UUID
	var turn int64
	_, err = pgx.ForEachRow(rows, []any{&id, &turn}, func() error {
		turns[id] = turn
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("save %d carts: %w", len(changes), err)
	}
	saved := make([]int64, len(changes))
	for i, ch := range changes {
		saved[i] = turns[ch.After.ID]
		delete(turns, ch.After.ID) // of two changes of a cart the second was not written
	}
	return saved, nil
}

// firstOfEach leaves one change for each cart.
func firstOfEach(changes []Change) []Change {
	seen := make(map[uuid.UUID]bool, len(changes))
	return slices.DeleteFunc(slices.Clone(changes), func(ch Change) bool {
		again := seen[ch.After.ID]
		seen[ch.After.ID] = true
		return again
	})
}

// columnsOf gives the arguments of saveCarts.
func columnsOf(changes []Change) []any {
	var ids, goneOf, gone, putOf, products []uuid.UUID
	var customers, currencies []string
	var versions, turns, quantities, prices []int64
	var firsts, expiries []*time.Time
	var held []bool
	for _, ch := range changes {
		c := ch.After
		ids, customers = append(ids, c.ID), append(customers, c.Customer)
		versions, turns = append(versions, c.Version), append(turns, ch.Before.Turn)
		firsts, expiries = append(firsts, orNull(c.FirstLineAt)), append(expiries, orNull(c.ExpiresAt))
		put, removed := ch.written()
		for _, p := range removed {
			goneOf, gone = append(goneOf, c.ID), append(gone, p)
		}
		for _, l := range put {
			putOf, products, quantities = append(putOf, c.ID), append(products, l.ProductID), append(quantities, l.Quantity)
			prices, currencies, held = append(prices, l.UnitPriceMinor), append(currencies, l.Currency), append(held, l.Held)
		}
	}
	return []any{ids, customers, versions, turns, firsts, expiries, goneOf, gone, putOf, products, quantities, prices, currencies, held}
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
