package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/app"
	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/stripe/standin"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

// stripeShop is an instance that charges at Stripe.
type stripeShop struct {
	*testing.T
	env    *testkit.Env
	stripe *standin.Server
	url    string
	end    func()
	key    string   // that it charges with
	former []string // other keys
	change func(*config.Config)
}

// serve runs the instance with a key, and with others for what was charged before.
func (s *stripeShop) serve(key string, former ...string) {
	s.Helper()
	if s.end != nil {
		s.end()
	}
	s.key, s.former = key, former
	c := config.Config{
		Servers:  config.Servers{PostgresURL: s.env.PostgresURL, RedisURL: s.env.RedisURL, RabbitMQURL: s.env.RabbitURL, Namespace: s.env.Namespace},
		HTTPAddr: "127.0.0.1:0", JWTSecret: backboneSecret, MaxBody: 1 << 20, Strategy: "optimistic", OrderTimeout: 15 * time.Minute, HoldOnOrder: true,
		MaxLines: 2000, MaxQuantity: 1_000_000, OutboxMode: "polling", OutboxPollInterval: time.Second, OutboxRetention: 24 * time.Hour,
		DeadLetterRetention: 720 * time.Hour, InboxRetention: 7 * 24 * time.Hour, ConsumerBatch: 128, HoldTTL: 15 * time.Minute, HoldMaxAge: time.Hour,
		SweepInterval: time.Minute, ReconcileInterval: 5 * time.Minute, ReconcileCooldown: time.Second, OrphanInterval: 200 * time.Millisecond,
		PaymentProvider: "stripe", StripeURL: s.stripe.URL, StripeKey: key,
	}
	for _, k := range former {
		c.Former = append(c.Former, config.Provider{Name: "stripe", URL: s.stripe.URL, Key: k})
	}
	if s.change != nil {
		s.change(&c)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(s.Context()))
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- app.ServeWith(ctx, c, connect(c.Namespace), s.env.Log, func(_ context.Context, url string) error { ready <- url; return nil })
	}()
	over := false
	s.end = func() {
		if stop(); over {
			return
		}
		over = true
		if err := <-ended; err != nil {
			s.Error(err)
		}
	}
	s.Cleanup(s.end)
	select {
	case s.url = <-ready:
	case <-time.After(patient):
		s.Fatal("the instance did not come up")
	}
}

// send makes a request as an operator who also buys.
func (s *stripeShop) send(method, path string, body, into any) int {
	s.Helper()
	token, err := web.Tokens{Secret: []byte(backboneSecret)}.Issue("ada", true, time.Hour)
	if err != nil {
		s.Fatal(err)
	}
	text, err := json.Marshal(body)
	if err != nil {
		s.Fatal(err)
	}
	if body == nil {
		text = nil
	}
	r, err := http.NewRequestWithContext(s.Context(), method, s.url+"/api/v1"+path, bytes.NewReader(text))
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Idempotency-Key", uuid.NewString())
	if path == "/orders" {
		r.Header.Set("Prefer", "wait=30")
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer response.Body.Close()
	if into != nil {
		if err := json.NewDecoder(response.Body).Decode(into); err != nil {
			s.Fatal(err)
		}
	}
	return response.StatusCode
}

// buy buys one of the only product and wants the order to end so.
func (s *stripeShop) buy(method, status string) string {
	s.Helper()
	var products struct {
		Items []struct{ ID string }
	}
	s.send(http.MethodGet, "/products?sku=MUG", nil, &products)
	var o struct{ ID, Status string }
	code := s.send(http.MethodPost, "/orders", map[string]any{
		"payment_method": method, "items": []any{map[string]any{"product_id": products.Items[0].ID, "quantity": 1}},
	}, &o)
	if o.Status != status {
		s.Fatalf("the order is %d %+v, want %s", code, o, status)
	}
	return o.ID
}

func (s *stripeShop) cancel(order string) {
	s.Helper()
	if code := s.send(http.MethodPost, "/orders/"+order+"/cancel", nil, nil); code/100 != 2 {
		s.Fatalf("cancel: %d", code)
	}
}

func (s *stripeShop) cancelled(order string) {
	s.Helper()
	testkit.Eventually(s, patient, func() error {
		var o struct{ Status string }
		if s.send(http.MethodGet, "/orders/"+order, nil, &o); o.Status != "CANCELLED" {
			return fmt.Errorf("order %s is %s", order, o.Status)
		}
		return nil
	})
}

// keyFile is a file with a key.
func (s *stripeShop) keyFile(key string) string {
	s.Helper()
	file := filepath.Join(s.TempDir(), "key")
	if err := os.WriteFile(file, []byte(key), 0o600); err != nil {
		s.Fatal(err)
	}
	return file
}

// audit runs holdfast audit with the keys of the instance, and gives its exit code and what it says of M1 to M3.
func (s *stripeShop) audit(wait string) (code int, money string) {
	s.Helper()
	args := []string{
		"audit", "--postgres-url=" + s.env.PostgresURL, "--redis-url=" + s.env.RedisURL, "--rabbitmq-url=" + s.env.RabbitURL, "--namespace=" + s.env.Namespace,
		"--payment-provider=stripe", "--stripe-url=" + s.stripe.URL, "--stripe-key-file=" + s.keyFile(s.key), "--wait=" + wait, "--cooldown=100ms",
	}
	for _, k := range s.former {
		args = append(args, "--former-provider=stripe,url="+s.stripe.URL+",key-file="+s.keyFile(k))
	}
	var out, failed bytes.Buffer
	code = execute(s.Context(), args, &out, &failed)
	for line := range strings.Lines(out.String() + failed.String()) {
		if strings.HasPrefix(line, "M") || strings.HasPrefix(line, " ") || !strings.Contains(line, " ok ") {
			money += line
		}
	}
	return code, money
}

// byHand makes a refund as somebody does in Stripe's dashboard.
func (s *stripeShop) byHand(key, order string) {
	s.Helper()
	var charge string
	if err := s.env.DB.QueryRow(s.Context(), `SELECT charge_id FROM payment.payments WHERE order_id = $1`, order).Scan(&charge); err != nil {
		s.Fatal(err)
	}
	s.post(key, "refunds", url.Values{"payment_intent": {charge}, "amount": {"1275"}})
}

func (s *stripeShop) post(key, path string, form url.Values) (id string) {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), http.MethodPost, s.stripe.URL+"/v1/"+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer response.Body.Close()
	var made struct{ ID string }
	if err := json.NewDecoder(response.Body).Decode(&made); err != nil || response.StatusCode != http.StatusOK {
		s.Fatalf("%s: %s %v", path, response.Status, err)
	}
	return made.ID
}

func (s *stripeShop) clean(when string) {
	s.Helper()
	if code, money := s.audit("3m"); code != exitDone {
		s.Errorf("%s, the audit exits with %d:\n%s", when, code, money)
	}
}

// The account of Stripe is changed: what was charged at the one before is given back there, by whatever key of it, and the auditor reads
// the lists of both.
func TestAccountsOfStripe(t *testing.T) {
	t.Parallel()
	s := &stripeShop{T: t, env: testkit.New(t), stripe: standin.Start(t)}
	before := s.stripe.Open("acct_before", "sk_test_before", "sk_test_rolled")
	after := s.stripe.Open("acct_after", "sk_test_after")
	for i := range 150 { // another shop's, more than a page
		id := s.post("sk_test_before", "payment_intents", url.Values{"amount": {"500"}, "currency": {"eur"}, "metadata[holdfast_namespace]": {"another"}})
		if i%2 == 0 {
			s.post("sk_test_before", "payment_intents/"+id+"/confirm", url.Values{"payment_method": {"pm_card_visa"}})
		}
	}
	s.serve("sk_test_before")
	s.stock("MUG")
	var old []string
	for range 5 {
		old = append(old, s.buy("pm_ok", "COMPLETED"))
	}
	s.buy("pm_declined", "FAILED")
	s.clean("with one account")

	s.serve("sk_test_rolled") // the same account
	s.cancel(old[0])
	s.cancelled(old[0])

	s.serve("sk_test_after")
	recent := s.buy("pm_ok", "COMPLETED")
	s.cancel(old[1])
	testkit.Eventually(t, patient, func() error {
		var page struct{ Items []struct{ Account string } }
		if s.send(http.MethodGet, "/admin/payments?state=waiting", nil, &page); len(page.Items) != 1 || page.Items[0].Account != "acct_before/test" {
			return fmt.Errorf("waiting: %+v", page)
		}
		return nil
	})
	s.buy("pm_ok", "COMPLETED") // the charger has been at it since
	if code, money := s.audit("0s"); code != exitFailed || strings.Contains(money, "BROKEN") || !strings.Contains(money, "6 payments were made at stripe account acct_before/test") {
		t.Errorf("without the account before, the audit exits with %d:\n%s", code, money)
	}

	s.serve("sk_test_after", "sk_test_rolled")
	s.cancelled(old[1])
	s.cancel(recent)
	s.cancelled(recent)
	s.clean("with both accounts")
	for i, order := range old {
		if n := after.Asked(order); n > 0 {
			t.Errorf("the account after was asked %d times about old order %d", n, i)
		}
	}
	if b, a := len(before.Refunds()), len(after.Refunds()); b != 2 || a != 1 || before.Asked(recent) > 0 {
		t.Errorf("%d refunds at the account before, %d at the one after", b, a)
	}

	s.byHand("sk_test_before", old[2])
	if code, money := s.audit("3m"); code != exitBroken || !strings.Contains(money, "made by hand") {
		t.Errorf("with a refund by hand, the audit exits with %d:\n%s", code, money)
	}
	s.cancel(old[2])
	s.cancelled(old[2])
	s.clean("when the refund by hand has met its order")

	failed := before.Refunds()[0]["id"].(string)
	before.Change(failed, standin.Object{"status": "failed"})
	if code, money := s.audit("3m"); code != exitBroken || !strings.Contains(money, failed) {
		t.Errorf("with a refund that has failed since, the audit exits with %d:\n%s", code, money)
	}
}
