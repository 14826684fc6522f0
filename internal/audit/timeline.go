package audit

import (
	"context"
	"strings"
)

// keptSince is the moment from which on the outbox is whole: its partitions go as a whole, the oldest first. Clocks may differ by
// a minute.
const keptSince = `(SELECT to_timestamp(min(substr(c.relname, 8)), 'YYYYMMDD_HH24') + interval '1 minute'
	FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'shared.outbox'::regclass AND NOT i.inhdetachpending)`

// follows gives what may follow as three columns of one length: $1 strategies, $2 facts, $3 what may be said on hearing them.
func (o Options) follows() []any {
	strategies, facts, then := []string{}, []string{}, []string{}
	for key, names := range o.Follows {
		strategy, fact, _ := strings.Cut(key, ".")
		for _, name := range names {
			strategies, facts, then = append(strategies, strategy), append(facts, fact), append(then, name)
		}
	}
	return []any{strategies, facts, then}
}

// ends gives what every way to an end says as two columns of one length: $1 ends, $2 facts.
func (o Options) ends() []any {
	ends, facts := []string{}, []string{}
	for end, names := range o.Ends() {
		for _, name := range names {
			ends, facts = append(ends, end), append(facts, name)
		}
	}
	return []any{ends, facts}
}

// proveTimelineWhole is T1, for orders that were made since the outbox is whole.
func proveTimelineWhole(ctx context.Context, a *auditor, v *Verdict) error {
	return a.check(ctx, v, `SELECT count(*) FROM orders.orders WHERE created_at >= `+keptSince,
		rule{says: "a fact of an order is said once", sql: `
			SELECT f.order_id, f.name, count(*) AS times FROM shared.outbox f
			WHERE f.order_id IS NOT NULL AND f.name <> 'order.updated' AND f.name NOT LIKE 'lane.%' -- said for each state, for each lane
			GROUP BY f.order_id, f.name HAVING count(*) > 1`},
		rule{says: "a fact of an order follows from another of it, as the strategy's table has it", args: a.follows(), sql: `
			SELECT f.id AS fact_id, f.order_id, f.strategy, f.name, f.cause, c.name AS cause_name
			FROM shared.outbox f LEFT JOIN shared.outbox c ON c.id = f.cause
			LEFT JOIN unnest($1::text[], $2::text[], $3::text[]) AS t(strategy, fact, may) ON t.strategy = f.strategy AND t.fact = c.name AND t.may = f.name
			WHERE f.order_id IS NOT NULL AND CASE
				WHEN f.cause IS NULL THEN f.name NOT IN ('order.created', 'order.ending') -- of customers and of the clock
				WHEN c.id IS NULL THEN f.cause >= shared.uuid_from(` + keptSince + `)
				ELSE t.may IS NULL OR c.order_id IS DISTINCT FROM f.order_id END`},
		rule{says: "order has said each of an order's states", sql: `
			SELECT o.id AS order_id, o.version, count(f.id) + 1 AS said FROM orders.orders o
			LEFT JOIN shared.outbox f ON f.order_id = o.id
			  AND f.name IN ('order.updated', 'order.ending', 'order.completed', 'order.failed', 'order.cancelled')
			WHERE o.created_at >= ` + keptSince + ` GROUP BY o.id HAVING count(f.id) + 1 <> o.version`},
		rule{says: "everything was said that leads to the order's end", args: a.ends(), sql: `
			SELECT o.id AS order_id, ` + allowedState + ` AS state, e.fact AS missing FROM orders.orders o
			JOIN unnest($1::text[], $2::text[]) AS e(state, fact) ON e.state = ` + allowedState + `
			WHERE o.created_at >= ` + keptSince + `
			  AND NOT EXISTS (SELECT FROM shared.outbox f WHERE f.order_id = o.id AND f.name = e.fact)`})
}
