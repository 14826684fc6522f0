package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/app"
	"github.com/holdfast-checkout/holdfast/internal/audit"
	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/saga"
	"github.com/holdfast-checkout/holdfast/internal/sandbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	secret = "a secret of the tests, long enough"
	apiKey = "key of the sandbox"
)

// shop is a Holdfast that has sold things in every way and then stopped: everything in it is at rest.
type shop struct {
	env        *testkit.Env
	cfg        config.Config
	ledgerFile string
	url        string
}

// sell opens a shop, lets customers buy in both strategies with every outcome, leaves carts behind, and closes it.
func sell(t *testing.T) *shop {
	t.Helper()
	s := &shop{env: testkit.New(t), ledgerFile: filepath.Join(t.TempDir(), "ledger.jsonl")}
	provider := openSandbox(t, s.env, s.ledgerFile, 0)
	s.cfg = config.Config{
		Servers: config.Servers{
			PostgresURL: s.env.PostgresURL, RedisURL: s.env.RedisURL, RabbitMQURL: s.env.RabbitURL, Namespace: s.env.Namespace,
		},
		HTTPAddr: "127.0.0.1:0", JWTSecret: secret, MaxBody: 1 << 20, Strategy: "optimistic", OrderTimeout: 15 * time.Minute,
		MaxLines: 2000, MaxQuantity: 1_000_000, OutboxMode: "cdc", OutboxPollInterval: 5 * time.Second, OutboxRetention: 24 * time.Hour, DeadLetterRetention: 720 * time.Hour,
		InboxRetention: 7 * 24 * time.Hour, ConsumerBatch: 128, HoldTTL: 15 * time.Minute, HoldMaxAge: time.Hour, SweepInterval: time.Minute,
		ReconcileInterval: time.Hour, ReconcileCooldown: time.Second, PaymentProvider: "sandbox", SandboxURL: provider, SandboxKey: apiKey,
	} // without HoldOnOrder, so that the saga alone decides who gets the stock, and somebody does not
	ready := make(chan string, 1)
	stop := background(t, func(ctx context.Context) error {
		return app.Serve(ctx, s.cfg, s.env.Log, func(_ context.Context, url string) error { ready <- url; return nil })
	})
	s.url = <-ready
	plenty, scarce := s.product(t, "plenty", 1000), s.product(t, "scarce", 3)
	for _, strategy := range []string{"optimistic", "post-payment"} {
		for n, want := range []struct {
			product, method string
			quantity        int64
			status          string
		}{
			{plenty, "pm_ok", 2, "COMPLETED"},
			{plenty, "pm_ok", 5, "COMPLETED"},
			{scarce, "pm_ok", 1, "COMPLETED"},
			{plenty, "pm_declined", 3, "FAILED"},
			{scarce, "pm_ok", 50, "FAILED"},
			{plenty, "pm_ok", 4, "CANCELLED"}, // when it was complete
		} {
			s.buy(t, fmt.Sprintf("%s-%d", strategy, n), map[string]any{
				"payment_method": want.method, "strategy": strategy,
				"items": []any{map[string]any{"product_id": want.product, "quantity": want.quantity}},
			}, want.status)
		}
	}
	s.befall(t)
	for n := range 3 {
		s.send(t, fmt.Sprintf("browser-%d", n), http.MethodPut, "/cart/items/"+plenty, map[string]any{"quantity": n + 1}, nil)
	}
	s.whole(t)
	stop()
	return s
}

// whole waits until the shop has come to rest, and wants all to be well.
func (s *shop) whole(t *testing.T) {
	t.Helper()
	o := s.options(t, s.env.DB)
	o.Wait = time.Minute
	report := run(t, o)
	if report.ExitCode() != audit.ExitOK || !report.AtRest {
		var b bytes.Buffer
		_ = report.Print(&b)
		t.Fatalf("the shop is not whole:\n%s", b.String())
	}
}

// options are those of an audit that judges at once.
func (s *shop) options(t *testing.T, db *postgres.DB) audit.Options {
	t.Helper()
	book, err := saga.NewBook(saga.All(), saga.Optimistic.Name, nil)
	if err != nil {
		t.Fatal(err)
	}
	var queues []string
	for _, m := range saga.Modules() {
		queues = append(queues, s.env.Namespace+"."+string(m))
	}
	return audit.Options{
		Postgres: db, Redis: s.env.Redis, Namespace: s.env.Namespace, Broker: s.env.RabbitURL, Queues: queues, Hears: book.Hears(), Follows: book.Follows(), Ends: book.Ends, States: book.States(),
		Ledgers: []audit.Ledger{{URL: s.cfg.SandboxURL, APIKey: apiKey}}, Cooldown: 300 * time.Millisecond,
	}
}

func run(t *testing.T, o audit.Options) audit.Report {
	t.Helper()
	report, err := audit.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// background runs something until the answer is called, or until the test ends.
func background(t *testing.T, work func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- work(ctx) }()
	stopped := false
	stop = func() {
		if cancel(); !stopped {
			stopped = true
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(stop)
	return stop
}

// openSandbox runs a provider on a ledger file and gives its URL. It remembers keys for so long, 0: as ever.
func openSandbox(t *testing.T, env *testkit.Env, ledger string, memory time.Duration, change ...func(*sandbox.Options)) string {
	t.Helper()
	o := sandbox.Options{Addr: "127.0.0.1:0", LedgerFile: ledger, APIKey: apiKey, Log: env.Log, KeyMemory: memory}
	for _, c := range change {
		c(&o)
	}
	provider, err := sandbox.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	background(t, provider.Run)
	return provider.URL()
}

func (s *shop) product(t *testing.T, sku string, stock int64) string {
	t.Helper()
	var made struct {
		Items []struct {
			ID string `json:"id"`
		} `json:"items"`
	}
	s.send(t, "", http.MethodPost, "/admin/products", map[string]any{"products": []any{map[string]any{
		"sku": sku, "name": sku, "description": "", "unit_price_minor": 125, "currency": "GBP", "stock": stock,
	}}}, nil)
	s.send(t, "", http.MethodGet, "/products?sku="+sku, nil, &made)
	return made.Items[0].ID
}

func (s *shop) buy(t *testing.T, customer string, body any, status string) {
	t.Helper()
	var order struct {
		ID     string `json:"id"`
		Status string `json:"status"`
	}
	s.send(t, customer, http.MethodPost, "/orders", body, &order)
	if status == "CANCELLED" {
		s.send(t, customer, http.MethodPost, "/orders/"+order.ID+"/cancel", nil, nil)
		return // its end is waited for with all others'
	}
	if order.Status != status {
		t.Fatalf("the order of %s is %s, want %s", customer, order.Status, status)
	}
}

// send makes a request as a customer, or as an operator when there is none.
func (s *shop) send(t *testing.T, customer, method, path string, body, into any) {
	t.Helper()
	token, err := web.Tokens{Secret: []byte(secret)}.Issue(customer+"x", customer == "", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var sent io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		sent = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+"/api/v1"+path, sent)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", uuid.NewString())
	req.Header.Set("Prefer", "wait=30")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 {
		t.Fatalf("%s %s: %s %s %v", method, path, res.Status, answer, err)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			t.Fatal(err)
		}
	}
}

// copyOf is a database like the shop's, to be broken. Nobody may be connected to the shop's own.
func (s *shop) copyOf(t *testing.T) *postgres.DB {
	t.Helper()
	name := s.env.Namespace + "c" + uuid.NewString()[:8]
	name = name[len(name)-40:] // a database's name has 63 characters at the most
	admin, err := url.Parse(s.env.PostgresURL)
	if err != nil {
		t.Fatal(err)
	}
	original := admin.Path[1:]
	admin.Path = "/postgres"
	onServer(t, admin.String(), fmt.Sprintf(`CREATE DATABASE %q TEMPLATE %q STRATEGY file_copy`, name, original))
	admin.Path = "/" + name
	db, err := postgres.Open(t.Context(), admin.String(), postgres.Options{MaxConns: 3})
	if err != nil {
		t.Fatal(err)
	}
	admin.Path = "/postgres"
	t.Cleanup(func() {
		db.Close()
		onServer(t, admin.String(), fmt.Sprintf(`DROP DATABASE %q WITH (FORCE)`, name))
	})
	return db
}

func onServer(t *testing.T, server, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatal(err)
	}
}

// copyOfRedis is a namespace with all that the shop has in Redis.
func (s *shop) copyOfRedis(t *testing.T) string {
	t.Helper()
	namespace := s.env.Namespace + uuid.NewString()[:8]
	keys, err := s.env.Redis.Keys(t.Context(), s.env.Namespace+":*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if err := s.env.Redis.Do(t.Context(), "COPY", key, namespace+key[len(s.env.Namespace):]).Err(); err != nil {
			t.Fatal(err)
		}
	}
	return namespace
}

// copyOfLedger is a provider that has booked all that the shop's has, and remembers keys for so long, 0: as ever.
func (s *shop) copyOfLedger(t *testing.T, memory time.Duration, change ...func(*sandbox.Options)) audit.Ledger {
	t.Helper()
	booked, err := os.ReadFile(s.ledgerFile)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ledger.jsonl")
	if err := os.WriteFile(file, booked, 0o600); err != nil {
		t.Fatal(err)
	}
	id, err := os.ReadFile(s.ledgerFile + ".id") // it is the same account
	if err == nil {
		err = os.WriteFile(file+".id", id, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return audit.Ledger{URL: openSandbox(t, s.env, file, memory, change...), APIKey: apiKey}
}
