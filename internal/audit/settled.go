package audit

// settledByAPerson holds what operators have said of payments beside what our books say. A charge of which no provider has told an id is
// named by a settlement, and so is a refund that no provider has made.
var settledByAPerson = rule{says: "what was settled outside says who did so and why", sql: `
	SELECT coalesce(t.order_id, a.order_id) AS order_id, t.provider_id, a.outcome, a.by, a.reason
	FROM (SELECT order_id, provider_id, CASE kind WHEN 'refund' THEN 'refunded' ELSE 'charged' END AS outcome FROM payment.transfers
	      WHERE credit = 'outside' OR provider_id = 'outside-charge-' || order_id) t
	FULL JOIN (SELECT order_id, coalesce(outcome, 'refunded') AS outcome, by, reason FROM payment.acts WHERE act = 'settle') a
	     ON a.order_id = t.order_id AND (a.outcome = t.outcome OR a.outcome = 'refunded' AND t.outcome = 'charged')
	LEFT JOIN payment.payments p ON p.order_id = a.order_id
	WHERE a.order_id IS NULL
	   OR t.order_id IS NULL AND (a.outcome = 'refunded' OR p.order_id IS NULL OR (p.charge_id IS NOT NULL) <> (a.outcome = 'charged'))`}

// settlements are payments of which a person has said what is true. Of archived ones who and why is in the document.
var settlements = rule{says: "settled outside, by a person", sql: `
	SELECT s.order_id, coalesce(s.outcome, 'refunded') AS outcome, s.by, s.reason, s.at, p.state, p.amount_minor, p.currency, false AS archived
	FROM payment.acts s JOIN payment.payments p USING (order_id) WHERE s.act = 'settle'
	UNION ALL SELECT order_id, settled, NULL, NULL, NULL, state, amount_minor, currency, true FROM payment.archived WHERE settled IS NOT NULL ORDER BY order_id`}

// closedAccounts are those that are gone for good, by an operator's word: what was paid there is judged by our books alone.
var closedAccounts = rule{says: "the account is closed: by our books alone", sql: `
	SELECT k.provider, k.account, k.by, k.reason, k.at, m.*
	FROM payment.closed_accounts k
	LEFT JOIN LATERAL (
		SELECT p.currency, count(*) AS payments, count(*) FILTER (WHERE p.state IN ('PENDING', 'UNKNOWN', 'REFUNDING')) AS under_way,
			coalesce(sum(p.amount_minor) FILTER (WHERE p.charge_id IS NOT NULL), 0) AS charged,
			coalesce(sum(p.amount_minor) FILTER (WHERE p.state = 'REFUNDED'), 0) AS refunded
		FROM (` + allPayments + `) p WHERE (p.provider, p.account) = (k.provider, k.account) GROUP BY p.currency) m ON true
	WHERE NOT EXISTS (SELECT FROM audit_accounts r WHERE (r.provider, r.account) = (k.provider, k.account))
	ORDER BY k.provider, k.account, m.currency`}
