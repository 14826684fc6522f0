package payment_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/sandbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// gate holds calls of one kind once the provider has answered them.
type gate struct {
	reached, open chan struct{}
	once          sync.Once
}

func newGate() *gate { return &gate{reached: make(chan struct{}), open: make(chan struct{})} }

// hold blocks the first call of that name until the gate is opened.
func (g *gate) hold(name string) func(string) {
	return func(call string) {
		if call == name {
			g.once.Do(func() { close(g.reached); <-g.open })
		}
	}
}

// The order ends while its charge is being answered: the success is not announced any more, and the money goes back once.
func TestLateSuccessIsRefunded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := newGate()
	service, _, _ := w.charger(between{Provider: w.provider, after: g.hold("charge")})
	p := buy("pm_ok")
	w.hear(service.Charge, p.fact(event.StockReserved))
	<-g.reached
	w.hear(service.GiveBack, p.fact(event.OrderEnding), p.fact(event.OrderEnding))
	if got := w.ledger()[p.id]; got != paid {
		t.Fatalf("the charge is not in the ledger: %+v", got)
	}
	close(g.open)
	w.reach(p.id, payment.Refunded)
	w.expect(p, payment.Refunded, "refunded", repaid)
}

// A decline that comes after the order's end is a nothing that was given back.
func TestLateDeclineIsVoided(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := newGate()
	service, _, _ := w.charger(between{Provider: w.provider, after: g.hold("charge")})
	p := buy("pm_declined")
	w.hear(service.Charge, p.fact(event.StockReserved))
	<-g.reached
	w.hear(service.GiveBack, p.fact(event.OrderEnding))
	close(g.open)
	w.reach(p.id, payment.Voided)
	w.expect(p, payment.Voided, "voided", nothing)
}

// A charger that was asleep for longer than its lease finds its payment settled by another, and changes nothing.
func TestStaleChargerIsFenced(t *testing.T) {
	t.Parallel()
	for name, givenBack := range map[string]bool{"charged": false, "given back": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			g := newGate()
			short := func(o *payment.ChargerOptions) { o.Lease, o.Concurrency = 200*time.Millisecond, 1 }
			service, _, stop := w.charger(between{Provider: w.provider, after: g.hold("charge")}, short)
			p := buy("pm_ok")
			w.hear(service.Charge, p.fact(event.OrderCreated))
			<-g.reached
			service2, _, _ := w.charger(nil, short)
			end, said, m := payment.Success, "processed", paid
			if givenBack {
				w.hear(service2.GiveBack, p.fact(event.OrderEnding))
				end, said, m = payment.Refunded, "refunded", repaid
			}
			w.reach(p.id, end)
			close(g.open)
			stop() // it has tried to commit by then
			w.expect(p, end, said, m)
		})
	}
}

func TestManyChargersChargeOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var orders []purchase
	var facts []event.Fact
	for range 300 {
		p := buy("pm_ok")
		orders, facts = append(orders, p), append(facts, p.fact(event.OrderCreated))
	}
	var calls atomic.Int64
	counting := between{Provider: w.provider, before: func(string) { calls.Add(1) }}
	var chargers []*payment.Charger
	for range 4 {
		_, c, _ := w.charger(counting, func(o *payment.ChargerOptions) { o.Concurrency = 16 })
		chargers = append(chargers, c)
	}
	w.hear(payment.NewService(w.env.DB, func() {
		for _, c := range chargers {
			c.Wake()
		}
	}).Charge, facts...)
	w.rest()
	if n := calls.Load(); n != int64(len(orders)) {
		t.Errorf("%d calls for %d charges", n, len(orders))
	}
	books := w.ledger()
	for _, p := range orders {
		if books[p.id] != paid || w.names(p.id) != "processed" {
			t.Errorf("order %s: ledger %+v, said %q", p.id, books[p.id], w.names(p.id))
		}
	}
}

// A charger that is told to stop finishes what the provider is doing, and leaves nothing leased.
func TestStopFinishesWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := newGate()
	service, _, stop := w.charger(between{Provider: w.provider, before: g.hold("charge")})
	p, q := buy("pm_ok"), buy("pm_ok")
	w.hear(service.Charge, p.fact(event.OrderCreated))
	<-g.reached
	time.AfterFunc(50*time.Millisecond, func() { close(g.open) })
	stop()
	w.expect(p, payment.Success, "processed", paid)
	w.hear(service.Charge, q.fact(event.OrderCreated))
	w.expect(q, "PENDING", "", nothing)
}

// Whenever a charger is told to stop, nothing is left to wait for the end of its lease.
func TestStopStrandsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 60 {
		service, _, stop := w.charger(nil)
		p := buy("pm_ok")
		w.hear(service.Charge, p.fact(event.OrderCreated), buy("pm_ok").fact(event.OrderCreated))
		for range i % 10 {
			w.state(p.id) // takes some time, so that each stop falls elsewhere: into a claim, a call or a commit
		}
		stop()
		var leased int
		if err := w.env.DB.QueryRow(t.Context(), `SELECT count(*) FROM payment.payments WHERE leased_until IS NOT NULL`).Scan(&leased); err != nil || leased > 0 {
			t.Fatalf("stop %d left %d payments leased, %v", i, leased, err)
		}
	}
}

// The database drops all connections while the provider is answering: the answer is committed when it is back.
func TestConnectionsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := newGate()
	service, _, _ := w.charger(between{Provider: w.provider, after: g.hold("charge")}, func(o *payment.ChargerOptions) { o.Lease = time.Hour })
	p := buy("pm_ok")
	w.hear(service.Charge, p.fact(event.OrderCreated))
	<-g.reached
	if _, err := w.env.DB.Exec(t.Context(),
		`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
		t.Fatal(err)
	}
	fresh, err := postgres.Open(t.Context(), w.env.PostgresURL, postgres.Options{MaxConns: 1}) // the charger keeps the pool that lost all
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fresh.Close)
	w.env.DB = fresh
	close(g.open)
	w.reach(p.id, payment.Success)
	w.expect(p, payment.Success, "processed", paid)
}

// A charge that was first asked for longer ago than the provider remembers keys is never sent again or guessed at. The order's end
// closes it, and gives back what was charged, at any age.
func TestForgottenKeys(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, method string
		givenBack    bool
		calls        string
		state        payment.State
		said         string
		money        money
		forgotten    int64
	}{
		{"nothing was charged", "pm_error_once", false, "charge lookup", payment.Unknown, "unknown", nothing, 1},
		{"nothing was charged, given back", "pm_error_once", true, "charge lookup close", payment.Voided, "unknown voided", nothing, 0},
		{"charged", "pm_timeout_after_charge", false, "charge lookup", payment.Success, "unknown processed", paid, 0},
		{"charged, given back", "pm_timeout_after_charge", true, "charge lookup refund", payment.Refunded, "unknown refunded", repaid, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			g := newGate()
			var mu sync.Mutex
			calls := ""
			note := func(call string) {
				mu.Lock()
				calls += " " + call
				mu.Unlock()
				g.hold("lookup")(call)
			}
			service, charger, _ := w.charger(between{Provider: w.provider, before: note},
				func(o *payment.ChargerOptions) { o.KeyMemory = time.Millisecond })
			p := buy(c.method)
			w.hear(service.Charge, p.fact(event.OrderCreated))
			<-g.reached
			if c.givenBack {
				w.hear(service.GiveBack, p.fact(event.OrderEnding))
			}
			close(g.open)
			if c.forgotten > 0 {
				w.restsUntilLate(p)
			} else {
				w.reach(p.id, c.state)
			}
			w.expect(p, c.state, c.said, c.money)
			mu.Lock()
			defer mu.Unlock()
			if got := calls[1:]; got != c.calls {
				t.Errorf("calls %q, want %q", got, c.calls)
			}
			status, err := charger.Status(t.Context())
			if err != nil || status.Forgotten != c.forgotten || status.Unknown != c.forgotten {
				t.Errorf("status %+v, %v", status, err)
			}
		})
	}
}

// refusing is a provider that answers so many refunds with an error, and notes under which keys it was asked.
type refusing struct {
	payment.Provider
	times *atomic.Int64
	keys  *[]string
}

func (r refusing) Refund(ctx context.Context, in payment.Intent) (payment.Outcome, error) {
	*r.keys = append(*r.keys, in.KeyOf("key"))
	if r.times.Add(-1) >= 0 {
		return payment.Outcome{}, fmt.Errorf("out of money: %w", payment.ErrAnswered)
	}
	return r.Provider.Refund(ctx, in)
}

// A refund that is owed is asked for until it is made, however long ago it was first tried, and under another key after each answer
// that was an error, which a provider may keep under the key. What went wrong can be seen meanwhile.
func TestRefundIsMadeAtAnyAge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var times atomic.Int64
	var keys []string
	times.Store(3)
	service, charger, stop := w.charger(refusing{w.provider, &times, &keys}, func(o *payment.ChargerOptions) { o.KeyMemory = time.Millisecond })
	p := buy("pm_ok")
	w.hear(service.Charge, p.fact(event.OrderCreated))
	w.reach(p.id, payment.Success)
	w.hear(service.GiveBack, p.fact(event.OrderEnding))
	testkit.Eventually(t, enough, func() error {
		status, err := charger.Status(t.Context())
		if err == nil && times.Load() > 0 && (status.Refunding != 1 || status.Failing != 1 || status.Forgotten != 0) {
			err = fmt.Errorf("status %+v", status)
		}
		return err
	})
	w.reach(p.id, payment.Refunded)
	stop()
	w.expect(p, payment.Refunded, "processed refunded", repaid)
	if want := []string{"key", "key-1", "key-2", "key-3"}; !slices.Equal(keys, want) {
		t.Errorf("asked under %v, want %v", keys, want)
	}
	var answers int
	var lastError string
	if err := w.env.DB.QueryRow(t.Context(), `SELECT error_answers, last_error FROM payment.payments WHERE order_id = $1`, p.id).
		Scan(&answers, &lastError); err != nil || answers != 3 || lastError != "" {
		t.Errorf("%d answers were errors, the last %q, %v", answers, lastError, err)
	}
}

// A refund whose answer was lost, and whose key the provider has forgotten since, is found and not made twice.
func TestRefundUnderAForgottenKeyIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *sandbox.Options) { o.KeyMemory = time.Millisecond })
	lost := between{Provider: w.provider}
	service, _, stop := w.charger(lost)
	p := buy("pm_ok")
	w.hear(service.Charge, p.fact(event.OrderCreated))
	w.reach(p.id, payment.Success)
	stop()
	var charge string
	if err := w.env.DB.QueryRow(t.Context(), `SELECT charge_id FROM payment.payments WHERE order_id = $1`, p.id).Scan(&charge); err != nil {
		t.Fatal(err)
	}
	in := payment.Intent{OrderID: p.id, ChargeKey: "charge-" + p.id.String(), RefundKey: "refund-" + p.id.String(), ChargeID: charge, Terms: p.terms()}
	if _, err := w.provider.Refund(t.Context(), in); err != nil { // nobody hears the answer
		t.Fatal(err)
	}
	service, _, _ = w.charger(nil)
	w.hear(service.GiveBack, p.fact(event.OrderEnding))
	w.reach(p.id, payment.Refunded)
	w.expect(p, payment.Refunded, "processed refunded", repaid)
}

// A charger that stood still for longer than its claim does not charge any more: by then the provider may have forgotten the key.
func TestChargerThatStoodStillDoesNotCharge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := buy("pm_ok")
	w.attempt(p, stuck{w.provider})
	g := newGate()
	var mu sync.Mutex
	var calls []string
	still := between{Provider: w.provider, after: g.hold("lookup"), before: func(call string) {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, call)
	}}
	_, _, stop := w.charger(still, func(o *payment.ChargerOptions) { o.Lease, o.Concurrency = 300*time.Millisecond, 1 })
	<-g.reached
	testkit.Eventually(t, enough, func() bool {
		var over bool
		err := w.env.DB.QueryRow(t.Context(), `SELECT leased_until < now() FROM payment.payments WHERE order_id = $1`, p.id).Scan(&over)
		return err == nil && over
	})
	close(g.open)
	w.reach(p.id, payment.Success)
	stop()
	w.expect(p, payment.Success, "unknown processed", paid)
	if want := []string{"lookup", "lookup", "charge"}; !slices.Equal(calls, want) {
		t.Errorf("calls %v, want %v", calls, want)
	}
}

// restsUntilLate waits until a payment is not to be taken up for minutes.
func (w *world) restsUntilLate(p purchase) {
	w.Helper()
	testkit.Eventually(w.TB, enough, func() bool {
		var late bool
		err := w.env.DB.QueryRow(w.Context(), `SELECT due_at > now() + interval '2 minutes' AND leased_until IS NULL
			FROM payment.payments WHERE order_id = $1`, p.id).Scan(&late)
		return err == nil && late
	})
}

// leaver is a provider that has said which account it is before it went away.
type leaver struct {
	*payment.Sandbox
	account payment.Account
}

func (l leaver) Account(context.Context) (payment.Account, error) { return l.account, nil }

// A provider that has not said which account it is is asked for nothing, and the status says why.
func TestProviderThatDoesNotSayWhoItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	service, charger, stop := w.charger(payment.NewSandbox(payment.SandboxOptions{URL: "http://127.0.0.1:1", APIKey: apiKey}))
	p := buy("pm_ok")
	w.hear(service.Charge, p.fact(event.OrderCreated))
	testkit.Eventually(t, enough, func() error {
		s, err := charger.Status(t.Context())
		if err == nil && (s.Pending != 1 || len(s.Accounts) != 1 || s.Accounts[0].Error == "" || s.Accounts[0].Provider != "sandbox" || s.Unattended() == nil) {
			err = fmt.Errorf("%+v", s)
		}
		return err
	})
	if said, err := charger.ChargeNow(t.Context(), p.id); len(said) > 0 || err != nil {
		t.Errorf("said %v, %v", said, err)
	}
	stop()
	w.eventually(`SELECT tries = 0 AND provider = '' FROM payment.payments WHERE order_id = $1`, p.id)
	w.charger(nil)
	w.reach(p.id, payment.Success)
	w.expect(p, payment.Success, "processed", paid)
}

// While the provider is away, what it was asked for is unknown, is counted, and is charged once when it is back.
func TestProviderAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	account, err := w.provider.Account(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	away := leaver{payment.NewSandbox(payment.SandboxOptions{URL: "http://127.0.0.1:1", APIKey: apiKey}), account}
	service, charger, stop := w.charger(away)
	p := buy("pm_ok")
	w.hear(service.Charge, p.fact(event.OrderCreated))
	w.reach(p.id, payment.Unknown)
	status, err := charger.Status(t.Context())
	if err != nil || status.Unknown != 1 || status.Pending != 0 || status.Forgotten != 0 || status.Oldest == nil {
		t.Errorf("status %+v, %v", status, err)
	}
	if away.Ready(t.Context()) == nil || w.provider.Ready(t.Context()) != nil {
		t.Error("readiness of the provider that is away, or of the one that is not, is wrong")
	}
	stop()
	w.charger(nil)
	w.reach(p.id, payment.Success)
	w.expect(p, payment.Success, "unknown processed", paid)
}
