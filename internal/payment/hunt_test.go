package payment_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/payment"
)

// hunter compares in small pages, without waiting for what is young.
func (w *world) hunter(wake func(), change ...func(*payment.HunterOptions)) *payment.Hunter {
	o := payment.HunterOptions{Cooldown: -1, Page: 2, Log: w.env.Log, Registry: prometheus.NewRegistry()}
	for _, c := range change {
		c(&o)
	}
	return payment.NewHunter(w.env.DB, w.provider, wake, o)
}

// account is the provider's.
func (w *world) account() payment.AccountStatus {
	w.Helper()
	a, err := w.provider.Account(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return payment.AccountStatus{Provider: a.Provider, Account: a.ID}
}

func (w *world) hunt(h *payment.Hunter) {
	w.Helper()
	if err := h.Hunt(w.Context()); err != nil {
		w.Fatal(err)
	}
}

// orphans gives what was found, by the order's id.
func (w *world) orphans() map[string]string {
	w.Helper()
	rows, err := w.env.DB.Query(w.Context(), `SELECT order_id, found || CASE WHEN refund_id IS NULL THEN '' ELSE ', given back' END FROM payment.orphans`)
	if err != nil {
		w.Fatal(err)
	}
	found := map[string]string{}
	var order, what string
	if _, err := pgx.ForEachRow(rows, []any{&order, &what}, func() error { found[order] = what; return nil }); err != nil {
		w.Fatal(err)
	}
	return found
}

// Money that only one side knows of is found, and put right where it is ours to do so: what we have not heard is adopted, what an
// order does not want is given back, once, and the rest is only told of.
func TestHunt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	charge := func(p purchase, change func(*payment.Intent)) {
		t.Helper()
		in := intentOf(p)
		in.ChargeID = ""
		change(&in)
		if o, err := w.provider.Charge(t.Context(), in); err != nil || o.Verdict != payment.Charged {
			t.Fatalf("%+v, %v", o, err)
		}
	}
	asIs := func(*payment.Intent) {}

	unheard, fine, unwanted, unknown := buy("pm_ok"), buy("pm_ok"), buy("pm_ok"), buy("pm_ok")
	other, dear := buy("pm_ok"), buy("pm_ok")
	w.attempt(unheard, stuck{w.provider})
	w.attempt(dear, stuck{w.provider})
	charge(unheard, asIs)
	charge(dear, func(in *payment.Intent) { in.Terms.TotalMinor++ })
	w.hear(w.idle().GiveBack, unwanted.fact(event.OrderEnding)) // a tombstone
	charge(unwanted, asIs)
	charge(unknown, asIs)
	charge(other, func(in *payment.Intent) { in.ChargeKey = "of-another-shop" })
	if _, err := w.env.DB.Exec(t.Context(), `UPDATE payment.payments SET due_at = now() + interval '1 hour' WHERE due_at IS NOT NULL`); err != nil {
		t.Fatal(err) // only the hunter is to find them
	}
	service, _, stop := w.charger(nil)
	w.hear(service.Charge, fine.fact(event.OrderCreated))
	w.reach(fine.id, payment.Success)
	w.hear(service.GiveBack, fine.fact(event.OrderEnding))
	w.reach(fine.id, payment.Refunded)
	stop()

	h := w.hunter(func() {})
	w.hunt(h)
	w.hunt(h)
	want := map[string]string{
		unwanted.id.String(): "stray, given back", unknown.id.String(): "no order", other.id.String(): "foreign", dear.id.String(): "wrong",
	}
	if diff := cmp.Diff(want, w.orphans()); diff != "" {
		t.Error(diff)
	}
	w.expect(unheard, payment.Success, "unknown processed", paid)
	w.expect(unwanted, payment.Voided, "voided", repaid)
	w.expect(fine, payment.Refunded, "processed refunded", repaid)
	if got := w.ledger()[unknown.id]; got != paid {
		t.Errorf("the charge of nobody: %+v", got)
	}
	status, err := payment.NewHunters(w.env.DB, nil, nil, payment.HunterOptions{}).Status(t.Context(), []payment.AccountStatus{w.account()})
	if err != nil || status.RanAt == nil || status.Open != 3 || status.Refunded != 1 {
		t.Errorf("%+v, %v", status, err)
	}

	ghost := uuid.NewString()
	if _, err := w.env.DB.Exec(t.Context(), `
		INSERT INTO payment.transfers (provider_id, order_id, kind, credit, debit, amount_minor, currency, cause, provider, account)
		VALUES ('ch_ghost', $1, 'charge', 'customer', 'provider', 5, 'GBP', $1, 'sandbox', $2)`, ghost, w.account().Account); err != nil {
		t.Fatal(err)
	}
	later := buy("pm_ok")
	charge(later, asIs)
	h = w.hunter(func() {}, func(o *payment.HunterOptions) { o.NoOrder = true })
	w.hunt(h)
	want[ghost], want[later.id.String()] = "missing", "no order, given back"
	if diff := cmp.Diff(want, w.orphans()); diff != "" {
		t.Error(diff)
	}
	var left int
	if err := w.env.DB.QueryRow(t.Context(), `SELECT count(*) FROM payment.statement`).Scan(&left); err != nil || left != 0 {
		t.Errorf("%d lines were not met, %v", left, err)
	}
}
