package compare

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/holdfast-checkout/holdfast/internal/run"
)

// books are the database of one server, read for what its API does not tell.
type books struct {
	admin string // URL of the database from which others are made
	name  string
	url   string
	pool  *pgxpool.Pool
}

// newBooks makes an empty database.
func newBooks(ctx context.Context, admin, namespace string) (*books, error) {
	u, err := url.Parse(admin)
	if err != nil {
		return nil, errors.New("the URL of Postgres cannot be read") // without its text: it may hold a password
	}
	b := &books{admin: admin, name: fmt.Sprintf("%s_%d", namespace, time.Now().UnixNano())}
	u.Path = "/" + b.name
	b.url = u.String()
	if err := b.onServer(ctx, "CREATE DATABASE "+pgx.Identifier{b.name}.Sanitize()); err != nil {
		return nil, err
	}
	if b.pool, err = pgxpool.New(ctx, b.url); err != nil {
		return nil, errors.Join(err, b.drop(ctx))
	}
	return b, nil
}

func (b *books) onServer(ctx context.Context, statement string, args ...any) error {
	conn, err := pgx.Connect(ctx, b.admin)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, statement, args...); err != nil {
		return fmt.Errorf("%.40s: %w", statement, err)
	}
	return nil
}

// releaseWithin is how long Postgres may take to notice that the reader of a slot has gone.
const releaseWithin = 30 * time.Second

// drop removes the database, and the replication slots that the stopped server has left in it.
func (b *books) drop(ctx context.Context) error {
	if b.pool != nil {
		b.pool.Close()
	}
	return errors.Join(b.dropSlots(ctx), b.onServer(ctx, "DROP DATABASE "+pgx.Identifier{b.name}.Sanitize()+" WITH (FORCE)"))
}

// dropSlots drops each slot as soon as nobody reads it.
func (b *books) dropSlots(ctx context.Context) error {
	for end := time.Now().Add(releaseWithin); ; {
		err := b.onServer(ctx, `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1`, b.name)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != objectInUse || time.Now().After(end) {
			return err
		}
		if err := run.Pause(ctx, looks); err != nil {
			return err
		}
	}
}

// objectInUse is the SQLSTATE of a slot that is read.
const objectInUse = "55006"

// counters only grow. Transactions are those that wrote something, of the whole server, as is the WAL.
type counters struct {
	facts, heard          int64
	transactions, wal     int64 // wal in bytes
	compensated, refunded int64 // orders
}

func (b *books) read(ctx context.Context) (c counters, err error) {
	err = b.pool.QueryRow(ctx, `
		WITH refunded AS (SELECT DISTINCT order_id FROM payment.transfers WHERE kind = 'refund'),
		     released AS (SELECT DISTINCT order_id FROM inventory.movements WHERE kind = 'release')
		SELECT (SELECT count(*) FROM shared.outbox), (SELECT count(*) FROM shared.inbox),
		       pg_snapshot_xmax(pg_current_snapshot())::text::bigint, pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint,
		       (SELECT count(*) FROM (TABLE refunded UNION TABLE released) AS undone), (SELECT count(*) FROM refunded)`).
		Scan(&c.facts, &c.heard, &c.transactions, &c.wal, &c.compensated, &c.refunded)
	return c, err
}

// Until nothing is said or heard for so long, the orders of a cell are not over for those who only follow them.
const (
	restFor    = 600 * time.Millisecond
	restWithin = 2 * time.Minute
	looks      = 150 * time.Millisecond
)

var errRestless = errors.New("facts are still said and heard long after the last order's end")

// rest waits until all is quiet, and gives the counters as they are then.
func (b *books) rest(ctx context.Context) (counters, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, restWithin, errRestless)
	defer cancel()
	last, since := counters{}, time.Now()
	for {
		now, err := b.read(ctx)
		if err != nil {
			return now, errors.Join(err, context.Cause(ctx))
		}
		if now.facts != last.facts || now.heard != last.heard {
			last, since = now, time.Now()
		}
		if time.Since(since) > restFor {
			return now, nil
		}
		select {
		case <-ctx.Done():
			return now, context.Cause(ctx)
		case <-time.After(looks):
		}
	}
}

// left gives what is available of each product whose sku begins so, by the rest of its sku.
func (b *books) left(ctx context.Context, prefix string) (map[string]int64, error) {
	rows, err := b.pool.Query(ctx, `
		SELECT substr(sku, length($1) + 1), available FROM inventory.products p JOIN inventory.stock s ON s.product_id = p.id
		WHERE starts_with(sku, $1)`, prefix)
	if err != nil {
		return nil, err
	}
	left := map[string]int64{}
	var sku string
	var units int64
	_, err = pgx.ForEachRow(rows, []any{&sku, &units}, func() error { left[sku] = units; return nil })
	return left, err
}
