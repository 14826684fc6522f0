package sandbox_test

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-checkout/holdfast/internal/sandbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestPaymentMethods(t *testing.T) {
	t.Parallel()
	url := start(t)
	for _, c := range []struct {
		method     string
		first      int // HTTP status of the first request, 0: no answer
		then       string
		thenReason string
	}{
		{"pm_ok", 200, sandbox.Succeeded, ""},
		{"pm_slow", 200, sandbox.Succeeded, ""},
		{"pm_declined", 200, sandbox.Declined, "card_declined"},
		{"pm_insufficient_funds", 200, sandbox.Declined, "insufficient_funds"},
		{"pm_never heard of", 200, sandbox.Declined, "unknown_payment_method"},
		{"pm_error_once", 500, sandbox.Succeeded, ""},
		{"pm_timeout_after_charge", 0, sandbox.Succeeded, ""},
	} {
		t.Run(c.method, func(t *testing.T) {
			t.Parallel()
			key := url + "/charges/k-" + strings.ReplaceAll(c.method, " ", "-")
			began := time.Now()
			first, err := send(t.Context(), http.MethodPut, key, apiKey, charge("o1", 1200, c.method))
			if first.status != c.first || (err != nil) != (c.first == 0) {
				t.Fatalf("first answer %d %s, %v", first.status, first.body, err)
			}
			if c.method == "pm_slow" && time.Since(began) < 100*time.Millisecond {
				t.Errorf("answered after %s", time.Since(began))
			}
			found, _ := send(t.Context(), http.MethodGet, key, apiKey, nil)
			if wantFound := c.first != 500; (found.status == 200) != wantFound {
				t.Errorf("after the first request the charge is found with %d", found.status)
			}
			second := must(t, http.MethodPut, key, charge("o1", 1200, c.method))
			got := as[sandbox.Entry](t, second)
			if got.Status != c.then || got.Reason != c.thenReason || got.AmountMinor != 1200 || got.OrderID != "o1" {
				t.Errorf("then %s", second.body)
			}
			if third := must(t, http.MethodPut, key, charge("o1", 1200, c.method)); string(third.body) != string(second.body) {
				t.Errorf("another answer: %s, %s", second.body, third.body)
			}
		})
	}
}

func TestKeyBelongsToOneRequest(t *testing.T) {
	t.Parallel()
	url := start(t)
	paid := as[sandbox.Entry](t, must(t, http.MethodPut, url+"/charges/k", charge("o1", 500, "pm_ok")))
	other := charge("o1", 500, "pm_ok")
	other["currency"] = "EUR"
	for _, body := range []any{charge("o1", 501, "pm_ok"), charge("o2", 500, "pm_ok"), charge("o1", 500, "pm_declined"), other} {
		want(t, must(t, http.MethodPut, url+"/charges/k", body), 422, "key_reused")
	}
	must(t, http.MethodPut, url+"/refunds/k", refund(paid.ID, 100))
	want(t, must(t, http.MethodPut, url+"/refunds/k", refund(paid.ID, 101)), 422, "key_reused")
	if n := len(ledger(t, url)); n != 2 {
		t.Errorf("%d entries, want a charge and a refund", n)
	}
}

func TestOneKeyAtOnceChargesOnce(t *testing.T) {
	t.Parallel()
	url := start(t)
	var all sync.WaitGroup
	var mu sync.Mutex
	ids := map[string]int{}
	for i := range 200 {
		all.Go(func() {
			method := []string{"pm_ok", "pm_slow"}[i%2]
			r, err := send(t.Context(), http.MethodPut, fmt.Sprintf("%s/charges/%s", url, method), apiKey, charge("o", 900, method))
			mu.Lock()
			defer mu.Unlock()
			if err != nil || r.status != 200 {
				t.Errorf("%d %v", r.status, err)
			}
			ids[string(r.body)]++
		})
	}
	all.Wait()
	if len(ids) != 2 || len(ledger(t, url)) != 2 {
		t.Errorf("two keys gave the answers %v", ids)
	}
}

func TestRefunds(t *testing.T) {
	t.Parallel()
	url := start(t)
	paid := as[sandbox.Entry](t, must(t, http.MethodPut, url+"/charges/c", charge("o1", 1000, "pm_ok")))
	declined := as[sandbox.Entry](t, must(t, http.MethodPut, url+"/charges/d", charge("o1", 1000, "pm_declined")))
	want(t, must(t, http.MethodPut, url+"/refunds/x", refund("ch_none", 1)), 422, "charge_not_found")
	want(t, must(t, http.MethodPut, url+"/refunds/y", refund(declined.ID, 1)), 422, "charge_not_found")
	first := must(t, http.MethodPut, url+"/refunds/a", refund(paid.ID, 600))
	if again := must(t, http.MethodPut, url+"/refunds/a", refund(paid.ID, 600)); string(again.body) != string(first.body) {
		t.Errorf("another answer: %s, %s", first.body, again.body)
	}
	want(t, must(t, http.MethodPut, url+"/refunds/b", refund(paid.ID, 401)), 422, "refund_exceeds_charge")
	must(t, http.MethodPut, url+"/refunds/b", refund(paid.ID, 400))
	record := as[sandbox.Record](t, must(t, http.MethodGet, url+"/charges/c", nil))
	if len(record.Refunds) != 2 || record.Refunds[0].Key != "a" || record.Refunds[0].OrderID != "o1" || record.Refunds[1].AmountMinor != 400 {
		t.Errorf("refunds %+v", record.Refunds)
	}
}

func TestClosedKeyNeverCharges(t *testing.T) {
	t.Parallel()
	url := start(t)
	unseen := as[sandbox.Record](t, must(t, http.MethodPost, url+"/charges/unseen/close", nil))
	if !unseen.Closed || unseen.Charge != nil {
		t.Errorf("closed before any charge: %+v", unseen)
	}
	want(t, must(t, http.MethodPut, url+"/charges/unseen", charge("o", 5, "pm_ok")), 409, "key_closed")

	paid := as[sandbox.Entry](t, must(t, http.MethodPut, url+"/charges/paid", charge("o", 5, "pm_ok")))
	record := as[sandbox.Record](t, must(t, http.MethodPost, url+"/charges/paid/close", nil))
	if diff := cmp.Diff(&paid, record.Charge); diff != "" || !record.Closed {
		t.Errorf("closed after a charge: %+v %s", record, diff)
	}
	again := as[sandbox.Entry](t, must(t, http.MethodPut, url+"/charges/paid", charge("o", 5, "pm_ok")))
	if diff := cmp.Diff(paid, again); diff != "" {
		t.Error(diff)
	}
}

// A charge that its client gave up on is on its way all the same, and "not found" says nothing about it; close does.
func TestChargeAfterItsClientLeft(t *testing.T) {
	t.Parallel()
	url := start(t, func(o *sandbox.Options) { o.SlowBy = 2 * time.Second })
	giveUp := func(key string) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if r, err := send(ctx, http.MethodPut, url+"/charges/"+key, apiKey, charge("o", 5, "pm_slow")); err == nil {
			t.Fatalf("answered in time: %d", r.status)
		}
		want(t, must(t, http.MethodGet, url+"/charges/"+key, nil), 404, "not_found")
	}
	giveUp("late")
	testkit.Eventually(t, 20*time.Second, func() bool { return must(t, http.MethodGet, url+"/charges/late", nil).status == 200 })
	giveUp("closed")
	must(t, http.MethodPost, url+"/charges/closed/close", nil)
	want(t, must(t, http.MethodPut, url+"/charges/closed", charge("o", 5, "pm_slow")), 409, "key_closed") // as late as the first
	if entries := ledger(t, url); len(entries) != 1 || entries[0].Key != "late" {
		t.Errorf("ledger %+v", entries)
	}
}

func TestFlakyEndsAndChargesOnce(t *testing.T) {
	t.Parallel()
	url := start(t, func(o *sandbox.Options) { o.SlowBy = time.Millisecond })
	odd := 0
	try := func(path string, body any) sandbox.Entry {
		for range 5 {
			r, err := send(t.Context(), http.MethodPut, url+path, apiKey, body)
			if err == nil && r.status == 200 && len(r.body) > 20 {
				return as[sandbox.Entry](t, r)
			}
			odd++
		}
		t.Fatalf("%s went wrong five times", path)
		return sandbox.Entry{}
	}
	const keys = 40
	for i := range keys {
		paid := try(fmt.Sprintf("/charges/k%d", i), charge("o", 70, "pm_flaky"))
		try(fmt.Sprintf("/refunds/k%d", i), refund(paid.ID, 70))
	}
	if n := len(ledger(t, url)); n != 2*keys || odd < keys/2 {
		t.Errorf("%d entries for %d keys, %d requests went wrong", n, keys, odd)
	}
}

// Shares of all keys are declined, err, or are never answered, the same ones for the same seed; asked again each comes to an end.
func TestFaultsByShare(t *testing.T) {
	t.Parallel()
	faults := sandbox.Faults{Decline: 0.2, Error: 0.2, Drop: 0.1, Late: 0.1}
	const keys = 200
	run := func() (story []string) {
		url := start(t, func(o *sandbox.Options) { o.Faults, o.SlowBy, o.HangFor = faults, time.Millisecond, time.Millisecond })
		for i := range keys {
			told := ""
			for {
				r, err := send(t.Context(), http.MethodPut, fmt.Sprintf("%s/charges/k%d", url, i), apiKey, charge("o", 70, "pm_ok"))
				if err == nil && r.status == http.StatusOK {
					story = append(story, told+as[sandbox.Entry](t, r).Status)
					break
				}
				told += fmt.Sprint(r.status, " ") // 0: no answer
			}
		}
		if n := len(ledger(t, url)); n != keys {
			t.Errorf("%d entries for %d keys", n, keys)
		}
		return story
	}
	first := run()
	if again := run(); !slices.Equal(first, again) {
		t.Error("the same seed gave other faults")
	}
	count := map[string]int{}
	for _, s := range first {
		for word := range strings.FieldsSeq(s) {
			count[word]++
		}
	}
	for word, share := range map[string]float64{"declined": 0.2, "500": 0.2, "0": 0.1} {
		if n := float64(count[word]); n < keys*share/2 || n > keys*share*2 {
			t.Errorf("%s: %v of %d, want a share of %v", word, n, keys, share)
		}
	}
	for _, wrong := range []sandbox.Faults{{Decline: -0.1}, {Late: 1.1}, {Error: 0.6, Drop: 0.5}, {Drop: math.NaN()}} {
		if _, err := sandbox.Open(sandbox.Options{Addr: "127.0.0.1:0", LedgerFile: t.TempDir() + "/l", APIKey: apiKey, Log: slog.New(slog.DiscardHandler), Faults: wrong}); err == nil {
			t.Errorf("%+v were taken", wrong)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	url := start(t)
	for _, c := range []struct {
		name, method, path, key string
		body                    any
		status                  int
		code                    string
	}{
		{"no key", "PUT", "/charges/k", "", charge("o", 1, "pm_ok"), 401, "unauthorized"},
		{"wrong key", "GET", "/ledger", "sk_other", nil, 401, "unauthorized"},
		{"nothing to charge", "PUT", "/charges/k", apiKey, charge("o", 0, "pm_ok"), 400, "invalid_request"},
		{"less than nothing", "PUT", "/charges/k", apiKey, charge("o", -5, "pm_ok"), 400, "invalid_request"},
		{"no order", "PUT", "/charges/k", apiKey, charge("", 5, "pm_ok"), 400, "invalid_request"},
		{"long key", "PUT", "/charges/" + strings.Repeat("k", 256), apiKey, charge("o", 5, "pm_ok"), 400, "invalid_request"},
		{"no JSON", "PUT", "/charges/k", apiKey, "{", 400, "invalid_request"},
		{"half a penny", "PUT", "/charges/k", apiKey, `{"order_id":"o","amount_minor":0.5,"currency":"GBP","payment_method":"pm_ok"}`, 400, "invalid_request"},
		{"unknown field", "PUT", "/charges/k", apiKey, `{"amount":1}`, 400, "invalid_request"},
		{"two objects", "PUT", "/refunds/k", apiKey, `{"charge_id":"c","amount_minor":1,"currency":"GBP"}{}`, 400, "invalid_request"},
		{"bad currency", "PUT", "/refunds/k", apiKey, `{"charge_id":"c","amount_minor":1,"currency":"gbp"}`, 400, "invalid_request"},
		{"too large", "PUT", "/charges/k", apiKey, `{"order_id":"` + strings.Repeat("o", 70_000) + `"}`, 413, "too_large"},
		{"bad page", "GET", "/ledger?after=x", apiKey, nil, 400, "invalid_request"},
		{"unseen", "GET", "/charges/k", apiKey, nil, 404, "not_found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, err := send(t.Context(), c.method, url+c.path, c.key, c.body)
			if err != nil {
				t.Fatal(err)
			}
			want(t, r, c.status, c.code)
		})
	}
	if r, err := send(t.Context(), http.MethodGet, url+"/livez", "", nil); err != nil || r.status != 200 {
		t.Errorf("livez: %d %v", r.status, err)
	}
}

func TestStopsWhileRequestsHang(t *testing.T) {
	t.Parallel()
	url, stop := open(t, filepath.Join(t.TempDir(), "ledger.jsonl"), func(o *sandbox.Options) { o.HangFor, o.SlowBy = time.Hour, time.Hour })
	var all sync.WaitGroup
	for _, method := range []string{"pm_timeout_after_charge", "pm_slow"} {
		all.Go(func() {
			if r, err := send(t.Context(), http.MethodPut, url+"/charges/"+method, apiKey, charge("o", 5, method)); err == nil {
				t.Errorf("%s: answered %d", method, r.status)
			}
		})
	}
	testkit.Eventually(t, 20*time.Second, func() bool {
		return must(t, http.MethodGet, url+"/charges/pm_timeout_after_charge", nil).status == 200
	})
	stop()
	all.Wait()
}
