package app

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
	"github.com/holdfast-checkout/holdfast/internal/lease"
	"github.com/holdfast-checkout/holdfast/internal/reconcile"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/saga"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
	"github.com/holdfast-checkout/holdfast/lua"
)

// market is every module, wired as the server wires them, on a real Postgres and a real Redis. In place of the broker the
// test takes facts out of the outbox and hands them to the modules in the order that rapid draws; payments are the test's own.
type market struct {
	*rapid.T
	ctx     context.Context
	s       *server
	sweeper *inventory.Sweeper
	hear    map[saga.Module]saga.Handler
	hearers map[string][]string // modules by routing key

	products  []uuid.UUID
	customers []string
	waiting   map[saga.Module][]event.Fact // said, and not heard yet
	heard     map[saga.Module][]event.Fact // the last that were, to be heard again
	read      int                          // rows of the outbox
	paid      map[uuid.UUID]string         // what became of an order's payment
	bought    []purchase
	lowered   map[uuid.UUID]bool // products of which an operator took units away
	lost      map[string]bool    // carts of which Redis was made to lose a hold
	copied    map[string]string  // an old copy of Redis, by key
	damaged   bool               // what is read of Redis behind the modules' back says nothing at the moment

	admission *redisx.Admission
	memory    *reconcile.Memory
}

// purchase is a request that made an order.
type purchase struct {
	key   string
	items []uuid.UUID
	order uuid.UUID
	again func() (uuid.UUID, bool, error)
}

// newMarket wires everything. Nothing is logged: rapid does a failed run again and again.
func newMarket(t *testing.T, env *testkit.Env) *market {
	t.Helper()
	client, err := redisx.Open(env.RedisURL, redisx.Options{ReadTimeout: 10 * time.Second, DialTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	log := slog.New(slog.DiscardHandler)
	s := &server{
		cfg: config.Config{
			HoldTTL: 15 * time.Minute, HoldMaxAge: time.Hour, MaxLines: 100, MaxQuantity: 100, OrderTimeout: 15 * time.Minute, HoldOnOrder: true,
		},
		log: log, registry: prometheus.NewRegistry(), db: env.DB, redis: client, patient: client, admission: redisx.NewAdmission(),
		keys: redisx.Keys{Namespace: env.Namespace}, scripts: redisx.NewScripts(client, lua.Sources()), lease: lease.New(env.DB, log, "market", 0),
	}
	s.scripts.Patience, s.scripts.Admission = 10*time.Second, s.admission
	unguarded := redisx.NewScripts(client, lua.Sources())
	unguarded.Patience = 10 * time.Second
	if s.book, err = saga.NewBook(saga.All(), "optimistic", nil); err != nil {
		t.Fatal(err)
	}
	s.modules = s.newModules(s.book)
	s.repairs = reconcile.New(reconcile.Options{
		Postgres: s.db, Redis: client, Scripts: unguarded, Keys: s.keys, Shelf: s.modules.shelf, Lease: s.lease, Log: log,
		Registry: s.registry, Cooldown: time.Millisecond,
	})
	m := &market{
		ctx: t.Context(), s: s, admission: s.admission, memory: reconcile.NewMemory(s.repairs, s.admission), hear: map[saga.Module]saga.Handler{}, hearers: s.book.Hears(),
		sweeper: inventory.NewSweeper(client, s.scripts, s.keys, time.Minute, log), customers: []string{"ann", "bob", "eve"},
	}
	for _, module := range []saga.Module{saga.Order, saga.Inventory, saga.Shelf} {
		m.hear[module] = s.book.Hear(module, s.modules.actors())
	}
	return m
}

// must fails the run if something went wrong that no draw can make go wrong.
func (m *market) must(what string, err error) {
	m.Helper()
	if err != nil {
		m.Fatalf("%s: %v", what, err)
	}
}

func (m *market) exec(sql string, args ...any) {
	m.Helper()
	_, err := m.s.db.Exec(m.ctx, sql, args...)
	m.must(sql, err)
}

// open begins a run: nothing is left of the one before, and there are three products.
func (m *market) open(t *rapid.T) {
	m.T = t
	m.exec(`TRUNCATE shared.outbox, shared.inbox, shared.reconciliations, shared.reconciliation_differences, cart.carts, cart.lines,
		orders.orders, orders.lines, orders.view, orders.idempotency_keys,
		inventory.products, inventory.stock, inventory.movements, inventory.reservations, inventory.reservation_lines`)
	m.forgetKeys()
	m.must("look at Redis", m.memory.Look(m.ctx))
	m.copied, m.damaged = nil, false
	m.waiting, m.heard, m.paid = map[saga.Module][]event.Fact{}, map[saga.Module][]event.Fact{}, map[uuid.UUID]string{}
	m.read, m.bought, m.lowered, m.lost, m.products = 0, nil, map[uuid.UUID]bool{}, map[string]bool{}, nil
	var made []inventory.NewProduct
	for i := range 3 {
		sku := fmt.Sprint("sku", i)
		stock := rapid.Int64Range(1, 6).Draw(t, sku)
		made = append(made, inventory.NewProduct{Product: inventory.Product{SKU: sku, Name: "Tea", UnitPriceMinor: 250, Currency: "GBP"}, Stock: stock})
	}
	offers, err := m.s.modules.inventory.Upsert(m.ctx, made)
	m.must("make products", err)
	for _, o := range offers {
		m.products = append(m.products, o.ID)
	}
	m.listen()
}

// forgetKeys deletes everything that the test has in Redis.
func (m *market) forgetKeys() {
	keys, err := m.s.redis.Keys(m.ctx, m.s.keys.Namespace+":*").Result()
	m.must("list keys", err)
	if len(keys) > 0 {
		m.must("delete keys", m.s.redis.Unlink(m.ctx, keys...).Err())
	}
}

// listen takes what was said since the last time out of the outbox and puts it where it is to be heard.
func (m *market) listen() {
	rows, err := m.s.db.Query(m.ctx, `SELECT body FROM shared.outbox ORDER BY xid, id OFFSET $1`, m.read)
	m.must("read outbox", err)
	bodies, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	m.must("read outbox", err)
	m.read += len(bodies)
	for _, body := range bodies {
		facts, err := event.Split(body)
		m.must("read fact", err)
		for _, f := range facts {
			m.say(f)
		}
	}
}

func (m *market) say(f event.Fact) {
	for _, name := range m.hearers[f.Row()] {
		module := saga.Module(name)
		if module != saga.View {
			m.waiting[module] = append(m.waiting[module], f)
		}
	}
	if f.Name == event.StockFailed && !m.wasLowered(m.itemsOf(f.OrderID)) {
		m.Fatalf("an order with a hold is told that there is no stock: %s %s", f.Name, f.Data)
	}
}

func (m *market) itemsOf(order uuid.UUID) []uuid.UUID {
	at := slices.IndexFunc(m.bought, func(p purchase) bool { return p.order == order })
	if at < 0 {
		m.Fatalf("order %s was made by nobody", order)
	}
	return m.bought[at].items
}

func (m *market) wasLowered(products []uuid.UUID) bool {
	return slices.ContainsFunc(products, func(p uuid.UUID) bool { return m.lowered[p] })
}

// deliver lets a module hear facts as one batch.
func (m *market) deliver(module saga.Module, facts []event.Fact) {
	m.Helper()
	for _, f := range facts {
		m.Logf("%s hears %s of %s", module, f.RoutingKey(), f.OrderID)
	}
	if module == saga.Payment {
		m.pay(facts)
	} else {
		m.must(fmt.Sprintf("%s hears %d facts", module, len(facts)), m.hear[module](m.ctx, facts))
	}
	m.listen()
}

// pay is a payment module: each order is charged once at most, and what was given back before is not charged.
func (m *market) pay(facts []event.Fact) {
	for _, f := range facts {
		terms, err := event.Decode[event.Terms](f)
		m.must("read terms", err)
		was, wanted := m.paid[f.OrderID], f.Name == event.OrderCreated || f.Name == event.StockReserved
		said := event.Name("")
		switch {
		case wanted && was == "" && terms.PaymentMethod == declined:
			said, m.paid[f.OrderID] = event.PaymentFailed, "declined"
		case wanted && was == "":
			said, m.paid[f.OrderID] = event.PaymentProcessed, "charged"
		case !wanted && was == "":
			said, m.paid[f.OrderID] = event.PaymentVoided, "given back"
		case !wanted && was == "charged":
			said, m.paid[f.OrderID] = event.PaymentRefunded, "given back"
		}
		if said != "" {
			m.say(f.Answer(said, event.Payment{Terms: terms}))
		}
	}
}

const declined = "pm_declined"
