package audit

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

const countPayments = `SELECT count(*) FROM payment.payments`

// booked is what payment's ledger says of an order and a currency, by its own reading of the transfers.
const booked = `
	SELECT order_id, currency,
		coalesce(sum(amount_minor) FILTER (WHERE credit = 'customer'), 0) AS charged,
		coalesce(sum(CASE 'refunds' WHEN debit THEN amount_minor WHEN credit THEN -amount_minor END), 0) AS refunded
	FROM payment.transfers GROUP BY order_id, currency`

// money is what the ledger says beside the state that the payment is in. VOIDED and DECLINED took nothing.
const money = `
	SELECT p.order_id, p.state, p.currency, p.amount_minor, coalesce(b.charged, 0) AS charged, coalesce(b.refunded, 0) AS refunded
	FROM payment.payments p LEFT JOIN (` + booked + `) b ON b.order_id = p.order_id AND b.currency = p.currency`

// withLedger adds rules that read the providers' books. Of accounts whose books are not there nothing is judged, and the verdict is
// skipped, unless what is there breaks it.
func (a *auditor) withLedger(v *Verdict, rules, ledger []rule) []rule {
	if len(a.Ledgers) == 0 {
		v.skip("no provider's books are configured")
		return rules
	}
	if len(a.unread) > 0 {
		v.skip(strings.Join(a.unread, "; "))
	}
	return append(rules, ledger...)
}

// readThere says of a payment p that the books of its account are on the desk.
const readThere = `(p.provider, p.account) IN (SELECT provider, account FROM audit_accounts)`

// lookForUnread finds the accounts at which somebody has paid and whose books are not there.
func (a *auditor) lookForUnread(ctx context.Context) error {
	for _, b := range a.desk.books {
		if b.gone != nil {
			a.unread = append(a.unread, b.gone.Error())
		}
	}
	if len(a.Ledgers) == 0 || len(a.unread) > 0 {
		return nil
	}
	rows, err := a.snap.tx.Query(ctx, `
		SELECT format('%s payments were made at %s account %s, whose books are not configured', count(*), provider, account)
		FROM (`+allPayments+`) p WHERE provider <> '' AND NOT `+readThere+` AND (p.provider, p.account) NOT IN (SELECT provider, account FROM payment.closed_accounts)
		GROUP BY provider, account ORDER BY provider, account`)
	if err == nil {
		a.unread, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return fmt.Errorf("look for accounts: %w", err)
	}
	return nil
}

// proveNobodyPaysTwice is M1.
func proveNobodyPaysTwice(ctx context.Context, a *auditor, v *Verdict) error {
	ours := []rule{
		{says: "an order has one payment", sql: `
			SELECT order_id, count(*) AS payments FROM payment.payments GROUP BY order_id HAVING count(*) > 1`},
		{says: "a payment is asked for by the order's method, in its strategy", sql: `
			SELECT p.order_id, p.state, p.payment_method, o.payment_method AS orders_method, p.strategy, o.strategy AS orders_strategy
			FROM payment.payments p JOIN orders.orders o ON o.id = p.order_id
			WHERE p.payment_method <> o.payment_method AND (p.state <> 'VOIDED' OR p.payment_method <> '') OR p.strategy <> o.strategy`},
		{says: "the amount asked for is the order's total", sql: `
			SELECT p.order_id, p.state, p.amount_minor, p.currency, o.total_minor, o.currency AS orders_currency
			FROM payment.payments p LEFT JOIN orders.orders o ON o.id = p.order_id
			WHERE (p.state <> 'VOIDED' OR p.charge_id IS NOT NULL)
			  AND (p.amount_minor, p.currency) IS DISTINCT FROM (o.total_minor, o.currency)`},
	}
	return a.check(ctx, v, countPayments, a.withLedger(v, ours, []rule{
		{says: "the provider charged an order once, but for what was found and given back", sql: `
			SELECT c.order_id, count(*) AS charges, sum(c.amount_minor) AS amount_minor FROM audit_ledger c
			WHERE c.kind = 'charge' AND NOT ` + foundAndGivenBack + ` GROUP BY c.order_id HAVING count(*) > 1`},
		{says: "the provider charged the order's total", sql: `
			SELECT c.order_id, c.id AS charge_id, c.amount_minor, c.currency, o.total_minor, o.currency AS orders_currency
			FROM audit_ledger c JOIN orders.orders o ON o.id::text = c.order_id
			WHERE c.kind = 'charge' AND (c.amount_minor, c.currency) <> (o.total_minor, o.currency)`},
	})...)
}

// foundAndGivenBack says of a charge c of the provider's that it is an orphan of which nothing was kept, by the provider's own word.
// Only that: two charges of which one was given back in the ordinary way are still two.
const foundAndGivenBack = `
	EXISTS (SELECT FROM payment.orphans o JOIN audit_ledger r ON r.kind = 'refund' AND r.id = o.refund_id
	        WHERE r.id NOT IN (SELECT id FROM audit_ledger WHERE kind = 'reversal' AND NOT late)
	          AND o.provider_id = c.id AND (r.charge_id, r.amount_minor, r.currency) = (c.id, c.amount_minor, c.currency))`

// keptByState finds payments whose state does not say what the ledger says.
const keptByState = `
	SELECT m.order_id, m.state, m.amount_minor, m.charged, m.refunded FROM (` + money + `) m
	WHERE m.charged <> CASE WHEN m.state IN ('SUCCESS', 'REFUNDING', 'REFUNDED') THEN m.amount_minor ELSE 0 END
	   OR m.refunded > m.charged OR m.state <> 'REFUNDING' AND m.refunded <> CASE WHEN m.state = 'REFUNDED' THEN m.amount_minor ELSE 0 END`

// balanced sums the ledger's entries, which must come to nothing in every currency.
const balanced = `
	SELECT currency, sum(got) AS sum_minor FROM (
		SELECT currency, amount_minor AS got FROM payment.transfers WHERE debit IN ('provider', 'refunds')
		UNION ALL SELECT currency, -amount_minor FROM payment.transfers WHERE credit IN ('customer', 'provider', 'outside', 'refunds')) e
	GROUP BY currency HAVING sum(got) <> 0`

// proveMoneyConserved is M2. What a final order says is true of the ledger too: its money was settled before it became final.
func proveMoneyConserved(ctx context.Context, a *auditor, v *Verdict) error {
	ours := []rule{
		{says: "the ledger's entries sum to zero in every currency", sql: balanced},
		{says: "a payment's state is what the ledger says", sql: keptByState},
		{says: "money moves for orders that have a payment, in its currency", sql: `
			SELECT t.order_id, t.provider_id, t.currency FROM payment.transfers t
			WHERE NOT EXISTS (SELECT FROM payment.payments p WHERE p.order_id = t.order_id AND p.currency = t.currency)`},
		settledByAPerson,
		{says: "what is known of archived payments is what was archived", sql: archivedMoney},
		{says: "a completed order has paid its total", sql: `
			SELECT o.id AS order_id, o.total_minor, m.state, m.charged, m.refunded
			FROM orders.orders o LEFT JOIN (` + money + `) m ON m.order_id = o.id
			WHERE o.status = 'COMPLETED' AND o.total_minor IS DISTINCT FROM m.charged - m.refunded`},
		{says: "a failed or cancelled order has paid nothing and never will", sql: `
			SELECT o.id AS order_id, o.status, m.state, m.charged, m.refunded
			FROM orders.orders o JOIN (` + money + `) m ON m.order_id = o.id
			WHERE o.status IN ('FAILED', 'CANCELLED') AND (m.charged <> m.refunded AND NOT ` + owedAgain("o.id") + ` OR m.state IN ('PENDING', 'UNKNOWN'))`},
	}
	ours = append(append(ours, reversals...), orphansSettled)
	err := a.check(ctx, v, countOrders, a.withLedger(v, ours, []rule{
		{says: "the provider kept of a final order what the order says", sql: keptOfFinalOrders},
		{says: "a refund gives back a charge and no more than it", sql: `
			SELECT r.charge_id, min(r.order_id) AS order_id, c.amount_minor AS charged, sum(` + givenBack + `) AS refunded
			FROM audit_ledger r LEFT JOIN audit_ledger c ON c.kind = 'charge' AND c.id = r.charge_id
			WHERE r.kind IN ('refund', 'reversal') GROUP BY r.charge_id, c.amount_minor
			HAVING sum(` + givenBack + `) > coalesce(c.amount_minor, 0)`},
	})...)
	if err != nil {
		return err
	}
	for _, r := range append([]rule{settlements}, afterwards...) {
		if err := a.list(ctx, v, r); err != nil {
			return err
		}
	}
	return a.list(ctx, v, rule{says: "money on its way", sql: `
		SELECT o.id AS order_id, o.status, o.payment_status, m.state, m.charged, m.refunded
		FROM orders.orders o LEFT JOIN (` + money + `) m ON m.order_id = o.id
		WHERE o.status = 'ENDING' OR o.status IN ('CREATED', 'PROCESSING') AND o.payment_status = 'UNKNOWN' ORDER BY o.id`})
}

// keptOfFinalOrders counts the refunds of complete orders as not made that may have been made since the snapshot, by a cancel. Of an
// order whose refund has failed just now, and may have been made anew, nothing can be said.
var keptOfFinalOrders = `
	SELECT o.id AS order_id, o.status, o.total_minor, coalesce(k.kept, 0) AS kept
	FROM orders.orders o
	LEFT JOIN (SELECT order_id, sum(CASE WHEN kind IN ('charge', 'reversal') THEN amount_minor WHEN kind = 'refund' THEN -amount_minor END) AS kept,
	                  bool_or(kind = 'reversal' AND late AND id NOT IN (SELECT refund_id FROM payment.failed_refunds)) AS untold,
	                  coalesce(sum(amount_minor) FILTER (WHERE kind = 'refund' AND late), 0) AS refunded_since
	           FROM audit_ledger GROUP BY order_id) k ON k.order_id = o.id::text
	WHERE o.status IN ('COMPLETED', 'FAILED', 'CANCELLED')
	  AND NOT EXISTS (SELECT FROM payment.acts s WHERE s.order_id = o.id AND s.act = 'settle')
	  AND NOT EXISTS (SELECT FROM payment.payments p WHERE p.order_id = o.id AND (` + settledAs("p.charge_id") + ` OR ` + settledAs("p.refund_id") + `))
	  AND NOT EXISTS (SELECT FROM payment.payments p WHERE p.order_id = o.id AND p.provider <> '' AND NOT ` + readThere + `)
	  AND NOT ` + owedAgain("o.id") + ` AND NOT coalesce(k.untold, false)
	  AND CASE WHEN o.status = 'COMPLETED' THEN coalesce(k.kept + k.refunded_since, 0) <> o.total_minor ELSE coalesce(k.kept, 0) <> 0 END`

// proveBooksAgree is M3. A charge or refund whose outcome is still being asked for may be in the ledger or not. A charge that nobody
// wanted is ours once it was found and given back.
func proveBooksAgree(ctx context.Context, a *auditor, v *Verdict) error {
	ours := []rule{
		{says: "a payment and the ledger name the same charge and refund of the provider's", sql: sameNames},
		{says: "a payment and the ledger name the same account", sql: `
			SELECT t.order_id, t.provider_id, t.provider, t.account, p.provider AS payments_provider, p.account AS payments_account
			FROM payment.transfers t JOIN payment.payments p USING (order_id) WHERE (t.provider, t.account) <> (p.provider, p.account)`},
	}
	rules := a.withLedger(v, ours, append([]rule{
		{says: "a charge of the provider's is one of ours", sql: `
			SELECT c.id AS charge_id, c.key, c.order_id, c.amount_minor AS theirs, p.amount_minor AS ours, p.state
			FROM audit_ledger c LEFT JOIN (` + allPayments + `) p ON p.charge_key = c.key
			WHERE c.kind = 'charge' AND NOT c.late
			  AND (p.order_id IS NULL OR p.order_id::text <> c.order_id OR (p.amount_minor, p.currency) <> (c.amount_minor, c.currency)
			       OR (p.provider, p.account) <> (c.provider, c.account)
			       OR p.state NOT IN ('PENDING', 'UNKNOWN', 'SUCCESS', 'REFUNDING', 'REFUNDED') OR p.charge_id NOT IN (c.id, 'outside-charge-' || p.order_id))
			  AND NOT EXISTS (SELECT FROM payment.orphans o WHERE o.provider_id = c.id AND o.refund_id IS NOT NULL)`},
		{says: "a charge of ours is one of the provider's", sql: `
			SELECT p.order_id, p.state, p.charge_id, p.amount_minor FROM (` + allPayments + `) p
			WHERE p.charge_id <> 'outside-charge-' || p.order_id AND ` + readThere + ` AND NOT ` + settledAs("p.charge_id") + `
			  AND NOT EXISTS (SELECT FROM audit_ledger c WHERE c.kind = 'charge' AND c.id = p.charge_id AND c.key = p.charge_key
			                  AND (c.provider, c.account) = (p.provider, p.account))`},
		{says: "a refund of the provider's is one of ours", sql: `
			SELECT r.id AS refund_id, r.key, r.order_id, r.amount_minor AS theirs, p.amount_minor AS ours, p.state
			FROM audit_ledger r LEFT JOIN (` + allPayments + `) p ON p.refund_key = r.key
			WHERE r.kind = 'refund' AND NOT r.late AND r.key <> ''
			  AND (p.order_id IS NULL OR p.order_id::text <> r.order_id OR (p.amount_minor, p.currency) <> (r.amount_minor, r.currency)
			       OR (p.provider, p.account) <> (r.provider, r.account)
			       OR p.state NOT IN ('REFUNDING', 'REFUNDED') OR p.refund_id <> r.id OR p.charge_id <> r.charge_id)
			  AND NOT ` + knownToHaveFailed + `
			  AND NOT EXISTS (SELECT FROM payment.orphans o WHERE o.provider_id = r.charge_id AND o.refund_id = r.id)`},
		{says: "a refund that was made by hand at the provider is known here", sql: `
			SELECT r.id AS refund_id, r.order_id, r.charge_id, r.amount_minor FROM audit_ledger r
			WHERE r.kind = 'refund' AND NOT r.late AND r.key = '' AND NOT ` + knownToHaveFailed + `
			  AND NOT EXISTS (SELECT FROM (` + allPayments + `) p WHERE p.refund_id = r.id AND p.order_id::text = r.order_id)`},
		{says: "a refund of ours is one of the provider's", sql: `
			SELECT p.order_id, p.state, p.refund_id, p.amount_minor FROM (` + allPayments + `) p
			WHERE p.refund_id IS NOT NULL AND p.refund_id <> 'outside-' || p.order_id AND ` + readThere + ` AND NOT ` + settledAs("p.refund_id") + `
			  AND NOT EXISTS (SELECT FROM audit_ledger r WHERE r.kind = 'refund' AND r.id = p.refund_id AND r.key IN (p.refund_key, '')
			                  AND (r.provider, r.account) = (p.provider, p.account))`},
	}, toldLater...))
	if err := a.check(ctx, v, `SELECT count(*) FROM audit_ledger`, rules...); err != nil {
		return err
	}
	for _, r := range []rule{untold, closedAccounts} {
		if err := a.list(ctx, v, r); err != nil {
			return err
		}
	}
	return nil
}

// sameNames compares what stands: a refund that was taken back is in the ledger alone.
const sameNames = `
	SELECT coalesce(p.order_id, t.order_id) AS order_id, p.kind, p.id AS payments_id, t.provider_id AS transfers_id
	FROM (SELECT order_id, 'charge' AS kind, charge_id AS id FROM payment.payments WHERE charge_id IS NOT NULL
	      UNION ALL SELECT order_id, 'refund', refund_id FROM payment.payments WHERE refund_id IS NOT NULL) p
	FULL JOIN (SELECT * FROM payment.transfers s
	           WHERE s.kind <> 'reversal' AND NOT EXISTS (SELECT FROM payment.transfers r WHERE r.provider_id = 'reversal-' || s.provider_id)) t
	     ON t.order_id = p.order_id AND t.kind = p.kind AND t.provider_id = p.id
	WHERE p.id IS NULL OR t.provider_id IS NULL`
