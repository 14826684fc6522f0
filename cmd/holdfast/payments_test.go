package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/stripe/standin"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// patient is for instances that start beside others on a busy machine.
const patient = 3 * time.Minute

// payments runs holdfast payments, and gives its exit code and all that it says.
func (s *stripeShop) payments(args ...string) (code int, said string) {
	s.Helper()
	var out, failed bytes.Buffer
	code = execute(s.Context(), slices.Concat([]string{"payments"}, args, []string{"--url=" + s.url, "--jwt-secret=" + backboneSecret}), &out, &failed)
	return code, out.String() + failed.String()
}

// says waits until holdfast payments ends so and says these words: for a moment somebody else may be asking the provider.
func (s *stripeShop) says(want int, words string, args ...string) {
	s.Helper()
	testkit.Eventually(s, patient, func() error {
		if code, said := s.payments(args...); code != want || !strings.Contains(said, words) {
			return fmt.Errorf("%s: exit code %d, want %d and %q: %s", args, code, want, words, said)
		}
		return nil
	})
}

// strange makes a charge at Stripe under a key like ours, of an order that nobody knows.
func (s *stripeShop) strange(key string) string {
	s.Helper()
	order := uuid.NewString()
	id := s.post(key, "payment_intents", url.Values{
		"amount": {"1275"}, "currency": {"gbp"}, "metadata[holdfast_namespace]": {s.env.Namespace},
		"metadata[holdfast_key]": {"charge-" + order}, "metadata[holdfast_order]": {order},
	})
	return s.post(key, "payment_intents/"+id+"/confirm", url.Values{"payment_method": {"pm_card_visa"}})
}

// What an operator can do about money is done by the command, too.
func TestPaymentsByCommand(t *testing.T) {
	t.Parallel()
	s := &stripeShop{T: t, env: testkit.New(t), stripe: standin.Start(t)}
	s.stripe.Open("acct_before", "sk_test_before")
	after := s.stripe.Open("acct_after", "sk_test_after")
	s.serve("sk_test_before")
	s.stock("MUG")
	old := s.buy("pm_ok", "COMPLETED")

	s.serve("sk_test_after")
	s.cancel(old)
	s.says(exitDone, old, "list", "--state=waiting")
	s.says(exitFailed, "not configured", "retry", old)
	s.says(exitFailed, "unasked", "settle", old, "--reason=by bank transfer")
	s.says(exitFailed, "cannot be settled as not_charged", "settle", old, "--reason=x", "--outcome=not_charged", "--unasked")
	s.says(exitDone, `"state": "REFUNDED"`, "settle", old, "--reason=by bank transfer", "--unasked")
	s.says(exitDone, "by bank transfer", "show", old)
	s.says(exitDone, old, "list", "--state=settled")
	s.cancelled(old)
	s.says(exitFailed, "configured here", "close-account", "stripe", "acct_after/test", "--reason=x")
	s.says(exitDone, `"role": "closed"`, "close-account", "stripe", "acct_before/test", "--reason=the contract has ended")

	disputed := s.buy("pm_ok", "COMPLETED")
	after.Dispute(s.payment(disputed, func(p stripePayment) bool { return p.ChargeID != "" }).ChargeID)
	s.says(exitDone, disputed, "disputes", "--open")
	s.cancel(disputed)
	s.says(exitFailed, "no answer that settles it", "retry", disputed)
	s.says(exitFailed, "nothing of this payment that is not known here", "adopt", disputed)
	s.says(exitFailed, "cannot be seen to by close", "close", disputed)
	s.says(exitDone, "[]", "failed-refunds", "--state=none")

	back, left := s.strange("sk_test_after"), s.strange("sk_test_after")
	s.says(exitDone, back, "orphans", "--open")
	s.says(exitDone, left, "orphans", "--open")
	s.says(exitDone, `"refund_id"`, "refund-orphan", back)
	s.says(exitFailed, "given back already", "refund-orphan", back)
	s.says(exitDone, `"settled_at"`, "settle-orphan", left, "--reason=of the till in the shop")
	s.says(exitDone, `"items": []`, "orphans", "--open")
	s.says(exitUsage, "--reason", "settle-orphan", left)
	if n := len(slices.DeleteFunc(after.Refunds(), func(r standin.Object) bool { return r["payment_intent"] != back })); n != 1 {
		t.Errorf("the charge was given back %d times", n)
	}
	if code := s.send(http.MethodGet, "/admin/orphans/"+left, nil, nil); code != http.StatusOK {
		t.Errorf("what was settled is shown with %d", code)
	}
}
