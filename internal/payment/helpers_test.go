package payment_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/sandbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(runChild())
	}
	testkit.Main(m)
}

const (
	apiKey = "sk_test"
	enough = 20 * time.Second // for anything here to happen
)

// world is a database and a provider of one test.
type world struct {
	testing.TB
	env      *testkit.Env
	provider *payment.Sandbox
	url      string // of the provider
}

// newWorld starts a sandbox of its own beside a clean database. Its client is patient: it gives up only when a connection is
// dropped.
func newWorld(t testing.TB, change ...func(*sandbox.Options)) *world {
	t.Helper()
	w := &world{TB: t, url: openSandbox(t, change...), env: testkit.New(t)}
	w.provider = w.client(enough)
	return w
}

// openSandbox runs a sandbox and gives its URL.
func openSandbox(t testing.TB, change ...func(*sandbox.Options)) string {
	t.Helper()
	o := sandbox.Options{
		Addr: "127.0.0.1:0", LedgerFile: filepath.Join(t.TempDir(), "ledger.jsonl"), APIKey: apiKey, Seed: 42,
		SlowBy: 500 * time.Millisecond, HangFor: 100 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&o)
	}
	server, err := sandbox.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	run(t, server.Run)
	return server.URL()
}

// client is a client of the sandbox that gives up after a time.
func (w *world) client(timeout time.Duration) *payment.Sandbox {
	client := payment.NewSandbox(payment.SandboxOptions{URL: w.url, APIKey: apiKey, Timeout: timeout})
	w.Cleanup(client.Hangup)
	return client
}

// run runs a long-lived part until the test ends or stop is called.
func run(t testing.TB, part func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- part(ctx); close(ended) }()
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("ended with %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// charger starts a charger on the provider, or on one that stands before it, and gives the verbs that wake it.
func (w *world) charger(before payment.Provider, change ...func(*payment.ChargerOptions)) (*payment.Service, *payment.Charger, func()) {
	w.Helper()
	if before == nil {
		before = w.provider
	}
	o := payment.ChargerOptions{Log: w.env.Log, Poll: 20 * time.Millisecond}
	for _, c := range change {
		c(&o)
	}
	charger := payment.NewCharger(w.env.DB, before, o)
	stop := run(w.TB, charger.Run)
	return payment.NewService(w.env.DB, charger.Wake), charger, stop
}

// idle gives the verbs without a charger.
func (w *world) idle() *payment.Service { return payment.NewService(w.env.DB, func() {}) }

// purchase is an order as payment meets it.
type purchase struct {
	id     uuid.UUID
	amount int64
	method string
}

func buy(method string) purchase { return purchase{uuid.Must(uuid.NewV7()), 1275, method} }

func (p purchase) terms() event.Terms {
	return event.Terms{TotalMinor: p.amount, Currency: "GBP", PaymentMethod: p.method}
}

func (p purchase) fact(name event.Name) event.Fact {
	var data any
	switch name {
	case event.OrderCreated:
		data = event.Order{Customer: "c", Lines: []event.OrderLine{{ProductID: uuid.New(), Quantity: 1}}, Terms: p.terms()}
	case event.StockReserved, event.StockFailed:
		data = event.OrderStock{Lines: []event.StockLine{{ProductID: uuid.New(), Quantity: 1}}, Terms: p.terms()}
	case event.OrderEnding:
		data = event.OrderState{Version: 2, Customer: "c", Status: "ENDING", TotalMinor: p.amount, Currency: "GBP"}
	default:
		panic(name)
	}
	f := event.New(name, "optimistic", p.id, data)
	f.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	return f
}

// hear hands facts to a verb.
func (w *world) hear(verb func(context.Context, []event.Fact) error, facts ...event.Fact) {
	w.Helper()
	if err := verb(w.Context(), facts); err != nil {
		w.Fatal(err)
	}
}

// said gives the facts that payment said of an order, in the order of their commits.
func (w *world) said(order uuid.UUID) []event.Fact {
	w.Helper()
	rows, err := w.env.DB.Query(w.Context(), `SELECT body FROM shared.outbox WHERE order_id = $1 ORDER BY xid, id`, order)
	if err != nil {
		w.Fatal(err)
	}
	bodies, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		w.Fatal(err)
	}
	var facts []event.Fact
	for _, b := range bodies {
		f, err := event.Split(b)
		if err != nil {
			w.Fatal(err)
		}
		facts = append(facts, f...)
	}
	return facts
}

// names gives what was said of an order, in short: "unknown processed".
func (w *world) names(order uuid.UUID) string {
	w.Helper()
	var names []string
	for _, f := range w.said(order) {
		names = append(names, strings.TrimPrefix(string(f.Name), "payment."))
	}
	return strings.Join(names, " ")
}

func (w *world) state(order uuid.UUID) payment.State {
	w.Helper()
	var s payment.State
	err := w.env.DB.QueryRow(w.Context(), `SELECT coalesce((SELECT state FROM payment.payments WHERE order_id = $1), 'none')`, order).Scan(&s)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// reach waits until an order's payment is in a state.
func (w *world) reach(order uuid.UUID, state payment.State) {
	w.Helper()
	testkit.Eventually(w.TB, enough, func() error {
		if got := w.state(order); got != state {
			return fmt.Errorf("payment is %s, not %s", got, state)
		}
		return nil
	})
}

// eventually waits until a statement says true.
func (w *world) eventually(sql string, args ...any) {
	w.Helper()
	testkit.Eventually(w.TB, enough, func() (so bool) {
		err := w.env.DB.QueryRow(w.Context(), sql, args...).Scan(&so)
		return err == nil && so
	})
}

// rest waits until no payment is under way.
func (w *world) rest() {
	w.Helper()
	testkit.Eventually(w.TB, enough, func() error {
		var n int
		err := w.env.DB.QueryRow(w.Context(), `SELECT count(*) FROM payment.payments WHERE due_at IS NOT NULL`).Scan(&n)
		if err == nil && n > 0 {
			err = fmt.Errorf("%d payments are under way", n)
		}
		return err
	})
}

// money is what the provider's ledger says of an order.
type money struct {
	charges, refunds int
	kept             int64
}

func (w *world) ledger() map[uuid.UUID]money {
	w.Helper()
	books := map[uuid.UUID]money{}
	for after := int64(0); ; {
		page := w.page(after)
		for _, e := range page.Entries {
			order := uuid.MustParse(e.OrderID)
			m := books[order]
			switch {
			case e.Kind == sandbox.KindDispute:
			case e.Status == sandbox.Failed: // a refund that had succeeded
				m.refunds, m.kept = m.refunds-1, m.kept+e.AmountMinor
			case e.Kind == sandbox.KindRefund:
				m.refunds, m.kept = m.refunds+1, m.kept-e.AmountMinor
			case e.Status == sandbox.Succeeded:
				m.charges, m.kept = m.charges+1, m.kept+e.AmountMinor
			}
			books[order] = m
		}
		if after = page.NextAfter; after == 0 {
			return books
		}
	}
}

func (w *world) page(after int64) (page sandbox.Page) {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), http.MethodGet, fmt.Sprintf("%s/ledger?after=%d", w.url, after), nil)
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+apiKey)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.Fatal(err)
	}
	if err := json.Unmarshal(body, &page); err != nil {
		w.Fatalf("%s: %v", body, err)
	}
	return page
}

// expect compares all that is known of an order with what it should be.
func (w *world) expect(p purchase, state payment.State, said string, m money) {
	w.Helper()
	if got := w.state(p.id); got != state {
		w.Errorf("%s: payment is %s, want %s", p.method, got, state)
	}
	if got := w.names(p.id); got != said {
		w.Errorf("%s: said %q, want %q", p.method, got, said)
	}
	if got := w.ledger()[p.id]; got != m {
		w.Errorf("%s: the provider's ledger has %+v, want %+v", p.method, got, m)
	}
}

var (
	quiet   = slog.New(slog.DiscardHandler)
	nothing = money{}
	paid    = money{charges: 1, kept: 1275}
	repaid  = money{charges: 1, refunds: 1}
)

func count(s, word string) int {
	return len(slices.DeleteFunc(strings.Fields(s), func(w string) bool { return w != word }))
}
