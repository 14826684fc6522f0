package audit

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/stripe/standin"
)

// stripePost asks the stand-in for something, and gives the id of what was made.
func stripePost(t *testing.T, b *stripeBooks, path string, form url.Values) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL+"/v1/"+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+b.APIKey)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var made struct{ ID string }
	if err := json.NewDecoder(response.Body).Decode(&made); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", path, response.Status, err)
	}
	return made.ID
}

// Stripe's lists are read whole once, then only on; what had no end when it was read is found once our books say that it has one, with
// few requests, and what is pending moved nothing.
func TestStripesListsAreReadOn(t *testing.T) {
	t.Parallel()
	server := standin.Start(t)
	second := time.Unix(1_700_000_000, 0)
	var lately atomic.Bool
	server.Now = func() time.Time {
		if second = second.Add(time.Second); lately.Load() {
			return time.Now()
		}
		return second
	}
	account := server.Open("acct_1", "sk_test_1")
	b := Ledger{Provider: "stripe", URL: server.URL, APIKey: "sk_test_1", Namespace: "shop"}.reader().(*stripeBooks)
	if id, err := b.account(t.Context()); err != nil || id != "acct_1/test" {
		t.Fatalf("%q, %v", id, err)
	}
	opened := func(namespace string) string {
		return stripePost(t, b, "payment_intents", url.Values{
			"amount": {"1000"}, "currency": {"isk"}, "metadata[holdfast_namespace]": {namespace}, "metadata[holdfast_key]": {"charge-1"}, "metadata[holdfast_order]": {"1"},
		})
	}
	confirm := func(id string) {
		stripePost(t, b, "payment_intents/"+id+"/confirm", url.Values{"payment_method": {"pm_card_visa"}})
	}
	read := func(want, requests int, expected ...string) map[string]entry {
		t.Helper()
		before, got := account.Asked("GET"), map[string]entry{}
		if err := b.gained(t.Context(), expected, func(page []entry) error {
			for _, e := range page {
				got[e.ID] = e
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if n := account.Asked("GET") - before; len(got) != want || n > requests {
			t.Errorf("%d entries by %d requests, want %d by %d at most", len(got), n, want, requests)
		}
		return got
	}
	read(0, 4)
	var ours []string
	for i := range 250 {
		id := opened([]string{"shop", "another"}[i%5/4])
		if i%5 < 4 {
			ours = append(ours, id)
		}
		if i%5 < 3 {
			confirm(id)
		}
	}
	read(150, 6)
	read(0, 4)
	late := ours[len(ours)-1]
	confirm(late)
	fresh := opened("shop")
	confirm(fresh)
	if got := read(1, 4); got[fresh].AmountMinor != 10 || got[fresh].Currency != "ISK" || got[fresh].Key != "charge-1" || got[fresh].OrderID != "1" {
		t.Errorf("%+v", got)
	}
	if got := read(2, 7, late, "pi_that_never_was"); got[late].Kind != "charge" { // and what was made since
		t.Errorf("%+v", got)
	}
	refund := stripePost(t, b, "refunds", url.Values{"payment_intent": {late}, "amount": {"1000"}, "metadata[holdfast_namespace]": {"shop"}})
	account.Change(refund, standin.Object{"status": "pending"})
	byHand := stripePost(t, b, "refunds", url.Values{"payment_intent": {fresh}, "amount": {"1000"}})
	if got := read(1, 4); got[byHand].Key != "" || got[byHand].ChargeID != fresh {
		t.Errorf("%+v", got)
	}
	account.Change(refund, standin.Object{"status": "succeeded"})
	if got := read(1, 7, refund); got[refund].ChargeID != late {
		t.Errorf("%+v", got)
	}
	old := account.Dispute(fresh) // long ago, and so is that a refund has failed
	account.FailRefund(byHand, "lost_or_stolen_card")
	if got := read(1, 4); got[old].Kind != "stand" || got[old].Status != "needs_response/withdrawn" || got[old].ChargeID != fresh || !got[old].At.IsZero() {
		t.Errorf("%+v", got) // what has failed since it was read is in the events alone
	}
	lately.Store(true)
	account.FailRefund(refund, "lost_or_stolen_card")
	account.EndDispute(old, "won")
	if got := read(2, 4); got[old].Status != "won/reinstated" || got[refund].Kind != "reversal" || time.Since(got[refund].At) > time.Minute {
		t.Errorf("%+v", got)
	}
	read(0, 4)
	again := Ledger{Provider: "stripe", URL: server.URL, APIKey: "sk_test_1", Namespace: "shop"}.reader()
	kinds := map[string]int{}
	if err := again.gained(t.Context(), nil, func(page []entry) error {
		for _, e := range page {
			kinds[e.Kind]++
		}
		return nil
	}); err != nil || kinds["charge"] != 152 || kinds["refund"] != 2 || kinds["reversal"] != 2 || kinds["stand"] != 1 {
		t.Errorf("anew: %v %v", kinds, err)
	}
	for amount, want := range map[string]string{"1 JPY": "1 JPY", "150 EUR": "150 EUR", "1500 KWD": "1500 KWD", "100 UGX": "1 UGX", "7 UGX": "", "1 XXXX": ""} {
		var n int64
		var code, got string
		_, err := fmt.Sscan(amount, &n, &code)
		if err != nil {
			t.Fatal(err)
		}
		if minor, iso, err := minor(n, strings.ToLower(code)); err == nil {
			got = fmt.Sprint(minor, " ", iso)
		}
		if got != want {
			t.Errorf("%s is %q, want %q", amount, got, want)
		}
	}
}
