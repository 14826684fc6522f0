package payment_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// The table itself refuses what must not be, whoever writes it.
func TestWhatTheTableRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	service, _, _ := w.charger(nil)
	paid, refunded, other := buy("pm_ok"), buy("pm_ok"), buy("pm_ok")
	w.hear(service.Charge, paid.fact(event.OrderCreated), refunded.fact(event.OrderCreated), other.fact(event.OrderCreated))
	w.rest()
	w.hear(service.GiveBack, refunded.fact(event.OrderEnding))
	w.reach(refunded.id, payment.Refunded)
	for _, c := range []struct {
		order     uuid.UUID
		change    string
		violation string
	}{
		{paid.id, "amount_minor = -1, charge_id = NULL", "payments_amount_minor_check"},
		{paid.id, "currency = 'pounds'", "terms_are_whole"},
		{paid.id, "payment_method = ''", "terms_are_whole"},
		{paid.id, "state = 'PAID', charge_id = NULL", "payments_state_check"},
		{paid.id, "charge_id = NULL", "money_has_a_charge"},
		{paid.id, "charge_key = 'charge-2'", "keys_of_the_order"},
		{paid.id, "refund_id = 're_1'", "refunded_has_a_refund"},
		{paid.id, "state = 'PENDING', charge_id = NULL", "due_until_settled"},
		{paid.id, "undo_cause = order_id", "kept_without_one"},
		{paid.id, "attempted_at = NULL, provider = '', account = ''", "attempted_first"},
		{paid.id, "attempted_at = NULL", "attempted_at_an_account"},
		{paid.id, "account = ''", "attempted_at_an_account"},
		{paid.id, "leased_until = now()", "leased_while_due"},
		{paid.id, fmt.Sprintf("charge_id = (SELECT charge_id FROM payment.payments WHERE order_id = '%s')", other.id), "payments_by_charge"},
		{paid.id, "state = 'DECLINED', charge_id = NULL", "declined_says_why"},
		{refunded.id, "state = 'REFUNDING', refund_id = NULL", "due_until_settled"},
		{refunded.id, "undo_cause = NULL", "undone_for_a_cause"},
		{refunded.id, "refund_attempted_at = NULL", "refund_attempted_first"},
		{refunded.id, "charge_id = NULL, amount_minor = 0", "nothing_is_not_refunded"},
	} {
		_, err := w.env.DB.Exec(t.Context(), "UPDATE payment.payments SET "+c.change+" WHERE order_id = $1", c.order)
		if got := constraint(err); got != c.violation {
			t.Errorf("%s: violates %q (%v), want %q", c.change, got, err, c.violation)
		}
	}
}

// The ledger of money is added to, and never changed; what it holds sums to nothing, and no refund exceeds its charge.
func TestTheLedgerIsAppendOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	service, _, _ := w.charger(nil)
	paid, refunded, declined, free := buy("pm_ok"), buy("pm_ok"), buy("pm_declined"), buy("pm_ok")
	free.amount = 0
	for _, o := range []purchase{paid, refunded, declined, free} {
		w.hear(service.Charge, o.fact(event.OrderCreated))
	}
	w.rest()
	w.hear(service.GiveBack, refunded.fact(event.OrderEnding), free.fact(event.OrderEnding))
	w.reach(refunded.id, payment.Refunded)
	w.rest()
	rows, err := w.env.DB.Query(t.Context(), `SELECT order_id, charged, refunded, kept FROM payment.balances`)
	if err != nil {
		t.Fatal(err)
	}
	balances := map[uuid.UUID][3]int64{}
	var order uuid.UUID
	var b [3]int64
	if _, err := pgx.ForEachRow(rows, []any{&order, &b[0], &b[1], &b[2]}, func() error { balances[order] = b; return nil }); err != nil {
		t.Fatal(err)
	}
	total := paid.amount
	if diff := cmp.Diff(map[uuid.UUID][3]int64{paid.id: {total, 0, total}, refunded.id: {total, total, 0}}, balances); diff != "" {
		t.Error(diff)
	}
	var sums, unlike int
	if err := w.env.DB.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM (SELECT FROM payment.entries GROUP BY currency HAVING sum(amount_minor) <> 0) s),
		(SELECT count(*) FROM payment.transfers t JOIN payment.payments p USING (order_id) WHERE t.provider_id NOT IN (p.charge_id, p.refund_id))`).
		Scan(&sums, &unlike); err != nil || sums != 0 || unlike != 0 {
		t.Errorf("%d currencies out of balance, %d transfers under other ids, %v", sums, unlike, err)
	}
	for _, change := range []string{
		`UPDATE payment.transfers SET amount_minor = 1`, `DELETE FROM payment.transfers`, `TRUNCATE payment.transfers`,
		`UPDATE payment.transfers SET amount_minor = 1 WHERE false`,
	} {
		if _, err := w.env.DB.Exec(t.Context(), change); postgres.Code(err) != "23000" {
			t.Errorf("%s: %v", change, err)
		}
	}
	const more = `INSERT INTO payment.transfers (provider_id, order_id, kind, credit, debit, amount_minor, currency, cause, provider, account) VALUES `
	for values, violation := range map[string]string{
		`('re_2', $1, 'refund', 'provider', 'refunds', 1, 'GBP', $1, 'sandbox', 'a')`:   "refunds_within_charge",
		`('ch_2', $1, 'charge', 'customer', 'provider', 1, 'GBP', $1, 'sandbox', 'a')`:  "transfers_one_charge",
		`('ch_3', $1, 'charge', 'provider', 'customer', 1, 'GBP', $1, 'sandbox', 'a')`:  "accounts_of_the_kind",
		`('ch_4', $1, 'charge', 'customer', 'provider', -1, 'GBP', $1, 'sandbox', 'a')`: "transfers_amount_minor_check",
	} {
		if _, err := w.env.DB.Exec(t.Context(), more+values, refunded.id); constraint(err) != violation {
			t.Errorf("%s: %v, want %s", values, err, violation)
		}
	}
}

func constraint(err error) string {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return refused.ConstraintName
	}
	return ""
}
