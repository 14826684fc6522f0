package audit

import (
	"context"
	"fmt"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/stripe/standin"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// A refund that somebody made by hand at Stripe lies with the order of its charge, and those of others' charges do not lie there. A
// charge that had no end when the list was read, and is in our books since, is found beside the snapshot.
func TestRefundsByHandLieWithTheirOrder(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	server := standin.Start(t)
	server.Open("acct_1", "sk_test_1")
	ledger := Ledger{Provider: "stripe", URL: server.URL, APIKey: "sk_test_1", Namespace: "shop"}
	asker := ledger.reader().(*stripeBooks)
	first, second := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	opened := func(namespace string, order uuid.UUID) string {
		return stripePost(t, asker, "payment_intents", url.Values{
			"amount": {"1000"}, "currency": {"gbp"}, "metadata[holdfast_namespace]": {namespace},
			"metadata[holdfast_key]": {"charge-" + order.String()}, "metadata[holdfast_order]": {order.String()},
		})
	}
	confirm := func(id string) {
		stripePost(t, asker, "payment_intents/"+id+"/confirm", url.Values{"payment_method": {"pm_card_visa"}})
	}
	ours, open, theirs := opened("shop", first), opened("shop", second), opened("another", first)
	confirm(ours)
	confirm(theirs)
	back := stripePost(t, asker, "refunds", url.Values{"payment_intent": {ours}, "amount": {"400"}})
	stripePost(t, asker, "refunds", url.Values{"payment_intent": {theirs}, "amount": {"400"}})

	d, err := sitDown(t.Context(), env.DB, []Ledger{ledger})
	if err != nil {
		t.Fatal(err)
	}
	defer d.leave(context.WithoutCancel(t.Context()))
	if err := d.catchUp(t.Context()); err != nil || d.gone() {
		t.Fatal(err, d.gone())
	}
	confirm(open)
	_, err = env.DB.Exec(t.Context(), `
		INSERT INTO payment.transfers (provider_id, order_id, kind, credit, debit, amount_minor, currency, cause, provider, account)
		VALUES ($1, $2, 'charge', 'customer', 'provider', 1000, 'GBP', $2, 'stripe', 'acct_1/test')`, open, second)
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close(t.Context())
	if err := d.catchUpLate(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	rows, err := s.tx.Query(t.Context(), `SELECT kind || ' ' || id || ' of ' || order_id || ', late: ' || late FROM audit_ledger ORDER BY late, kind`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		fmt.Sprintf("charge %s of %s, late: false", ours, first),
		fmt.Sprintf("refund %s of %s, late: false", back, first),
		fmt.Sprintf("charge %s of %s, late: true", open, second),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the books (-want +got):\n%s", diff)
	}
}
