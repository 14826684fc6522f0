package archive

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast-checkout/holdfast/internal/failpoint"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// part is a table in which an order has rows, and the column that says whose they are.
type part struct{ Table, Column string }

// view is what customers are shown. It lies apart in the document, since it is read alone.
var view = part{"orders.view", "id"}

// parts are all other tables in which an order has rows of its own, in an order in which they can be deleted.
var parts = []part{
	{"orders.lines", "order_id"},
	{"inventory.reservation_lines", "order_id"},
	{"inventory.reservations", "order_id"},
	{"inventory.movements", "order_id"},
	{"payment.attempts", "order_id"},
	{"payment.acts", "order_id"},
	{"payment.transfers", "order_id"},
	{"payment.payments", "order_id"},
	{"orders.orders", "id"},
}

// move archives those of some orders that may go, and that nobody else is at.
func move(ctx context.Context, db *postgres.DB, ids []uuid.UUID, before time.Time) (moved int, err error) {
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		moved = 0
		going, err := lock(ctx, tx, ids, before)
		if err != nil || len(going) == 0 {
			return err
		}
		if err := write(ctx, tx, going); err != nil {
			return err
		}
		failpoint.Reach("archiving")
		moved = len(going)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("move %d orders: %w", len(ids), err)
	}
	failpoint.Reach("archived")
	return moved, nil
}

// lock keeps others from orders until the transaction ends, and judges them again as they are now. An order that somebody is at is
// left for another time.
func lock(ctx context.Context, tx pgx.Tx, ids []uuid.UUID, before time.Time) (going []uuid.UUID, err error) {
	rows, err := tx.Query(ctx, `SELECT id FROM orders.orders WHERE id = ANY ($1) ORDER BY id FOR UPDATE SKIP LOCKED`, ids)
	if err != nil {
		return nil, fmt.Errorf("lock orders: %w", err)
	}
	mine, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("lock orders: %w", err)
	}
	for _, table := range []string{"inventory.reservations", "payment.payments"} {
		if _, err := tx.Exec(ctx, `SELECT FROM `+table+` WHERE order_id = ANY ($1) ORDER BY order_id FOR UPDATE`, mine); err != nil {
			return nil, fmt.Errorf("lock %s: %w", table, err)
		}
	}
	list, err := judge(ctx, tx, mine, before)
	for _, o := range list {
		if o.Why == "" {
			going = append(going, o.ID)
		}
	}
	return going, err
}

// write makes the documents of orders, keeps what stays of them, and deletes their rows: all of these are in the documents, or nothing
// is done.
func write(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) error {
	batch := &pgx.Batch{}
	batch.Queue(`SET LOCAL holdfast.archiving = 'on'`)
	kept := make([]int64, len(parts))
	into := make([]any, len(parts))
	for i := range parts {
		into[i] = &kept[i]
	}
	batch.Queue(documentsSQL(), ids).QueryRow(func(row pgx.Row) error { return row.Scan(into...) })
	batch.Queue(knownSQL, ids)
	batch.Queue(moneySQL, ids)
	batch.Queue(carriedSQL, ids)
	batch.Queue(monthsSQL(1), ids)
	for i, p := range append(parts, view) {
		batch.Queue(`DELETE FROM `+p.Table+` WHERE `+p.Column+` = ANY ($1)`, ids).Exec(func(tag pgconn.CommandTag) error {
			want := int64(len(ids))
			if i < len(parts) {
				want = kept[i]
			}
			if tag.RowsAffected() != want {
				return fmt.Errorf("%d rows of %s are in the documents and %d in the table", want, p.Table, tag.RowsAffected())
			}
			return nil
		})
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("write the documents of %d orders: %w", len(ids), err)
	}
	return nil
}

// documentsSQL makes a document of each order and answers how many rows of each part are in them.
func documentsSQL() string {
	var rows, counts []string
	for _, p := range parts {
		rows = append(rows, fmt.Sprintf(`'%[1]s', coalesce((SELECT jsonb_agg(to_jsonb(t)) FROM %[1]s t WHERE t.%[2]s = o.id), '[]')`, p.Table, p.Column))
		counts = append(counts, fmt.Sprintf(`coalesce(sum(jsonb_array_length(rows->'%s')), 0)::bigint`, p.Table))
	}
	return `
		WITH put AS (
			INSERT INTO archive.orders (id, month, customer, view, rows)
			SELECT o.id, ` + endMonth + `, o.customer, (SELECT to_jsonb(v) FROM orders.view v WHERE v.id = o.id), jsonb_build_object(` + strings.Join(rows, ", ") + `)
			FROM orders.orders o WHERE o.id = ANY ($1) RETURNING rows)
		SELECT ` + strings.Join(counts, ", ") + ` FROM put`
}

const knownSQL = `
	INSERT INTO orders.archived (id, customer, month) SELECT o.id, o.customer, ` + endMonth + ` FROM orders.orders o WHERE o.id = ANY ($1)`

const moneySQL = `
	INSERT INTO payment.archived (order_id, month, state, amount_minor, currency, opened_as, charge_id, refund_id, provider, account, settled)
	SELECT p.order_id, ` + endMonth + `, p.state, p.amount_minor, p.currency, p.opened_as, p.charge_id, p.refund_id, nullif(p.provider, ''), nullif(p.account, ''),
		(SELECT coalesce(a.outcome, 'refunded') FROM payment.acts a WHERE a.order_id = p.order_id AND a.act = 'settle' ORDER BY a.at DESC, a.id DESC LIMIT 1)
	FROM payment.payments p JOIN orders.orders o ON o.id = p.order_id WHERE p.order_id = ANY ($1)`

// carriedSQL adds to what products carry what the movements of orders come to.
const carriedSQL = `
	INSERT INTO inventory.carried AS c (product_id, taken, movements, chain)
	SELECT product_id, -sum(quantity), count(*), sum(inventory.link(balance - quantity, balance))
	FROM inventory.movements WHERE order_id = ANY ($1) GROUP BY product_id ORDER BY product_id
	ON CONFLICT (product_id) DO UPDATE SET taken = c.taken + excluded.taken, movements = c.movements + excluded.movements, chain = c.chain + excluded.chain`

// monthsSQL adds to the months' proofs, or (-1) takes away, what stays of orders and their documents.
func monthsSQL(sign int) string {
	return fmt.Sprintf(`
		INSERT INTO archive.months AS m (month, orders, movements, payments, known, money, documents)
		SELECT a.month, count(*), sum(jsonb_array_length(d.rows->'inventory.movements')), count(p.order_id),
			sum(`+knownDigest+`), coalesce(sum(`+moneyDigest+`), 0), sum(`+documentDigest+`)
		FROM orders.archived a JOIN archive.orders d ON (d.id, d.month) = (a.id, a.month) LEFT JOIN payment.archived p ON p.order_id = a.id
		WHERE a.id = ANY ($1) GROUP BY a.month
		ON CONFLICT (month) DO UPDATE SET orders = m.orders + %[1]d * excluded.orders, movements = m.movements + %[1]d * excluded.movements,
			payments = m.payments + %[1]d * excluded.payments, known = m.known + %[1]d * excluded.known, money = m.money + %[1]d * excluded.money,
			documents = m.documents + %[1]d * excluded.documents, last_at = now()`, sign)
}

// Digests of what stays of an order (a), of its payment (p) and of its document (d). Columns that are null do not count, so that a
// later version may add some.
const (
	knownDigest    = `archive.digest(jsonb_strip_nulls(to_jsonb(a))::text)`
	moneyDigest    = `archive.digest(jsonb_strip_nulls(to_jsonb(p))::text)`
	documentDigest = `archive.digest(d.view::text || d.rows::text)`
)
