package payment

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// attempt is a call to the provider, and what came of it.
type attempt struct {
	call    string
	verdict Verdict // "" when the answer was lost, or none
	began   time.Time
	took    time.Duration
	why     string // it came to nothing
}

// asked keeps a call that was made for a claimed payment, to be noted with its outcome.
func (p *row) asked(call string, began time.Time, outcome Outcome, err error) {
	a := attempt{call: call, verdict: outcome.Verdict, began: began, took: time.Since(began)}
	if err != nil {
		a.verdict, a.why = "", lastError(err)
	}
	p.attempts = append(p.attempts, a)
}

// When a call began is told by the clock of Postgres, like everything else that a timeline shows.
const noteSQL = `
	INSERT INTO payment.attempts (order_id, claim, n, call, verdict, ms, at, error)
	SELECT order_id, claim, n, call, verdict, ms, clock_timestamp() - ago * interval '1 microsecond', nullif(error, '')
	FROM unnest($1::uuid[], $2::bigint[], $3::smallint[], $4::text[], $5::text[], $6::int[], $7::bigint[], $8::text[])
	     AS a(order_id, claim, n, call, verdict, ms, ago, error)
	ON CONFLICT DO NOTHING`

// note writes down every call behind results, also of those that count no more. A group may be tried again.
func note(batch *pgx.Batch, results []result) {
	var orders []uuid.UUID
	var claims, ago []int64
	var places []int16
	var calls, verdicts, errors []string
	var took []int32
	for _, r := range results {
		for i, a := range r.attempts {
			orders, claims, places = append(orders, r.OrderID), append(claims, r.claim), append(places, int16(i+1))
			calls, verdicts = append(calls, a.call), append(verdicts, string(a.verdict))
			took, ago = append(took, int32(a.took.Milliseconds())), append(ago, time.Since(a.began).Microseconds())
			errors = append(errors, a.why)
		}
	}
	batch.Queue(noteSQL, orders, claims, places, calls, verdicts, took, ago, errors)
}

// ShownCall is a call to the provider, as operators see it.
type ShownCall struct {
	Call   string    `json:"call" validate:"required" enums:"open,charge,refund,lookup,close"`
	Answer string    `json:"answer,omitempty"` // absent: there was none, or an error
	Error  string    `json:"error,omitempty"`
	MS     int64     `json:"ms"`
	At     time.Time `json:"at" validate:"required" format:"date-time"` // when it began
} //	@name	PaymentCall

func (a *ShownCall) inUTC() { a.At = a.At.UTC() }

// calls gives the last calls to the provider about an order's payment, the newest first.
func (c *Charger) calls(ctx context.Context, order uuid.UUID) ([]ShownCall, error) {
	rows, err := c.db.Query(ctx, `
		SELECT call, verdict, coalesce(error, ''), ms, at FROM payment.attempts WHERE order_id = $1 ORDER BY claim DESC, n DESC LIMIT 50`, order)
	return collect[ShownCall](rows, err, "calls")
}

// ForgetAttempts deletes the calls that are older than that, also of payments that are still due: one that is asked for again and
// again must not keep all of them. It answers how many.
func (s *Service) ForgetAttempts(ctx context.Context, age time.Duration) (int64, error) {
	n, err := s.db.InSteps(ctx, `
		DELETE FROM payment.attempts WHERE ctid = ANY (ARRAY(
			SELECT ctid FROM payment.attempts WHERE at < now() - $1::interval ORDER BY at LIMIT $2))`, age)
	if err != nil {
		return n, fmt.Errorf("forget calls to the provider: %w", err)
	}
	return n, nil
}

// lockAndNote is lock for the orders of results, and notes the calls behind these in the same round trip.
func lockAndNote(ctx context.Context, tx pgx.Tx, orders []uuid.UUID, results []result) (map[uuid.UUID]*row, error) {
	batch := &pgx.Batch{}
	note(batch, results)
	batch.Queue(lockSQL, orders)
	answers := tx.SendBatch(ctx, batch)
	defer func() { _ = answers.Close() }() // what it would say was said by the answers
	if _, err := answers.Exec(); err != nil {
		return nil, fmt.Errorf("note calls for %d payments: %w", len(orders), err)
	}
	rows, err := answers.Query()
	if err != nil {
		return nil, fmt.Errorf("lock %d payments: %w", len(orders), err)
	}
	return locked(rows)
}
