package audit

// owedAgain is the condition that an order's refund has failed after it had counted as made, and is to be made again: nothing is wrong
// with that, and it is not well either.
func owedAgain(order string) string {
	return `EXISTS (SELECT FROM payment.payments w JOIN payment.transfers v ON v.order_id = w.order_id AND v.kind = 'reversal'
		WHERE w.order_id = ` + order + ` AND w.state = 'REFUNDING')`
}

// reversals are the rules of what was taken back of refunds.
var reversals = []rule{
	{says: "a reversal takes a refund back, all of it, that has failed", sql: `
		SELECT v.order_id, v.provider_id, v.amount_minor, t.amount_minor AS refunded, f.effect
		FROM payment.transfers v
		LEFT JOIN payment.transfers t ON 'reversal-' || t.provider_id = v.provider_id AND t.kind = 'refund'
		LEFT JOIN payment.failed_refunds f ON f.refund_id = t.provider_id
		WHERE v.kind = 'reversal' AND ((v.order_id, v.amount_minor, v.currency) IS DISTINCT FROM (t.order_id, t.amount_minor, t.currency)
		      OR (f.order_id, f.effect, f.amount_minor, f.currency) IS DISTINCT FROM (v.order_id, 'owed again', v.amount_minor, v.currency))`},
	{says: "a refund that has failed is taken back", sql: `
		SELECT t.order_id, t.provider_id, f.effect, f.failed_at FROM payment.failed_refunds f JOIN payment.transfers t ON t.provider_id = f.refund_id
		WHERE NOT EXISTS (SELECT FROM payment.transfers v WHERE v.provider_id = 'reversal-' || t.provider_id)`},
	{says: "a payment counts what was taken back of its refunds", sql: `
		SELECT p.order_id, p.state, p.reversals, p.failed_refunds, count(v.provider_id) AS taken_back
		FROM payment.payments p LEFT JOIN payment.transfers v ON v.order_id = p.order_id AND v.kind = 'reversal'
		WHERE p.reversals > 0 OR v.provider_id IS NOT NULL GROUP BY p.order_id, p.state, p.reversals, p.failed_refunds HAVING count(v.provider_id) <> p.reversals`},
	{says: "a payment knows which of its refunds have failed", sql: `
		SELECT coalesce(p.order_id, f.order_id) AS order_id, p.refund_id, f.refund_id AS failed
		FROM (SELECT order_id, unnest(failed_refunds) AS refund_id FROM payment.payments WHERE failed_refunds <> '{}') p
		FULL JOIN (SELECT f.order_id, f.refund_id FROM payment.failed_refunds f JOIN payment.payments q USING (order_id)
		           WHERE (f.amount_minor, f.currency) = (q.amount_minor, q.currency)) f ON (f.order_id, f.refund_id) = (p.order_id, p.refund_id)
		WHERE p.order_id IS NULL OR f.order_id IS NULL`},
	{says: "a dispute is of the charge of the payment that it names", sql: `
		SELECT d.dispute_id, d.order_id, d.charge_id, p.charge_id AS payments FROM payment.disputes d LEFT JOIN (` + allPayments + `) p USING (order_id)
		WHERE d.order_id IS NOT NULL AND d.charge_id IS DISTINCT FROM p.charge_id`},
}

// settledOrphans are what operators have seen to: the provider's entries of these, and what gave them back, are compared with nothing.
const settledOrphans = `SELECT provider_id FROM payment.orphans WHERE settled_at IS NOT NULL`

// settledAs says of a charge or refund of ours that the provider does not know it, and that somebody has seen to that.
func settledAs(column string) string {
	return `coalesce(` + column + ` IN (` + settledOrphans + `), false)`
}

var orphansSettled = rule{says: "what was settled of what only one side knows of says who did so and why", sql: `
	SELECT o.provider_id, o.order_id, o.settled_at, a.by FROM (SELECT * FROM payment.orphans WHERE settled_at IS NOT NULL) o
	FULL JOIN (SELECT * FROM payment.orphan_acts WHERE act = 'settle') a USING (provider_id)
	WHERE o.provider_id IS NULL OR a.provider_id IS NULL`}

// afterwards is what befell money after it was moved, and is worth a look.
var afterwards = []rule{
	{says: "a refund failed at the provider, and the money is on its way again", sql: `
		SELECT p.order_id, o.status, p.state, p.amount_minor, p.currency, p.owed_since, p.failed_refunds, p.last_error
		FROM payment.payments p LEFT JOIN orders.orders o ON o.id = p.order_id
		WHERE p.state = 'REFUNDING' AND p.failed_refunds <> '{}' ORDER BY p.owed_since`},
	{says: "a refund failed at the provider, and no payment wants it made", sql: `
		SELECT refund_id, charge_id, order_id, amount_minor, currency, reason, failed_at FROM payment.failed_refunds WHERE effect = 'none' ORDER BY told_at`},
	{says: "known to one side only, and settled by a person", sql: `
		SELECT o.provider_id, o.order_id, o.found, o.kind, o.amount_minor, o.currency, a.by, a.reason, a.at
		FROM payment.orphan_acts a JOIN payment.orphans o USING (provider_id) WHERE a.act = 'settle' ORDER BY a.at`},
	{says: "a charge is disputed, or its money was withdrawn for a dispute", sql: `
		SELECT dispute_id, charge_id, order_id, amount_minor, currency, status, funds, as_of FROM payment.disputes
		WHERE NOT over OR funds = 'withdrawn' ORDER BY told_at`},
}

// untold are entries of the provider's of which we are yet to hear.
var untold = rule{says: "the provider is about to tell of it", sql: `
	SELECT DISTINCT l.kind, l.id, l.order_id, l.charge_id, l.amount_minor, l.currency, l.status FROM audit_ledger l
	WHERE l.late AND (l.kind = 'reversal' AND l.id NOT IN (SELECT refund_id FROM payment.failed_refunds)
	                  OR l.kind = 'stand' AND l.id NOT IN (SELECT dispute_id FROM payment.disputes)) ORDER BY l.id`}

// givenBack is what an entry r of the provider's has given back.
const givenBack = `CASE r.kind WHEN 'refund' THEN r.amount_minor ELSE -r.amount_minor END`

// knownToHaveFailed says of a refund r of the provider's that it has failed and that we know it.
const knownToHaveFailed = `
	EXISTS (SELECT FROM payment.failed_refunds f WHERE (f.refund_id, f.charge_id, f.amount_minor, f.currency) = (r.id, r.charge_id, r.amount_minor, r.currency))`

// toldLater are the rules that hold what befell refunds and charges beside the provider's own word.
var toldLater = []rule{
	{says: "a refund that has failed at the provider is known to have", sql: `
		SELECT r.id AS refund_id, r.order_id, r.charge_id, r.amount_minor FROM audit_ledger r
		WHERE r.kind = 'reversal' AND NOT r.late AND NOT ` + knownToHaveFailed},
	{says: "a refund that is known to have failed has", sql: `
		SELECT f.refund_id, f.order_id, f.effect FROM payment.failed_refunds f JOIN audit_ledger r ON r.kind = 'refund' AND r.id = f.refund_id
		WHERE NOT EXISTS (SELECT FROM audit_ledger v WHERE v.kind = 'reversal' AND v.id = f.refund_id)`},
	{says: "a dispute at the provider is known, as it stands", sql: `
		SELECT l.id AS dispute_id, l.order_id, l.charge_id, l.amount_minor, l.status AS theirs, d.status || '/' || d.funds AS ours
		FROM (SELECT DISTINCT ON (id) * FROM audit_ledger WHERE kind = 'stand' ORDER BY id, at DESC) l
		LEFT JOIN payment.disputes d ON d.dispute_id = l.id
		WHERE (NOT l.late OR l.at <= d.as_of) AND (l.charge_id, l.amount_minor, l.currency, l.status) IS DISTINCT FROM
		                                          (d.charge_id, d.amount_minor, d.currency, d.status || '/' || d.funds)`},
	{says: "a dispute that is known here is known at the provider", sql: `
		SELECT d.dispute_id, d.order_id, d.charge_id FROM payment.disputes d
		WHERE EXISTS (SELECT FROM audit_ledger c WHERE c.kind = 'charge' AND c.id = d.charge_id)
		  AND NOT EXISTS (SELECT FROM audit_ledger l WHERE l.kind = 'stand' AND l.id = d.dispute_id)`},
}
