package payment_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/payment"
)

// answers is a provider that answers all requests alike.
func answers(t *testing.T, status int, contentType string, body []byte) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = w.Write(body) // the client may have had enough
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// endless is a provider that answers 50 MB, to whoever reads that much.
func endless(t *testing.T) string {
	t.Helper()
	chunk := bytes.Repeat([]byte(" "), 64<<10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for range 800 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
		t.Error("50 MB were read")
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func clientOf(t *testing.T, url string) *payment.Sandbox {
	t.Helper()
	client := payment.NewSandbox(payment.SandboxOptions{URL: url, APIKey: apiKey, Timeout: 2 * time.Second})
	t.Cleanup(client.Hangup)
	return client
}

func intentOf(p purchase) payment.Intent {
	id := p.id.String()
	return payment.Intent{OrderID: p.id, ChargeKey: "charge-" + id, RefundKey: "refund-" + id, ChargeID: "ch_1", Terms: p.terms()}
}

// wires is what the sandbox would answer for a purchase: to a charge, to a refund and to a look-up or close.
func wires(p purchase) (charge, refund, record map[string]any) {
	id := p.id.String()
	charge = map[string]any{
		"kind": "charge", "id": "ch_1", "key": "charge-" + id, "order_id": id, "amount_minor": p.amount, "currency": "GBP",
		"payment_method": p.method, "status": "succeeded",
	}
	refund = map[string]any{
		"kind": "refund", "id": "re_1", "key": "refund-" + id, "order_id": id, "amount_minor": p.amount, "currency": "GBP",
		"charge_id": "ch_1", "status": "succeeded",
	}
	return charge, refund, map[string]any{"key": "charge-" + id, "closed": true, "charge": charge, "refunds": []any{}}
}

func changed(m map[string]any, field string, value any) map[string]any {
	m = maps.Clone(m)
	m[field] = value
	return m
}

// askAll makes all four calls and gives the verdicts of those that believed the answer.
func askAll(t *testing.T, client *payment.Sandbox, in payment.Intent) map[string]payment.Verdict {
	t.Helper()
	believed := map[string]payment.Verdict{}
	note := func(call string) func(payment.Outcome, error) {
		return func(o payment.Outcome, err error) {
			if err == nil {
				believed[call] = o.Verdict
			}
		}
	}
	note("charge")(client.Charge(t.Context(), in))
	note("refund")(client.Refund(t.Context(), in))
	note("lookup")(client.Lookup(t.Context(), in))
	note("close")(client.Close(t.Context(), in))
	return believed
}

func TestAnswersThatFitAreBelieved(t *testing.T) {
	t.Parallel()
	p := buy("pm_ok")
	charge, refund, record := wires(p)
	for _, c := range []struct {
		name string
		body any
		want map[string]payment.Verdict
	}{
		{"charge", charge, map[string]payment.Verdict{"charge": payment.Charged}},
		{"declined", changed(charge, "status", "declined"), map[string]payment.Verdict{"charge": payment.Rejected}},
		{"refund", refund, map[string]payment.Verdict{"refund": payment.GivenBack}},
		{"record", record, map[string]payment.Verdict{"lookup": payment.Charged, "close": payment.Charged}},
		{"open record", changed(record, "closed", false), map[string]payment.Verdict{"lookup": payment.Charged}},
		{"refunded", changed(record, "refunds", []any{refund}), map[string]payment.Verdict{"lookup": payment.GivenBack, "close": payment.GivenBack}},
		{"closed", changed(record, "charge", nil), map[string]payment.Verdict{"lookup": payment.Closed, "close": payment.Closed}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			body, err := json.Marshal(c.body)
			if err != nil {
				t.Fatal(err)
			}
			if got := askAll(t, clientOf(t, answers(t, 200, "application/json", body)), intentOf(p)); !maps.Equal(got, c.want) {
				t.Errorf("believed %v, want %v", got, c.want)
			}
		})
	}
}

// Whatever else comes is no answer.
func TestAnswersThatDoNotFitAreNone(t *testing.T) {
	t.Parallel()
	p := buy("pm_ok")
	charge, refund, record := wires(p)
	whole, err := json.Marshal(charge)
	if err != nil {
		t.Fatal(err)
	}
	const media = "application/json"
	for name, url := range map[string]string{
		"redirect":           answers(t, 307, media, nil),
		"see other":          answers(t, 303, media, whole),
		"server error":       answers(t, 500, media, whole),
		"bad gateway":        answers(t, 502, "text/html", []byte("<html>")),
		"unauthorized":       answers(t, 401, media, []byte(`{"error":{"code":"unauthorized"}}`)),
		"another key's":      answers(t, 422, media, []byte(`{"error":{"code":"key_reused"}}`)),
		"too many":           answers(t, 429, media, []byte(`{}`)),
		"a stranger's 404":   answers(t, 404, "text/plain", []byte("404 page not found")),
		"a 404 of no code":   answers(t, 404, media, []byte(`{}`)),
		"a stranger's 409":   answers(t, 409, media, []byte(`{"error":{"code":"conflict"}}`)),
		"empty":              answers(t, 200, media, nil),
		"garbage":            answers(t, 200, media, []byte(`{"id": "ch_`)),
		"null":               answers(t, 200, media, []byte(`null`)),
		"a list":             answers(t, 200, media, []byte(`[]`)),
		"a page for people":  answers(t, 200, "text/html", whole),
		"no content":         answers(t, 204, media, nil),
		"created":            answers(t, 201, media, whole),
		"megabytes":          endless(t),
		"large but the same": answers(t, 200, media, append(bytes.Clone(whole), bytes.Repeat([]byte(" "), 70_000)...)),
	} {
		if got := askAll(t, clientOf(t, url), intentOf(p)); len(got) != 0 {
			t.Errorf("%s: believed %v", name, got)
		}
	}
	for _, field := range []string{"kind", "id", "key", "order_id", "amount_minor", "currency", "payment_method", "status", "charge_id"} {
		for what, body := range map[string]map[string]any{"charge": charge, "refund": refund} {
			if _, has := body[field]; !has {
				continue
			}
			spoilt := changed(body, field, "another")
			if field == "id" {
				spoilt[field] = ""
			}
			if field == "amount_minor" {
				spoilt[field] = p.amount + 1
			}
			if what == "charge" {
				for _, shape := range []any{spoilt, changed(record, "charge", spoilt)} {
					raw, _ := json.Marshal(shape) // maps of text and numbers
					if got := askAll(t, clientOf(t, answers(t, 200, media, raw)), intentOf(p)); len(got) != 0 {
						t.Errorf("charge with another %s: believed %v", field, got)
					}
				}
				continue
			}
			raw, _ := json.Marshal(spoilt) // the same
			if got := askAll(t, clientOf(t, answers(t, 200, media, raw)), intentOf(p)); len(got) != 0 {
				t.Errorf("refund with another %s: believed %v", field, got)
			}
		}
	}
	raw, _ := json.Marshal(changed(record, "key", "charge-another"))
	if got := askAll(t, clientOf(t, answers(t, 200, media, raw)), intentOf(p)); len(got) != 0 {
		t.Errorf("another key's record: believed %v", got)
	}
}

// A redirect is not followed: the key would be shown to whoever it names.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var followed atomic.Bool
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Store(true) }))
	t.Cleanup(thief.Close)
	lure := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
	t.Cleanup(lure.Close)
	client := clientOf(t, lure.URL)
	askAll(t, client, intentOf(buy("pm_ok")))
	if err := client.Ready(t.Context()); err == nil || followed.Load() {
		t.Errorf("followed a redirect: %t, %v", followed.Load(), err)
	}
}

func TestKeyIsNotInErrors(t *testing.T) {
	t.Parallel()
	client := payment.NewSandbox(payment.SandboxOptions{URL: "http://127.0.0.1:1", APIKey: "sk_secret_of_ours"})
	_, err := client.Charge(t.Context(), intentOf(buy("pm_ok")))
	if err == nil || strings.Contains(err.Error(), "sk_secret") {
		t.Errorf("%v", err)
	}
}
