package app_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/api"
	"github.com/holdfast-checkout/holdfast/internal/app"
	"github.com/holdfast-checkout/holdfast/internal/audit"
	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/sandbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
	"github.com/holdfast-checkout/holdfast/internal/web"
	"github.com/holdfast-checkout/holdfast/internal/web/webtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(instanceVariable) != "" {
		os.Exit(runInstance())
	}
	testkit.Main(m)
}

const (
	secret     = "a secret of the tests, long enough"
	sandboxKey = "key of the sandbox"
	hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)

// shop is a whole Holdfast on servers of its own names, reached as customers reach it.
type shop struct {
	t    *testing.T
	cfg  config.Config
	env  *testkit.Env
	url  string
	http *http.Client // fails the test when an answer is not as the API document says
	stop func()       // ends the instance; start makes another on the same data

	suffix string // of all products and customers: see of

	ledger       string        // of the payment provider
	slowBy       time.Duration // how long it takes to charge pm_slow
	hangFor      time.Duration // how long it leaves open what it does not answer; 0: 200 ms
	faults       sandbox.Faults
	keepErrors   bool // of the provider
	hooks        sandbox.Webhooks
	seed         uint64 // of the faults
	stopProvider func()
}

// settings change a shop's configuration.
type settings func(*config.Config)

func strategy(name string) settings   { return func(c *config.Config) { c.Strategy = name } }
func outboxMode(mode string) settings { return func(c *config.Config) { c.OutboxMode = mode } }
func holdOnOrder(on bool) settings    { return func(c *config.Config) { c.HoldOnOrder = on } }

// open starts a sandbox and an instance.
func open(t *testing.T, change ...settings) *shop {
	t.Helper()
	env := testkit.New(t)
	return openOn(t, env, change...)
}

func openOn(t *testing.T, env *testkit.Env, change ...settings) *shop {
	t.Helper()
	checked := &http.Client{Transport: webtest.Load(t, api.Document).Transport(t, nil)}
	s := &shop{t: t, env: env, http: checked, cfg: config.Config{
		Servers:  config.Servers{PostgresURL: env.PostgresURL, RedisURL: env.RedisURL, RabbitMQURL: env.RabbitURL, Namespace: env.Namespace},
		HTTPAddr: "127.0.0.1:0", JWTSecret: secret, MaxBody: 1 << 20, Strategy: "optimistic", OrderTimeout: 15 * time.Minute, HoldOnOrder: true,
		MaxLines: 2000, MaxQuantity: 1_000_000, OutboxMode: "cdc", OutboxPollInterval: 5 * time.Second, OutboxRetention: 24 * time.Hour, DeadLetterRetention: 720 * time.Hour,
		InboxRetention: 7 * 24 * time.Hour, ConsumerBatch: 128, HoldTTL: 15 * time.Minute, HoldMaxAge: time.Hour, SweepInterval: time.Minute,
		ReconcileInterval: 5 * time.Minute, ReconcileCooldown: time.Second, PaymentProvider: "sandbox",
		SandboxKey: sandboxKey, SandboxWebhookSecret: hookSecret,
	}}
	s.slowBy = 300 * time.Millisecond
	s.ledger = filepath.Join(t.TempDir(), "ledger.jsonl")
	s.startProvider("127.0.0.1:0")
	for _, c := range change {
		c(&s.cfg)
	}
	s.start()
	return s
}

// startProvider runs the payment sandbox, on the ledger of the one before.
func (s *shop) startProvider(addr string) {
	s.t.Helper()
	provider, err := sandbox.Open(sandbox.Options{
		Addr: addr, LedgerFile: s.ledger, APIKey: sandboxKey, Log: s.env.Log,
		SlowBy: s.slowBy, Faults: s.faults, KeepErrors: s.keepErrors, Seed: s.seed, HangFor: cmp.Or(s.hangFor, 200*time.Millisecond), Webhooks: s.hooks,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.cfg.SandboxURL = provider.URL()
	s.stopProvider = background(s.t, "sandbox", provider.Run)
}

// start runs an instance and waits until it answers.
func (s *shop) start() {
	s.t.Helper()
	ready := make(chan string, 1)
	s.stop = background(s.t, "instance", func(ctx context.Context) error {
		return app.Serve(ctx, s.cfg, s.env.Log, func(_ context.Context, url string) error { ready <- url; return nil })
	})
	select {
	case s.url = <-ready:
	case <-time.After(2 * time.Minute):
		s.t.Fatal("the instance did not come up")
	}
}

// background runs something until the answer is called, or until the test ends.
func background(t *testing.T, name string, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stopped := false
	stop = func() {
		cancel()
		if stopped {
			return
		}
		stopped = true
		if err := <-done; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// customer is somebody with a token.
type customer struct {
	shop  *shop
	token string
}

// of is the same shop for another test, whose products and customers are others under the same names.
func (s *shop) of(t *testing.T, number int) *shop {
	t.Helper()
	same := *s
	same.t, same.suffix = t, fmt.Sprint("-", number)
	return &same
}

func (s *shop) customer(sub string) customer { return customer{s, s.token(sub+s.suffix, false)} }
func (s *shop) operator() customer           { return customer{s, s.token("operator", true)} }

func (s *shop) token(sub string, admin bool) string {
	token, err := web.Tokens{Secret: []byte(secret)}.Issue(sub, admin, time.Hour)
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
}

// send makes a request; a body that is no string is sent as JSON. Headers are pairs.
func (c customer) send(method, path string, body any, headers ...string) (answer, error) {
	return c.sendWithin(c.shop.t.Context(), method, path, body, headers...)
}

func (c customer) sendWithin(ctx context.Context, method, path string, body any, headers ...string) (answer, error) {
	text, isText := body.(string)
	if !isText && body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		text = string(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.shop.url+"/api/v1"+path, bytes.NewBufferString(text))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.shop.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, got}, err
}

// ask is send, again while the answer is 503, or that the key's last request is still running, as a customer would on a machine that is
// busy.
func (c customer) ask(method, path string, body any, headers ...string) (a answer, err error) {
	testkit.Eventually(c.shop.t, 3*time.Minute, func() error {
		if a, err = c.send(method, path, body, headers...); err == nil &&
			(a.status == http.StatusServiceUnavailable || a.status == http.StatusConflict && bytes.Contains(a.body, []byte("/problems/idempotency-key-in-use"))) {
			return fmt.Errorf("%s %s: %d %s", method, path, a.status, a.body)
		}
		return nil
	})
	return a, err
}

// must sends a request and wants that status.
func (c customer) must(status int, method, path string, body any, headers ...string) answer {
	c.shop.t.Helper()
	a, err := c.ask(method, path, body, headers...)
	if err != nil {
		c.shop.t.Fatal(err)
	}
	if a.status != status {
		c.shop.t.Fatalf("%s %s: %d, want %d: %s", method, path, a.status, status, a.body)
	}
	return a
}

// product makes one with that stock and gives its id once the shelf has it.
func (s *shop) product(sku string, price, stock int64) string {
	s.t.Helper()
	sku += s.suffix
	body := map[string]any{"products": []map[string]any{
		{"sku": sku, "name": "Product " + sku, "description": "", "unit_price_minor": price, "currency": "GBP", "stock": stock},
	}}
	s.operator().must(http.StatusOK, http.MethodPost, "/admin/products", body)
	var list struct {
		Items []struct {
			ID string `json:"id"`
		} `json:"items"`
	}
	s.customer("x").must(http.StatusOK, http.MethodGet, "/products?sku="+sku, nil).into(s.t, &list)
	return list.Items[0].ID
}

// order is what the tests look at.
type order struct {
	ID              string `json:"id"`
	Status          string `json:"status"`
	PaymentStatus   string `json:"payment_status"`
	InventoryStatus string `json:"inventory_status"`
	DisplayStatus   string `json:"display_status"`
	FailureReason   string `json:"failure_reason"`
	Strategy        string `json:"strategy"`
	Version         int64  `json:"version"`
	TotalMinor      int64  `json:"total_minor"`
	Lines           []struct {
		ProductID string `json:"product_id"`
		Quantity  int64  `json:"quantity"`
	} `json:"lines"`
}

func (o order) final() bool {
	return o.Status == "COMPLETED" || o.Status == "FAILED" || o.Status == "CANCELLED"
}

func buyNow(product string, quantity int64, method string) map[string]any {
	return map[string]any{"payment_method": method, "items": []map[string]any{{"product_id": product, "quantity": quantity}}}
}

// buy buys and waits for the end.
func (c customer) buy(key string, body map[string]any) order {
	c.shop.t.Helper()
	var o order
	c.must(http.StatusCreated, http.MethodPost, "/orders", body, "Idempotency-Key", key, "Prefer", "wait=30").into(c.shop.t, &o)
	return o
}

// end waits for an order's end.
func (c customer) end(id string) order {
	c.shop.t.Helper()
	var o order
	testkit.Eventually(c.shop.t, 3*time.Minute, func() error {
		a, err := c.send(http.MethodGet, "/orders/"+id, nil)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(a.body, &o); err != nil {
			return err
		}
		if !o.final() {
			return fmt.Errorf("order %s is %s", id, o.Status)
		}
		return nil
	})
	return o
}

// clean wants every invariant to hold.
func (s *shop) clean() {
	s.t.Helper()
	report, err := app.Audit(s.t.Context(), s.cfg.Servers, s.cfg.Providers(), app.Rest{Wait: time.Minute, Cooldown: s.cfg.ReconcileCooldown})
	if err != nil {
		s.t.Fatal(err)
	}
	if report.ExitCode() != audit.ExitOK {
		var b bytes.Buffer
		_ = report.Print(&b)
		s.t.Fatalf("the audit is not clean:\n%s", b.String())
	}
}
