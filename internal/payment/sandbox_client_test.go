package payment_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/payment/promise"
)

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
			if got := promise.Believed(t.Context(), clientOf(t, promise.Answers(t, 200, "application/json", body)), intentOf(p)); !maps.Equal(got, c.want) {
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
	promise.Wire(t, func(t *testing.T, url string) payment.Provider {
		client := payment.NewSandbox(payment.SandboxOptions{URL: url, APIKey: promise.Key, Timeout: 2 * time.Second})
		t.Cleanup(client.Hangup)
		return client
	}, intentOf(p), whole)
	if err := clientOf(t, promise.Answers(t, 307, media, whole)).Ready(t.Context()); err == nil {
		t.Error("a redirect is taken for a sandbox that is ready")
	}
	for name, url := range map[string]string{
		"a page for people":  promise.Answers(t, 200, "text/html", whole),
		"large but the same": promise.Answers(t, 200, media, append(bytes.Clone(whole), bytes.Repeat([]byte(" "), 70_000)...)),
	} {
		if got := promise.Believed(t.Context(), clientOf(t, url), intentOf(p)); len(got) != 0 {
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
					if got := promise.Believed(t.Context(), clientOf(t, promise.Answers(t, 200, media, raw)), intentOf(p)); len(got) != 0 {
						t.Errorf("charge with another %s: believed %v", field, got)
					}
				}
				continue
			}
			raw, _ := json.Marshal(spoilt) // the same
			if got := promise.Believed(t.Context(), clientOf(t, promise.Answers(t, 200, media, raw)), intentOf(p)); len(got) != 0 {
				t.Errorf("refund with another %s: believed %v", field, got)
			}
		}
	}
	raw, _ := json.Marshal(changed(record, "key", "charge-another"))
	if got := promise.Believed(t.Context(), clientOf(t, promise.Answers(t, 200, media, raw)), intentOf(p)); len(got) != 0 {
		t.Errorf("another key's record: believed %v", got)
	}
}

func TestSandboxKeepsItsPromises(t *testing.T) {
	t.Parallel()
	promise.Keep(t, clientOf(t, openSandbox(t)))
}
