package stripe

import (
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/payment/promise"
	"github.com/holdfast-checkout/holdfast/internal/stripe/standin"
)

// Stripe says which account the key is of, and is asked for many of our transfers with few requests.
func TestManyAreFoundAtOnce(t *testing.T) {
	t.Parallel()
	server := standin.Start(t)
	account := server.Open("acct_1", promise.Key)
	s := at(t, server.URL)
	if a, err := s.Account(t.Context()); err != nil || a != (payment.Account{Provider: "stripe", ID: "acct_1/test"}) {
		t.Fatalf("%+v, %v", a, err)
	}
	var lines []payment.Line
	made := func(verdict payment.Verdict, id string) {
		lines = append(lines, payment.Line{Verdict: verdict, ID: id, At: time.Now()})
	}
	for i := range 120 {
		in := promise.Intent("pm_ok")
		o, err := s.Open(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if in.OpenedAs = o.ChargeID; i%2 == 0 {
			continue
		}
		if o, err = s.Charge(t.Context(), in); err != nil || o.Verdict != payment.Charged {
			t.Fatalf("%+v, %v", o, err)
		}
		made(payment.Charged, o.ChargeID)
		if in.ChargeID = o.ChargeID; i%20 == 1 {
			if o, err = s.Refund(t.Context(), in); err != nil {
				t.Fatal(err)
			}
			made(payment.GivenBack, o.RefundID)
		}
	}
	before := account.Asked("GET")
	found, err := s.Find(t.Context(), append(lines, payment.Line{Verdict: payment.Charged, ID: "pi_none", At: time.Now()}))
	if asked := account.Asked("GET") - before; err != nil || len(found) != len(lines) || asked > 3 {
		t.Errorf("%d of %d found with %d requests, %v", len(found), len(lines), asked, err)
	}
	long := payment.Line{Verdict: payment.Charged, ID: lines[0].ID, At: time.Now().Add(-48 * time.Hour)}
	if found, err := s.Find(t.Context(), []payment.Line{long}); err != nil || len(found) != 0 {
		t.Errorf("found at another time: %v, %v", found, err)
	}
}
