package app_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Nobody but the provider is heard as the provider; what does not fit is refused.
func TestWebhookRoute(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.customer("alice").buy("k", buyNow(s.product("MUG", 1275, 10), 1, "pm_ok")).ID
	s.customer("alice").end(id)
	s.stopProvider()
	charge := `{"type":"charge.succeeded","data":` + s.firstEntry() + `}`
	for name, c := range map[string]struct {
		provider, secret, body string
		status                 int
	}{
		"once more":        {"sandbox", hookSecret, charge, 200},
		"not signed":       {"sandbox", "", charge, 401},
		"forged":           {"sandbox", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", charge, 401},
		"another provider": {"stripe", hookSecret, charge, 401},
		"another amount":   {"sandbox", hookSecret, strings.Replace(charge, "1275", "1", 1), 400},
		"another order":    {"sandbox", hookSecret, strings.ReplaceAll(charge, id[24:], "000000000000"), 400},
		"nonsense":         {"sandbox", hookSecret, "{", 400},
		"too large":        {"sandbox", hookSecret, strings.Repeat(" ", 70_000), 413},
	} {
		if status, body := s.webhook(c.provider, c.secret, c.body); status != c.status {
			t.Errorf("%s: %d %s, want %d", name, status, body, c.status)
		}
	}
	if o := s.customer("alice").end(id); o.Status != "COMPLETED" {
		t.Errorf("%+v", o)
	}
}

// firstEntry is the first line of the provider's ledger.
func (s *shop) firstEntry() string {
	s.t.Helper()
	ledger, err := os.ReadFile(s.ledger)
	if err != nil {
		s.t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(ledger), "\n")
	return first
}

// webhook posts one, signed with the secret unless it is empty.
func (s *shop) webhook(provider, secret, body string) (status int, answer []byte) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+"/api/v1/webhooks/payments/"+provider, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if secret != "" {
		signer, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			s.t.Fatal(err)
		}
		now := time.Now()
		signature, err := signer.Sign("evt_1", now, []byte(body))
		if err != nil {
			s.t.Fatal(err)
		}
		r.Header.Set("webhook-id", "evt_1")
		r.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
		r.Header.Set("webhook-signature", signature)
	}
	response, err := s.http.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, bytes.TrimSpace(answer)
}
