package stripe

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/payment/promise"
)

// keeping is a server that keeps its first answer under each key, as Stripe does with those of status 500 too, and gives it again.
type keeping struct {
	t      *testing.T
	answer func(request string, n int) saying // the n-th that is not a repetition

	mu   sync.Mutex
	kept map[string]saying
	n    map[string]int
}

func (k *keeping) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	name, key := r.Method+" "+strings.TrimPrefix(r.URL.Path, "/v1/"), r.Header.Get("Idempotency-Key")
	said, known := k.kept[key]
	if !known || r.Method != http.MethodPost {
		k.n[name]++
		said = k.answer(name, k.n[name])
		k.kept[key] = said
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(said.status)
	if err := json.NewEncoder(w).Encode(said.body); err != nil {
		k.t.Error(err)
	}
}

// An error that Stripe keeps under a key is not the last word: what charges nothing, or once whatever the key, is asked for under
// another one.
func TestErrorsThatAreKeptAreNoEnd(t *testing.T) {
	t.Parallel()
	in := promise.Intent("pm_ok")
	paid := with(intentOf(in, "succeeded"), object{"amount_received": in.Terms.TotalMinor, "latest_charge": "ch_1"})
	broken := saying{500, object{"error": object{"type": "api_error"}}}
	poor := no(400, "invalid_request_error", "balance_insufficient", "")
	answers := map[string][]saying{
		opens:    {broken, broken, ok(intentOf(in, "requires_payment_method"))},
		confirms: {broken, ok(paid)},
		shows:    {ok(intentOf(in, "requires_payment_method"))},
		lists:    {ok(listOf())},
		refunds:  {broken, poor, poor, ok(refundOf(in, "succeeded"))},
	}
	server := httptest.NewServer(&keeping{t: t, kept: map[string]saying{}, n: map[string]int{}, answer: func(request string, n int) saying {
		of := answers[request]
		return of[min(n, len(of))-1]
	}})
	t.Cleanup(server.Close)
	s := at(t, server.URL)
	// until does what a charger does: it counts the answers that were errors.
	until := func(want payment.Verdict, do func(context.Context, payment.Intent) (payment.Outcome, error)) payment.Outcome {
		for range 10 {
			o, err := do(t.Context(), in)
			if err == nil && o.Verdict == want {
				return o
			}
			if !errors.Is(err, payment.ErrAnswered) {
				t.Fatalf("%+v, %v, want %s", o, err, want)
			}
			in.ErrorAnswers++
		}
		t.Fatalf("never %s", want)
		return payment.Outcome{}
	}
	in.OpenedAs = until(payment.Opened, s.Open).ChargeID
	in.ChargeID = until(payment.Charged, s.Charge).ChargeID
	until(payment.GivenBack, s.Refund)
}
