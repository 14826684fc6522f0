// Package promise holds a payment provider to what payment.Provider promises: every provider to the same, over the wire and in what it
// keeps. It is for tests.
package promise

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/payment"
)

// Key is what a provider is to present to the servers of this package.
const Key = "sk_test_secretofours"

// Intent is one to buy something with a payment method.
func Intent(method string) payment.Intent {
	id := clock.NewID()
	return payment.Intent{
		OrderID: id, ChargeKey: "charge-" + id.String(), RefundKey: "refund-" + id.String(),
		Terms: event.Terms{TotalMinor: 1275, Currency: "GBP", PaymentMethod: method},
	}
}

// Answers is a server that answers all requests alike.
func Answers(t *testing.T, status int, contentType string, body []byte) string {
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

// endless is a server that answers 50 MB, to whoever reads that much.
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

// call is one of a provider's, by its name.
type call struct {
	name string
	do   func(context.Context, payment.Intent) (payment.Outcome, error)
}

func callsOf(p payment.Provider) []call {
	calls := []call{{"charge", p.Charge}, {"refund", p.Refund}, {"lookup", p.Lookup}, {"close", p.Close}}
	if opener, opens := p.(payment.Opener); opens {
		calls = append(calls, call{"open", opener.Open})
	}
	return calls
}

// Believed makes all calls and gives the verdicts of those that believed the answer.
func Believed(ctx context.Context, p payment.Provider, in payment.Intent) map[string]payment.Verdict {
	believed := map[string]payment.Verdict{}
	for _, c := range callsOf(p) {
		if o, err := c.do(ctx, in); err == nil {
			believed[c.name] = o.Verdict
		}
	}
	return believed
}

// Wire holds a provider to it that an error of any kind is no outcome, whoever answers at its address; good is what its server would
// answer to a charge that was made. at makes the provider for an address, with the key above.
func Wire(t *testing.T, at func(t *testing.T, url string) payment.Provider, in payment.Intent, good []byte) {
	t.Helper()
	const media = "application/json"
	for name, url := range map[string]string{
		"nobody":             "http://127.0.0.1:1",
		"redirect":           Answers(t, 307, media, nil),
		"see other":          Answers(t, 303, media, good),
		"server error":       Answers(t, 500, media, good),
		"error and reason":   Answers(t, 500, media, []byte(`{"error":{"type":"api_error","code":"card_declined"}}`)),
		"bad gateway":        Answers(t, 502, "text/html", []byte("<html>")),
		"unauthorized":       Answers(t, 401, media, []byte(`{"error":{"type":"invalid_request_error","code":"unauthorized"}}`)),
		"forbidden":          Answers(t, 403, media, []byte(`{"error":{"type":"invalid_request_error","param":"payment_method"}}`)),
		"another key's":      Answers(t, 422, media, []byte(`{"error":{"code":"key_reused"}}`)),
		"another request's":  Answers(t, 400, media, []byte(`{"error":{"type":"idempotency_error","message":"…"}}`)),
		"in use":             Answers(t, 409, media, []byte(`{"error":{"type":"idempotency_error","code":"idempotency_key_in_use"}}`)),
		"locked":             Answers(t, 429, media, []byte(`{"error":{"type":"invalid_request_error","code":"lock_timeout"}}`)),
		"too many":           Answers(t, 429, media, []byte(`{"error":{"type":"invalid_request_error","code":"rate_limit"}}`)),
		"too many, unsaid":   Answers(t, 429, media, []byte(`{}`)),
		"a stranger's 404":   Answers(t, 404, "text/plain", []byte("404 page not found")),
		"a 404 of no code":   Answers(t, 404, media, []byte(`{}`)),
		"a stranger's 409":   Answers(t, 409, media, []byte(`{"error":{"code":"conflict"}}`)),
		"empty":              Answers(t, 200, media, nil),
		"garbage":            Answers(t, 200, media, []byte(`{"id": "ch_`)),
		"null":               Answers(t, 200, media, []byte(`null`)),
		"a list":             Answers(t, 200, media, []byte(`[]`)),
		"no content":         Answers(t, 204, media, nil),
		"created":            Answers(t, 201, media, good),
		"megabytes":          endless(t),
		"an error of no end": Answers(t, 500, media, bytes.Repeat([]byte(`{"error":`), 1<<20)),
	} {
		provider := at(t, url)
		if got := Believed(t.Context(), provider, in); len(got) != 0 {
			t.Errorf("%s: believed %v", name, got)
		}
		for _, c := range callsOf(provider) {
			if _, err := c.do(t.Context(), in); err == nil || strings.Contains(err.Error(), Key) || len(err.Error()) > 500 {
				t.Errorf("%s: the error of a %s is %v", name, c.name, err)
			}
		}
	}
	given, cancel := context.WithCancel(t.Context())
	cancel()
	if got := Believed(given, at(t, Answers(t, 200, media, good)), in); len(got) != 0 {
		t.Errorf("after its caller has given up: believed %v", got)
	}
	followsNoRedirect(t, at, in)
}

// followsNoRedirect looks whether the key would be shown to whoever a redirect names.
func followsNoRedirect(t *testing.T, at func(t *testing.T, url string) payment.Provider, in payment.Intent) {
	t.Helper()
	var followed atomic.Bool
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Store(true) }))
	t.Cleanup(thief.Close)
	lure := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
	t.Cleanup(lure.Close)
	if got := Believed(t.Context(), at(t, lure.URL), in); len(got) != 0 || followed.Load() {
		t.Errorf("followed a redirect: %t, believed %v", followed.Load(), got)
	}
}
