package audit

import "context"

// Orders that were archived are not read again: what they came to stands in a row of each product (carried), in a narrow row of each
// payment and each order, and in the sums and digests of their month, which prove those rows. The documents themselves are read
// when that is asked for (Options.Archive), as far as their months are there.

// sums is what a month's rows of a table come to, by the auditor's own reading; digest is of a row r.
func sums(table string) string {
	return `SELECT r.month, count(*) AS n, sum(archive.digest(jsonb_strip_nulls(to_jsonb(r))::text)) AS digest FROM ` + table + ` r GROUP BY r.month`
}

// carriedMovements compares what products carry with the movements that months have taken.
const carriedMovements = `
	SELECT c.n AS carried, m.n AS archived FROM (SELECT coalesce(sum(movements), 0) AS n FROM inventory.carried) c,
		(SELECT coalesce(sum(movements), 0) AS n FROM archive.months) m
	WHERE c.n <> m.n`

// archivedMoney finds months whose archived payments are not those that went into them.
var archivedMoney = `
	SELECT coalesce(m.month, s.month) AS month, m.payments, s.n AS found, m.money AS digest, s.digest AS found_digest
	FROM archive.months m FULL JOIN (` + sums("payment.archived") + `) s ON s.month = m.month
	WHERE (coalesce(m.payments, 0), coalesce(m.money, 0)) <> (coalesce(s.n, 0), coalesce(s.digest, 0))`

// archivedOrders finds the same of what is known of archived orders.
var archivedOrders = `
	SELECT coalesce(m.month, s.month) AS month, m.orders, s.n AS found, m.known AS digest, s.digest AS found_digest
	FROM archive.months m FULL JOIN (` + sums("orders.archived") + `) s ON s.month = m.month
	WHERE (coalesce(m.orders, 0), coalesce(m.known, 0)) <> (coalesce(s.n, 0), coalesce(s.digest, 0))`

// archivedTwice finds orders that are archived and are not, either as orders or by their money.
const archivedTwice = `
	SELECT a.id AS order_id, a.month FROM orders.archived a JOIN orders.orders o ON o.id = a.id
	UNION ALL SELECT a.order_id, a.month FROM payment.archived a JOIN payment.payments p ON p.order_id = a.order_id
	UNION ALL SELECT a.order_id, a.month FROM payment.archived a WHERE NOT EXISTS (SELECT FROM orders.archived o WHERE (o.id, o.month) = (a.order_id, a.month))`

// monthsThere are the months whose partition is attached.
const monthsThere = `
	SELECT to_date(substr(c.relname, 8), 'YYYYMM') AS month FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
	WHERE i.inhparent = 'archive.orders'::regclass AND NOT i.inhdetachpending`

// documents finds months that are there and whose documents are not those that went into them.
const documents = `
	SELECT t.month, m.orders - m.gone AS orders, s.n AS found, m.documents AS digest, s.digest AS found_digest
	FROM (` + monthsThere + `) t LEFT JOIN archive.months m ON m.month = t.month
	LEFT JOIN (SELECT d.month, count(*) AS n, sum(archive.digest(d.view::text || d.rows::text)) AS digest FROM archive.orders d GROUP BY d.month) s ON s.month = t.month
	WHERE (coalesce(m.orders - m.gone, 0), coalesce(m.documents, 0)) <> (coalesce(s.n, 0), coalesce(s.digest, 0))`

// strayDocuments finds documents of orders that are not known as archived, or as another's or of another month.
const strayDocuments = `
	SELECT d.id AS order_id, d.month FROM archive.orders d LEFT JOIN orders.archived a ON a.id = d.id
	WHERE (a.customer, a.month) IS DISTINCT FROM (d.customer, d.month)`

// proveArchive is the part of O1 about what was archived.
func proveArchive(ctx context.Context, a *auditor, v *Verdict) error {
	rules := []rule{
		{says: "what is known of archived orders is what was archived", sql: archivedOrders},
		{says: "an archived order is archived as a whole", sql: archivedTwice},
	}
	if a.Archive {
		rules = append(rules, rule{says: "a month's documents are those that were archived", sql: documents},
			rule{says: "a document is of an order that was archived", sql: strayDocuments})
	}
	return a.check(ctx, v, `SELECT coalesce(sum(orders), 0)::bigint FROM archive.months`, rules...)
}

// allPayments is what the provider may know our money by: of payments, and of those that were archived.
const allPayments = `
	SELECT order_id, state, charge_key, refund_key, charge_id, refund_id, amount_minor, currency, provider, account FROM payment.payments
	UNION ALL SELECT order_id, state, 'charge-' || order_id, 'refund-' || order_id, charge_id, refund_id, amount_minor, currency,
		coalesce(provider, ''), coalesce(account, '') FROM payment.archived`
