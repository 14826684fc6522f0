package payment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// row is a payment as it is stored, with what only the charger is concerned with.
type row struct {
	Payment
	claim  int64 // whose claim it is
	held   bool  // that claim has not been settled
	recent bool  // when claimed: the provider still remembers the key under which the charge was first asked for

	claimedAt time.Time // before the claim was made; on this process' clocks

	attempts []attempt // made under the claim
	act      *Act      // of an operator, done under the claim
}

// change is what is written of a payment.
type change struct {
	Payment
	dueIn     time.Duration // for one that is under way: when to take it up
	keepLease bool          // somebody may be at it, and is to finish
	failed    string        // the refund that has failed just now; "" mostly
}

const columns = `p.order_id, p.state, p.strategy, p.amount_minor, p.currency, p.payment_method,
	coalesce(p.opened_as, ''), coalesce(p.charge_id, ''), coalesce(p.refund_id, ''), p.reason, p.cause, p.traceparent,
	coalesce(p.undo_cause, '00000000-0000-0000-0000-000000000000'), p.undo_traceparent,
	p.attempted_at IS NOT NULL, p.tries, p.failed_refunds, p.reversals, p.error_answers, p.last_error, p.provider, p.account, p.claim, p.leased_until IS NOT NULL`

func scan(into *row, more ...any) []any {
	p := &into.Payment
	return append([]any{
		&p.OrderID, &p.State, &p.Strategy, &p.Terms.TotalMinor, &p.Terms.Currency, &p.Terms.PaymentMethod,
		&p.OpenedAs, &p.ChargeID, &p.RefundID, &p.Reason, &p.Cause.Fact, &p.Cause.TraceParent, &p.Undo.Fact, &p.Undo.TraceParent,
		&p.Attempted, &p.Tries, &p.FailedRefunds, &p.Reversals, &p.ErrorAnswers, &p.LastError, &p.Account.Provider, &p.Account.ID, &into.claim, &into.held,
	}, more...)
}

const insertSQL = `
	INSERT INTO payment.payments (order_id, state, strategy, amount_minor, currency, payment_method, charge_key, refund_key,
	                              cause, traceparent, undo_cause, undo_traceparent, due_at)
	SELECT order_id, state, strategy, amount, currency, method, charge_key, refund_key,
	       cause, trace, nullif(undo, $13), undo_trace, CASE WHEN state = 'PENDING' THEN now() + $14 * interval '1 millisecond' END
	FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[],
	            $9::uuid[], $10::text[], $11::uuid[], $12::text[])
	     AS w(order_id, state, strategy, amount, currency, method, charge_key, refund_key, cause, trace, undo, undo_trace)
	ORDER BY order_id
	ON CONFLICT (order_id) DO NOTHING
	RETURNING order_id`

// insert adds payments of different orders, and says which orders had none before.
func insert(ctx context.Context, tx pgx.Tx, payments []Payment) (map[uuid.UUID]bool, error) {
	n := len(payments)
	orders, causes, undos := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]uuid.UUID, n)
	amounts := make([]int64, n)
	text := [8][]string{}
	for i, p := range payments {
		orders[i], causes[i], undos[i], amounts[i] = p.OrderID, p.Cause.Fact, p.Undo.Fact, p.Terms.TotalMinor
		for c, s := range []string{
			string(p.State), p.Strategy, p.Terms.Currency, p.Terms.PaymentMethod,
			chargeKey(p.OrderID), refundKey(p.OrderID), p.Cause.TraceParent, p.Undo.TraceParent,
		} {
			text[c] = append(text[c], s)
		}
	}
	rows, err := tx.Query(ctx, insertSQL, orders, text[0], text[1], amounts, text[2], text[3], text[4], text[5],
		causes, text[6], undos, text[7], uuid.Nil, leadOf(ctx).Milliseconds())
	if err != nil {
		return nil, fmt.Errorf("insert %d payments: %w", n, err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("insert %d payments: %w", n, err)
	}
	fresh := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		fresh[id] = true
	}
	return fresh, nil
}

const lockSQL = `SELECT ` + columns + ` FROM payment.payments p WHERE p.order_id = ANY($1) ORDER BY p.order_id FOR UPDATE`

// lock gives the payments of orders, those that exist, and keeps others from changing them until tx ends.
func lock(ctx context.Context, tx pgx.Tx, orders []uuid.UUID) (map[uuid.UUID]*row, error) {
	rows, err := tx.Query(ctx, lockSQL, orders)
	if err != nil {
		return nil, fmt.Errorf("lock %d payments: %w", len(orders), err)
	}
	return locked(rows)
}

func locked(rows pgx.Rows) (map[uuid.UUID]*row, error) {
	defer rows.Close()
	found := make(map[uuid.UUID]*row)
	for rows.Next() {
		r := &row{}
		if err := rows.Scan(scan(r)...); err != nil {
			return nil, fmt.Errorf("lock payments: %w", err)
		}
		found[r.OrderID] = r
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("lock payments: %w", err)
	}
	return found, nil
}

const updateSQL = `
	UPDATE payment.payments p
	SET state = c.state, charge_id = nullif(c.charge_id, ''), refund_id = nullif(c.refund_id, ''), reason = c.reason,
	    undo_cause = nullif(c.undo, $11), undo_traceparent = c.undo_trace, tries = c.tries, error_answers = c.error_answers, last_error = c.last_error,
	    due_at = CASE WHEN c.state IN ('PENDING', 'UNKNOWN', 'REFUNDING') THEN now() + c.due_in * interval '1 millisecond' END,
	    owed_since = CASE WHEN c.state = 'REFUNDING' THEN coalesce(p.owed_since, now()) END,
	    refund_attempted_at = CASE WHEN c.state = 'REFUNDED' THEN coalesce(p.refund_attempted_at, now()) ELSE p.refund_attempted_at END,
	    failed_refunds = CASE WHEN c.failed = '' THEN p.failed_refunds ELSE array_append(p.failed_refunds, c.failed) END, reversals = c.reversals,
	    leased_until = CASE WHEN c.keep_lease THEN p.leased_until END, changed_at = now()
	FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::text[], $8::int[], $9::bigint[], $10::bool[], $12::int[], $13::text[],
	            $14::text[], $15::int[])
	     AS c(order_id, state, charge_id, refund_id, reason, undo, undo_trace, tries, due_in, keep_lease, error_answers, last_error, failed, reversals)
	WHERE p.order_id = c.order_id`

// update writes changes of different, locked payments.
func update(batch *pgx.Batch, changes []change) {
	n := len(changes)
	if n == 0 {
		return
	}
	orders, undos := make([]uuid.UUID, n), make([]uuid.UUID, n)
	tries, errorAnswers, reversals := make([]int, n), make([]int, n), make([]int, n)
	dueIn, keep := make([]int64, n), make([]bool, n)
	text := [7][]string{}
	for i, c := range changes {
		orders[i], undos[i], tries[i], errorAnswers[i], reversals[i] = c.OrderID, c.Undo.Fact, c.Tries, c.ErrorAnswers, c.Reversals
		dueIn[i], keep[i] = c.dueIn.Milliseconds(), c.keepLease
		for t, s := range []string{string(c.State), c.ChargeID, c.RefundID, c.Reason, c.Undo.TraceParent, c.LastError, c.failed} {
			text[t] = append(text[t], s)
		}
	}
	batch.Queue(updateSQL, orders, text[0], text[1], text[2], text[3], undos, text[4], tries, dueIn, keep, uuid.Nil, errorAnswers, text[5],
		text[6], reversals)
}

// write sends what was put together, in one round trip.
func write(ctx context.Context, tx pgx.Tx, batch *pgx.Batch) error {
	if batch.Len() == 0 {
		return nil
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("write payments: %w", err)
	}
	return nil
}

// claimSQL takes up payments that nobody is at, of some accounts, and writes down at which account one is about to be asked
// for first; from has the accounts, and which is a condition on their payments. The first of the accounts is the one that is about to
// be asked. A lease that seems to last for very long was taken before Postgres' clock was put back.
func claimSQL(from, which string) string {
	return `
	UPDATE payment.payments p
	SET leased_until = now() + $2 * interval '1 millisecond', claim = p.claim + 1, tries = p.tries + 1,
	    attempted_at = coalesce(p.attempted_at, now()),
	    provider = ($4::text[])[1], account = ($5::text[])[1],
	    refund_attempted_at = CASE WHEN p.state = 'REFUNDING' THEN coalesce(p.refund_attempted_at, now()) END
	FROM (SELECT w.order_id FROM ` + from + `
	      CROSS JOIN LATERAL (
	          SELECT order_id, due_at FROM payment.payments
	          WHERE provider = a.provider AND account = a.account AND ` + which + `
	            AND (leased_until IS NULL OR leased_until <= now() OR leased_until > now() + $2 * interval '10 milliseconds')
	          ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED) AS w
	      ORDER BY w.due_at LIMIT $1) AS due
	WHERE p.order_id = due.order_id
	RETURNING ` + columns + `, p.attempted_at > now() - $3 * interval '1 millisecond'`
}

const accountsGiven = `unnest($4::text[], $5::text[]) AS a(provider, account)`

// dueRanges are the times at which something is due: those that have come, and those that are further ahead than the longest
// pause, which were set before Postgres' clock was put back. The pause comes in milliseconds.
func dueRanges(longest string) string {
	return `(VALUES ('-infinity'::timestamptz, now()), (now() + ` + longest + ` * interval '1 millisecond', 'infinity')) AS r(above, until)`
}

var (
	claimAny = claimSQL(accountsGiven+" CROSS JOIN "+dueRanges("$6"), "due_at > r.above AND due_at <= r.until")
	claimOne = claimSQL(accountsGiven, "order_id = $6 AND due_at IS NOT NULL")
)

// claim takes up to n payments of accounts that are due for as long as the lease, and notes that the provider is about to be asked.
// It is one statement, and commits by itself.
func claim(ctx context.Context, db *postgres.DB, of []Account, n int, lease, memory time.Duration) ([]*row, error) {
	began := time.Now()
	providers, ids := columnsOf(of)
	rows, err := db.Query(ctx, claimAny, n, lease.Milliseconds(), memory.Milliseconds(), providers, ids, longestPause.Milliseconds())
	return claimed(began, rows, err)
}

// claimOf is claim for the payment of one order.
func claimOf(ctx context.Context, db *postgres.DB, of []Account, order uuid.UUID, lease, memory time.Duration) ([]*row, error) {
	began := time.Now()
	providers, ids := columnsOf(of)
	rows, err := db.Query(ctx, claimOne, 1, lease.Milliseconds(), memory.Milliseconds(), providers, ids, order)
	return claimed(began, rows, err)
}

func claimed(began time.Time, rows pgx.Rows, err error) ([]*row, error) {
	if err != nil {
		return nil, fmt.Errorf("claim payments: %w", err)
	}
	defer rows.Close()
	var list []*row
	for rows.Next() {
		r := &row{claimedAt: began}
		if err := rows.Scan(scan(r, &r.recent)...); err != nil {
			return nil, fmt.Errorf("claim payments: %w", err)
		}
		list = append(list, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("claim payments: %w", err)
	}
	return list, nil
}

var errTakenOver = errors.New("somebody else has taken the payment over")

// keepOpened commits under which id the charge of a claimed payment was opened. Only the newest claim may, and only once: whoever
// cannot must not charge.
func keepOpened(ctx context.Context, db *postgres.DB, p *row, id string) error {
	done, err := db.Exec(ctx, `
		UPDATE payment.payments SET opened_as = $3, changed_at = now()
		WHERE order_id = $1 AND claim = $2 AND leased_until IS NOT NULL AND opened_as IS NULL`, p.OrderID, p.claim, id)
	if err == nil && done.RowsAffected() == 0 {
		err = errTakenOver
	}
	if err != nil {
		return fmt.Errorf("keep what was opened for order %s: %w", p.OrderID, err)
	}
	p.OpenedAs = id
	return nil
}
