package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// bound gives the strategies' tables as three columns of one length: $1 strategies, $2 facts, $3 modules.
func (o Options) bound() []any {
	strategies, facts, modules := []string{}, []string{}, []string{}
	for key, hearers := range o.Hears {
		strategy, fact, _ := strings.Cut(key, ".") // only the fact's name has dots of its own
		for _, module := range hearers {
			strategies, facts, modules = append(strategies, strategy), append(facts, fact), append(modules, module)
		}
	}
	return []any{strategies, facts, modules}
}

// unheard are the facts that were said and that a bound module has not heard. What is seen to otherwise is listed instead: a dead
// letter that is open or was given up, of the module or of who could not bring it to any, and what waits for another version.
const unheard = `
	SELECT f.id AS fact_id, f.name, f.strategy, f.order_id, h.module, f.at AS said_at
	FROM shared.outbox f
	JOIN unnest($1::text[], $2::text[], $3::text[]) AS h(strategy, fact, module) ON h.strategy = f.strategy AND h.fact = f.name
	LEFT JOIN shared.inbox i ON i.fact_id = f.id AND i.module = h.module
	WHERE i.fact_id IS NULL
	  AND NOT EXISTS (SELECT FROM shared.dead_letters d WHERE d.fact_id = f.id AND d.module IN (h.module, 'relay') AND d.replayed_at IS NULL)
	  AND NOT EXISTS (SELECT FROM shared.dead_letter_log g WHERE g.fact_id = f.id AND g.module IN (h.module, 'relay') AND g.action = 'delete')
	  AND NOT EXISTS (SELECT FROM shared.waiting_facts w WHERE w.fact_id = f.id AND w.module = h.module)`

// paid is the condition that an order's money is with us.
func paid(order string) string {
	return fmt.Sprintf(`(SELECT coalesce(sum(CASE t.kind WHEN 'refund' THEN -t.amount_minor ELSE t.amount_minor END), 0)
		FROM payment.transfers t WHERE t.order_id = %s) > 0`, order)
}

// held is the rule that a fact of an order whose money we have is not kept from a module: whatever it would have led to, somebody
// has paid for it. One that was given up is a decision, and is listed.
func held(says, table, when string) rule {
	return rule{says: says, sql: `
		SELECT d.module, d.fact_id, d.order_id FROM shared.` + table + ` d WHERE ` + when + ` AND d.order_id IS NOT NULL AND ` + paid("d.order_id")}
}

// otherWords finds the final facts of orders that say something else than the order's row.
const otherWords = `
	SELECT f.id AS fact_id, f.name, o.id AS order_id, f.said->>'customer' AS customer, f.said->>'total_minor' AS total_minor, f.said->>'status' AS status
	FROM (SELECT id, name, order_id, convert_from(body, 'UTF8')::jsonb->'data' AS said FROM shared.outbox
	      WHERE name IN ('order.completed', 'order.failed', 'order.cancelled') AND order_id IS NOT NULL) f
	JOIN orders.orders o ON o.id = f.order_id
	WHERE (f.said->>'customer', (f.said->>'total_minor')::bigint, f.said->>'currency', (f.said->>'hold_id')::uuid)
	      IS DISTINCT FROM (o.customer, o.total_minor, o.currency, coalesce(o.hold_id, '00000000-0000-0000-0000-000000000000'))
	   OR (f.said->>'version')::bigint = o.version AND o.status IN ('COMPLETED', 'FAILED', 'CANCELLED')
	      AND (f.said->>'status', f.said->>'payment_status', f.said->>'inventory_status', coalesce(f.said->>'failure_reason', ''))
	          IS DISTINCT FROM (o.status, o.payment_status, o.inventory_status, coalesce(o.failure_reason, ''))
	   OR (f.said->>'version')::bigint > o.version
	   OR EXISTS (SELECT FROM jsonb_to_recordset(f.said->'lines') AS e(product_id uuid, sku text, name text, quantity bigint, unit_price_minor bigint)
	              FULL JOIN (SELECT * FROM orders.lines WHERE order_id = o.id) l ON l.product_id = e.product_id
	              WHERE (e.product_id, e.sku, e.name, e.quantity, e.unit_price_minor)
	                    IS DISTINCT FROM (l.product_id, l.sku, l.name, l.quantity, l.unit_price_minor))`

// otherPayments finds facts of payment that say something else than its row: amounts, and the provider's ids and reason as far as the
// payment has come by now. A refund that was made anew, because the first had failed, is not said again.
const otherPayments = `
	SELECT f.id AS fact_id, f.name, p.order_id, f.said->>'charge_id' AS charge_id, f.said->>'refund_id' AS refund_id, f.said->>'reason' AS reason
	FROM (SELECT id, name, order_id, convert_from(body, 'UTF8')::jsonb->'data' AS said FROM shared.outbox
	      WHERE name IN ('payment.processed', 'payment.failed', 'payment.refunded') AND order_id IS NOT NULL) f
	JOIN payment.payments p ON p.order_id = f.order_id
	WHERE ((f.said->>'total_minor')::bigint, f.said->>'currency', f.said->>'payment_method') IS DISTINCT FROM (p.amount_minor, p.currency, p.payment_method)
	   OR f.name <> 'payment.failed' AND coalesce(f.said->>'charge_id', '') <> coalesce(p.charge_id, '')
	   OR f.name = 'payment.refunded' AND p.state = 'REFUNDED' AND coalesce(f.said->>'refund_id', '') <> coalesce(p.refund_id, '')
	      AND NOT EXISTS (SELECT FROM payment.transfers v WHERE v.order_id = p.order_id AND v.provider_id = 'reversal-' || (f.said->>'refund_id'))
	   OR f.name = 'payment.failed' AND coalesce(f.said->>'reason', '') <> p.reason`

// proveHeardOnce is E1. Whether an effect's fact was heard can be said as far back as the inbox goes.
func proveHeardOnce(ctx context.Context, a *auditor, v *Verdict) error {
	return a.check(ctx, v, `SELECT count(*) FROM shared.inbox`,
		rule{says: "a module hears a fact once", sql: `
			SELECT module, fact_id, count(*) AS times FROM shared.inbox GROUP BY module, fact_id HAVING count(*) > 1`},
		rule{says: "what was heard was said", sql: `
			SELECT i.module, i.fact_id, i.name, i.order_id, i.at AS heard_at FROM shared.inbox i
			WHERE i.fact_id >= shared.uuid_from((SELECT min(at) FROM shared.outbox) + interval '1 minute')
			  AND NOT EXISTS (SELECT FROM shared.outbox f WHERE f.id = i.fact_id)`},
		rule{says: "an order's last word says what the order is", sql: otherWords},
		rule{says: "what payment has said of an order is what its row says", sql: otherPayments},
		rule{says: "a state that followed from a fact names it", sql: `
			SELECT o.id AS order_id, o.status, o.version, o.last_fact FROM orders.orders o
			WHERE o.last_fact IS NULL AND o.version > 1 AND o.failure_reason IS DISTINCT FROM 'TIMED_OUT' -- the clock names none
			  AND NOT (o.failure_reason IS NULL AND o.status IN ('ENDING', 'CANCELLED')) -- nor does who cancels
			   OR ` + unknownFact("o.last_fact", "order")},
		rule{says: "a row of the read model names the fact that it shows", sql: `
			SELECT w.id AS order_id, w.version, w.last_fact FROM orders.view w
			WHERE w.last_fact IS NULL AND w.version > 1 OR ` + unknownFact("w.last_fact", "view")},
		rule{says: "a reservation names the fact that decided it", sql: `
			SELECT r.order_id, r.state, r.decided_by, r.released_by FROM inventory.reservations r
			WHERE r.decided_by IS NULL OR ` + unknownFact("r.decided_by", "inventory") + ` OR ` + unknownFact("r.released_by", "inventory")},
		rule{says: "a payment names the facts that want it and that undo it", sql: `
			SELECT p.order_id, p.state, p.cause, p.undo_cause FROM payment.payments p
			WHERE p.cause IS NULL OR ` + unknownFact("p.cause", "payment") + ` OR ` + unknownFact("p.undo_cause", "payment")},
		rule{says: "a transfer of money names the fact that wanted it", sql: `
			SELECT t.order_id, t.kind, t.provider_id, t.cause FROM payment.transfers t WHERE ` + unknownFact("t.cause", "payment")},
		rule{says: "a stock movement of an order names the fact that led to it", sql: `
			SELECT m.id AS movement_id, m.order_id, m.kind, m.fact_id FROM inventory.movements m
			WHERE m.kind IN ('reserve', 'release') AND (m.fact_id IS NULL OR ` + unknownFact("m.fact_id", "inventory") + `)`})
}

// unknownFact is the condition that a module never heard the fact of an effect, for facts that its inbox still knows of.
func unknownFact(column, module string) string {
	return fmt.Sprintf(`(%[1]s >= (SELECT fact_id FROM shared.inbox ORDER BY fact_id LIMIT 1)
		AND NOT EXISTS (SELECT FROM shared.inbox i WHERE i.fact_id = %[1]s AND i.module = '%[2]s'))`, column, module)
}

// proveNothingStuck is E2.
func proveNothingStuck(ctx context.Context, a *auditor, v *Verdict) error {
	err := a.check(ctx, v, `SELECT count(*) FROM shared.outbox`,
		rule{says: "every bound module has heard the fact", args: a.bound(), sql: unheard},
		rule{says: "somebody hears the fact", args: a.bound()[:2], sql: `
			SELECT f.id AS fact_id, f.name, f.strategy, f.order_id FROM shared.outbox f
			WHERE (f.strategy, f.name) NOT IN (SELECT * FROM unnest($1::text[], $2::text[]))
			  AND NOT EXISTS (SELECT FROM shared.bindings b WHERE b.key IN (f.strategy || '.' || f.name, f.strategy || '.' || f.name || '.' || f.part))`},
		held("no fact of a paid order is an open dead letter", "dead_letters", "d.replayed_at IS NULL"),
		held("no fact of a paid order waits for a version that has a row for it", "waiting_facts", "true"))
	if err != nil {
		return err
	}
	for _, d := range a.rest.queues {
		v.Checked++
		if d.Messages > 0 {
			v.breaks(d.row("the queue is empty"))
		}
	}
	for _, r := range seenTo {
		if err := a.list(ctx, v, r); err != nil {
			return err
		}
	}
	return nil
}

// seenTo is what was not heard and is known to somebody.
var seenTo = []rule{
	{says: "dead letter that nobody has replayed", sql: `
		SELECT id, module, fact_id, order_id, name, routing_key, reason, at FROM shared.dead_letters WHERE replayed_at IS NULL ORDER BY at`},
	{says: "dead letter that was given up", sql: `
		SELECT g.letter_id, g.module, g.fact_id, g.order_id, g.name, g.by, g.reason, g.at FROM shared.dead_letter_log g
		WHERE g.action = 'delete' AND EXISTS (SELECT FROM shared.outbox f WHERE f.id = g.fact_id)
		  AND NOT EXISTS (SELECT FROM shared.inbox i WHERE i.fact_id = g.fact_id AND i.module = g.module) ORDER BY g.at`},
	{says: "waits for a version that has a row for it", sql: `
		SELECT module, fact_id, order_id, key, since FROM shared.waiting_facts ORDER BY since`},
}

func (d depth) row(says string) Row {
	row, err := json.Marshal(struct {
		Rule string `json:"rule"`
		depth
	}{says, d})
	if err != nil {
		panic(fmt.Sprintf("audit: encode queue depth: %v", err)) // a string and a number
	}
	return row
}
