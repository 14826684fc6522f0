package payment

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

const (
	orphanPage  = 100         // given back in one hunt
	orphanCalls = 8           // at once
	orphanAgain = time.Minute // when nothing came of it
	oursPage    = 5000
)

// orphan is money that only one side knows of.
type orphan struct {
	Line
	found    string
	giveBack bool
}

func (o orphan) kind() string {
	if o.Verdict == GivenBack {
		return "refund"
	}
	return "charge"
}

// rereadAfter is how far back our transfers are looked for again when Postgres' clock was put back behind those that were.
const rereadAfter = 10 * time.Minute

// begin gives the mark from which the provider's list is to be read.
func (h *Hunter) begin(ctx context.Context) (mark string, err error) {
	_, err = h.db.Exec(ctx, `
		INSERT INTO payment.hunts AS h (provider, account) VALUES ($1, $2)
		ON CONFLICT (provider, account) DO UPDATE SET at = now() - $3::interval, at_id = '' WHERE h.at > now()`, h.at.Provider, h.at.ID, rereadAfter)
	if err == nil {
		err = h.db.QueryRow(ctx, `SELECT mark FROM payment.hunts WHERE (provider, account) = ($1, $2)`, h.at.Provider, h.at.ID).Scan(&mark)
	}
	if err != nil {
		return "", fmt.Errorf("begin hunt: %w", err)
	}
	return mark, nil
}

func (h *Hunter) readToTheEnd(ctx context.Context) error {
	if _, err := h.db.Exec(ctx, `UPDATE payment.hunts SET ran_at = now() WHERE (provider, account) = ($1, $2)`, h.at.Provider, h.at.ID); err != nil {
		return fmt.Errorf("note the hunt: %w", err)
	}
	return nil
}

// findAll gives the payments of orders, those that exist, archived ones too.
func findAll(ctx context.Context, db *postgres.DB, orders []uuid.UUID) (map[uuid.UUID]*Payment, error) {
	rows, err := db.Query(ctx, `SELECT `+columns+` FROM payment.payments p WHERE p.order_id = ANY($1)`, orders)
	if err != nil {
		return nil, fmt.Errorf("find %d payments: %w", len(orders), err)
	}
	defer rows.Close()
	found := make(map[uuid.UUID]*Payment, len(orders))
	for rows.Next() {
		r := &row{}
		if err := rows.Scan(scan(r)...); err != nil {
			return nil, fmt.Errorf("find payments: %w", err)
		}
		found[r.OrderID] = &r.Payment
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("find payments: %w", err)
	}
	return found, addArchived(ctx, db, orders, found)
}

// note writes down what a page of the provider's list came to, and how far it was read.
func (h *Hunter) note(ctx context.Context, lines []Line, met []string, orphans []orphan) error {
	var charges, refunds []string // of orphans, given back though the answer may have been lost
	for _, l := range lines {
		if l.Verdict == GivenBack && l.Key == orphanKey(l.ChargeID) {
			charges, refunds = append(charges, l.ChargeID), append(refunds, l.ID)
		}
	}
	return h.keep(ctx, orphans, func(batch *pgx.Batch) {
		batch.Queue(refundedSQL, charges, refunds)
		batch.Queue(`
			INSERT INTO payment.statement (provider_id)
			SELECT id FROM unnest($1::text[]) AS m(id)
			WHERE NOT EXISTS (SELECT FROM payment.transfers t, payment.hunts h
			                  WHERE t.provider_id = m.id AND (h.provider, h.account) = ($2, $3) AND (t.at, t.provider_id) <= (h.at, h.at_id))
			  AND NOT EXISTS (SELECT FROM payment.archived a WHERE a.charge_id = m.id)
			  AND NOT EXISTS (SELECT FROM payment.archived a WHERE a.refund_id = m.id)
			ON CONFLICT DO NOTHING`, met, h.at.Provider, h.at.ID)
		batch.Queue(`UPDATE payment.hunts SET mark = $3 WHERE (provider, account) = ($1, $2)`, h.at.Provider, h.at.ID, lines[len(lines)-1].Mark)
	})
}

const orphansSQL = `
	INSERT INTO payment.orphans AS o (provider_id, provider, account, kind, found, order_id, key, amount_minor, currency, due_at)
	SELECT id, $1, $10, kind, found, order_id, key, amount, currency, CASE WHEN give_back THEN now() END
	FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::bool[])
	     AS f(id, kind, found, order_id, key, amount, currency, give_back)
	ON CONFLICT (provider_id) DO UPDATE SET due_at = excluded.due_at -- a webhook has told of it before
	WHERE excluded.due_at IS NOT NULL AND o.due_at IS NULL AND o.attempted_at IS NULL AND o.refund_id IS NULL AND o.settled_at IS NULL
	RETURNING CASE WHEN xmax = 0 THEN provider_id END`

// keepOrphans writes orphans down, with what belongs to them, and gives those that are new.
func keepOrphans(ctx context.Context, db *postgres.DB, at Account, orphans []orphan, with func(*pgx.Batch)) (fresh []orphan, err error) {
	n := len(orphans)
	amounts, giveBack := make([]int64, n), make([]bool, n)
	text := [6][]string{}
	byID := map[string]orphan{}
	for i, o := range orphans {
		amounts[i], giveBack[i], byID[o.ID] = o.AmountMinor, o.giveBack, o
		for c, s := range []string{o.ID, o.kind(), o.found, o.OrderID, o.Key, o.Currency} {
			text[c] = append(text[c], s)
		}
	}
	var ids []*string
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue(orphansSQL, at.Provider, text[0], text[1], text[2], text[3], text[4], amounts, text[5], giveBack, at.ID).
			Query(func(rows pgx.Rows) (err error) {
				ids, err = pgx.CollectRows(rows, pgx.RowTo[*string])
				return err
			})
		with(batch)
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return nil, fmt.Errorf("write down %d orphans: %w", n, err)
	}
	for _, id := range ids {
		if id != nil {
			fresh = append(fresh, byID[*id])
		}
	}
	return fresh, nil
}

// tell says that an orphan was found, once.
func (o orphan) tell(ctx context.Context, log *slog.Logger, found *prometheus.CounterVec) {
	found.WithLabelValues(o.found).Inc()
	log.WarnContext(ctx, "money that only one side knows of", "found", o.found, "kind", o.kind(), "id", o.ID, "order_id", o.OrderID,
		"key", o.Key, "amount_minor", o.AmountMinor, "currency", o.Currency, "given_back", o.giveBack)
}

// countOrphans is the counter of what is found, by notices and hunters.
func countOrphans(registry prometheus.Registerer) *prometheus.CounterVec {
	return counted(registry, prometheus.CounterOpts{
		Name: "holdfast_payment_orphans_total", Help: "Money that only the provider or only we know of, by what was found.",
	}, "found")
}

// keep writes orphans down, with what belongs to them, and tells of those that are new.
func (h *Hunter) keep(ctx context.Context, orphans []orphan, with func(*pgx.Batch)) error {
	fresh, err := keepOrphans(ctx, h.db, h.at, orphans, with)
	for _, o := range fresh {
		o.tell(ctx, h.options.Log, h.found)
	}
	return err
}

// oursRead is a page of our transfers: the last of it, and those that the provider's list did not show.
type oursRead struct {
	last  Line
	unmet []Line
}

// readTo is how far our transfers have been looked for, for an index to begin there: joined with the row that says so, they would all
// be read from the first one on.
const readTo = `(SELECT at FROM payment.hunts WHERE (provider, account) = ($1, $4)), (SELECT at_id FROM payment.hunts WHERE (provider, account) = ($1, $4))`

// unmet reads on in our transfers, as far as the provider's list must have shown them.
func (h *Hunter) unmet(ctx context.Context) (page oursRead, err error) {
	rows, err := h.db.Query(ctx, `
		SELECT t.provider_id, t.kind, t.order_id::text, t.amount_minor, t.currency, t.at,
		       s.provider_id IS NOT NULL OR t.kind = 'reversal' OR (SELECT f.refund_id FROM payment.failed_refunds f WHERE f.refund_id = t.provider_id) IS NOT NULL
		FROM (SELECT t.* FROM payment.transfers t
		      WHERE (t.provider, t.account) = ($1, $4) AND (t.at, t.provider_id) > (`+readTo+`) AND `+byTheProvider+`
		        AND t.at <= now() - $2 * interval '1 millisecond'
		      ORDER BY t.at, t.provider_id LIMIT $3) t
		LEFT JOIN payment.statement s USING (provider_id)
		ORDER BY t.at, t.provider_id`, h.at.Provider, 2*h.options.Cooldown.Milliseconds(), oursPage, h.at.ID)
	if err != nil {
		return page, fmt.Errorf("read our transfers: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var kind string
		var there bool
		l := Line{Verdict: Charged}
		if err := rows.Scan(&l.ID, &kind, &l.OrderID, &l.AmountMinor, &l.Currency, &l.At, &there); err != nil {
			return page, fmt.Errorf("read our transfers: %w", err)
		}
		if kind == "refund" {
			l.Verdict = GivenBack
		}
		if page.last = l; !there {
			page.unmet = append(page.unmet, l)
		}
	}
	return page, rows.Err()
}

// pass moves on behind a page of our transfers; what the provider's list had of them has done its service.
func (h *Hunter) pass(ctx context.Context, page oursRead, missing []orphan) error {
	return h.keep(ctx, missing, func(batch *pgx.Batch) {
		batch.Queue(`
			DELETE FROM payment.statement WHERE provider_id = ANY (ARRAY(
				SELECT t.provider_id FROM payment.transfers t
				WHERE (t.provider, t.account) = ($1, $4) AND (t.at, t.provider_id) > (`+readTo+`) AND `+byTheProvider+`
				  AND (t.at, t.provider_id) <= ($2, $3)
				ORDER BY t.at, t.provider_id LIMIT $5))`, h.at.Provider, page.last.At, page.last.ID, h.at.ID, oursPage)
		batch.Queue(`UPDATE payment.hunts SET at = $3, at_id = $4 WHERE (provider, account) = ($1, $2)`, h.at.Provider, h.at.ID, page.last.At, page.last.ID)
	})
}

// giveBack refunds orphans that are due, at any age: a charge is given back once.
func (h *Hunter) giveBack(ctx context.Context) error {
	rows, err := h.claimOrphans(ctx)
	if err != nil {
		return err
	}
	var calls sync.WaitGroup
	var mu sync.Mutex
	var charges, refunds []string
	var failed failures
	slots := make(chan struct{}, orphanCalls)
	for _, in := range rows {
		slots <- struct{}{}
		calls.Go(func() {
			defer func() { <-slots }()
			o, err := h.books.Refund(ctx, in)
			if err != nil {
				h.options.Log.WarnContext(ctx, "an orphan could not be given back yet", "charge_id", in.ChargeID, "order_id", in.OrderID, "error", err)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed.add(in.ChargeID, err)
				return
			}
			charges, refunds = append(charges, in.ChargeID), append(refunds, o.RefundID)
		})
	}
	calls.Wait()
	if err := failed.note(ctx, h.db); err != nil {
		return err
	}
	if len(charges) == 0 {
		return nil
	}
	if _, err = h.db.Exec(ctx, refundedSQL, charges, refunds); err != nil {
		return fmt.Errorf("note the refund of %d orphans: %w", len(charges), err)
	}
	h.options.Log.WarnContext(ctx, "orphans were given back", "charges", len(charges), "first", charges[0])
	return nil
}

const refundedSQL = `
	UPDATE payment.orphans o SET refund_id = r.refund_id, refunded_at = now(), due_at = NULL, last_error = ''
	FROM unnest($1::text[], $2::text[]) AS r(charge_id, refund_id) WHERE o.provider_id = r.charge_id AND o.refund_id IS NULL AND o.settled_at IS NULL AND r.refund_id <> ALL (o.failed_refunds)`

func (h *Hunter) claimOrphans(ctx context.Context) (due []Intent, err error) {
	err = h.db.InTx(ctx, func(tx pgx.Tx) error {
		due = nil
		rows, err := tx.Query(ctx, `
			UPDATE payment.orphans o SET attempted_at = coalesce(attempted_at, now()), tries = tries + 1, due_at = now() + $3 * interval '1 millisecond'
			WHERE o.provider_id = ANY (ARRAY(
				SELECT d.provider_id FROM `+dueRanges("2 * $3")+` CROSS JOIN LATERAL (
					SELECT provider_id, due_at FROM payment.orphans
					WHERE due_at > r.above AND due_at <= r.until AND (provider, account) = ($1, $4)
					ORDER BY due_at LIMIT $2) AS d
				ORDER BY d.due_at LIMIT $2))
			RETURNING o.provider_id, o.order_id, o.amount_minor, o.currency, o.error_answers`,
			h.at.Provider, orphanPage, orphanAgain.Milliseconds(), h.at.ID)
		if err != nil {
			return err
		}
		due, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (in Intent, err error) {
			var order string
			var terms event.Terms
			if err := r.Scan(&in.ChargeID, &order, &terms.TotalMinor, &terms.Currency, &in.ErrorAnswers); err != nil {
				return in, err
			}
			in.Terms, in.RefundKey = terms, orphanKey(in.ChargeID)
			if id, err := uuid.Parse(order); err == nil { // else an operator wants it back, whatever it is
				in.OrderID = id
			}
			return in, nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("claim orphans: %w", err)
	}
	return due, nil
}
