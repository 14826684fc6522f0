package inventory_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
	"github.com/holdfast-checkout/holdfast/lua"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// shop is the module on a real Postgres and a real Redis, with what the other modules would know.
type shop struct {
	t       *testing.T
	env     *testkit.Env
	books   *inventory.Service
	shelf   *inventory.Shelf
	scripts *redisx.Scripts
	redis   redis.UniversalClient
	keys    redisx.Keys
	orders  *orders
	holders *holders
}

func newShop(t *testing.T) *shop {
	t.Helper()
	t.Parallel()
	env := testkit.New(t)
	return newShopOn(t, env, env.RedisURL, 10*time.Second) // a busy machine is no outage
}

// onEach runs a test on a single node of Redis and on a cluster.
func onEach(t *testing.T, test func(t *testing.T, s *shop)) {
	t.Helper()
	testkit.OnEach(t, func(t *testing.T, env *testkit.Env) { test(t, newShopOn(t, env, env.RedisURL, 10*time.Second)) })
}

// newShopOn is a shop that waits so long for its Redis.
func newShopOn(t *testing.T, env *testkit.Env, redisURL string, patience time.Duration) *shop {
	t.Helper()
	client, err := redisx.Open(redisURL, redisx.Options{ReadTimeout: patience, DialTimeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	s := &shop{
		t: t, env: env, redis: client, keys: redisx.Keys{Namespace: env.Namespace}, orders: &orders{known: map[uuid.UUID]event.Order{}},
		holders: &holders{}, scripts: redisx.NewScripts(client, lua.Sources()),
	}
	s.scripts.Patience = patience
	s.holders.orders = s.orders
	s.shelf = inventory.NewShelf(env.DB, s.scripts, s.keys, s.holders, s.orders, env.Log)
	s.books = inventory.New(env.DB, s.orders, s.shelf, env.Log)
	return s
}

// orders is what module order knows.
type orders struct {
	mu    sync.Mutex
	known map[uuid.UUID]event.Order
}

func (o *orders) Lines(_ context.Context, _ pgx.Tx, ids []uuid.UUID) (map[uuid.UUID]event.Order, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	found := map[uuid.UUID]event.Order{}
	for _, id := range ids {
		if order, there := o.known[id]; there {
			found[id] = order
		}
	}
	return found, nil
}

// sell puts a product with that opening stock into the catalogue for each number.
func (s *shop) sell(stock ...int64) []uuid.UUID {
	s.t.Helper()
	products := make([]inventory.NewProduct, len(stock))
	for i, n := range stock {
		products[i] = inventory.NewProduct{
			Product: inventory.Product{SKU: fmt.Sprintf("%s-%04d", uuid.NewString()[:8], i), Name: "A thing", UnitPriceMinor: 250, Currency: "GBP"}, Stock: n,
		}
	}
	offers, err := s.books.Upsert(s.t.Context(), products)
	if err != nil {
		s.t.Fatal(err)
	}
	ids := make([]uuid.UUID, len(offers))
	for i, o := range offers {
		ids[i] = o.ID
	}
	return ids
}

func line(p uuid.UUID, n int64) event.OrderLine { return event.OrderLine{ProductID: p, Quantity: n} }

// created is an order that asks for lines.
func (s *shop) created(lines ...event.OrderLine) event.Fact {
	order := event.Order{
		Customer: "c", HoldID: uuid.Must(uuid.NewV7()), Lines: lines, Terms: event.Terms{TotalMinor: 500, Currency: "GBP", PaymentMethod: "pm_ok"},
	}
	id := uuid.Must(uuid.NewV7())
	s.orders.mu.Lock()
	s.orders.known[id] = order
	s.orders.mu.Unlock()
	return event.New(event.OrderCreated, "optimistic", id, order)
}

// paid is a fact of an order that carries no lines.
func paid(order event.Fact) event.Fact {
	terms := event.Terms{TotalMinor: 500, Currency: "GBP", PaymentMethod: "pm_ok"}
	return order.Answer(event.PaymentProcessed, event.Payment{ChargeID: "ch_1", Terms: terms})
}

func ending(order event.Fact) event.Fact {
	return order.Answer(event.OrderEnding, event.OrderState{Status: "ENDING"})
}

func (s *shop) reserve(facts ...event.Fact) {
	s.t.Helper()
	if err := s.books.Reserve(s.t.Context(), facts); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) release(facts ...event.Fact) {
	s.t.Helper()
	if err := s.books.Release(s.t.Context(), facts); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) settle(facts ...event.Fact) {
	s.t.Helper()
	if err := s.shelf.Settle(s.t.Context(), facts); err != nil {
		s.t.Fatal(err)
	}
}

// said gives what inventory has said, in the order in which it was said: of one order, or of the shop (zero).
func (s *shop) said(order uuid.UUID) []event.Fact {
	s.t.Helper()
	rows, err := s.env.DB.Query(s.t.Context(), `SELECT body FROM shared.outbox WHERE coalesce(order_id, $2) = $1 ORDER BY xid, id`, order, uuid.Nil)
	if err != nil {
		s.t.Fatal(err)
	}
	bodies, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		s.t.Fatal(err)
	}
	var facts []event.Fact
	for _, body := range bodies {
		f, err := event.Split(body)
		if err != nil {
			s.t.Fatal(err)
		}
		facts = append(facts, f...)
	}
	return facts
}

func names(facts []event.Fact) []event.Name {
	list := make([]event.Name, len(facts))
	for i, f := range facts {
		list[i] = f.Name
	}
	return list
}

func (s *shop) wantSaid(order event.Fact, want ...event.Name) {
	s.t.Helper()
	got := names(s.said(order.OrderID))
	if len(got) != 0 || len(want) != 0 {
		if diff := cmp.Diff(want, got); diff != "" {
			s.t.Fatalf("said of order %s (-want +got)\n%s", order.OrderID, diff)
		}
	}
}

func (s *shop) one(sql string) (n int64) {
	s.t.Helper()
	if err := s.env.DB.QueryRow(s.t.Context(), sql).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

func (s *shop) inBooks(p uuid.UUID) (available, allocated int64) {
	s.t.Helper()
	if err := s.env.DB.QueryRow(s.t.Context(), `SELECT available, allocated FROM inventory.stock WHERE product_id = $1`, p).Scan(&available, &allocated); err != nil {
		s.t.Fatal(err)
	}
	return available, allocated
}

func (s *shop) wantBooks(p uuid.UUID, available, allocated int64) {
	s.t.Helper()
	if a, b := s.inBooks(p); a != available || b != allocated {
		s.t.Fatalf("product %s: %d available and %d allocated, want %d and %d", p, a, b, available, allocated)
	}
}

// wantConserved checks over all products that the ledger sums to the stock, and that what orders hold is what is allocated.
func (s *shop) wantConserved() {
	s.t.Helper()
	wrong := s.one(`
		SELECT count(*) FROM inventory.stock s
		LEFT JOIN (SELECT product_id, sum(quantity) AS units, -coalesce(sum(quantity) FILTER (WHERE kind IN ('reserve', 'release')), 0) AS taken
		           FROM inventory.movements GROUP BY 1) m USING (product_id)
		LEFT JOIN (SELECT product_id, sum(quantity) AS units FROM inventory.reservation_lines JOIN inventory.reservations USING (order_id)
		           WHERE state IN ('RESERVED', 'GATHERING', 'RETURNING') AND NOT returned GROUP BY 1) r USING (product_id)
		WHERE s.available <> coalesce(m.units, 0) OR s.allocated <> coalesce(r.units, 0) OR s.allocated <> coalesce(m.taken, 0)`)
	if wrong > 0 {
		s.t.Errorf("the books of %d products do not add up", wrong)
	}
	wrong = s.one(`
		SELECT count(*) FROM (SELECT balance, sum(quantity) OVER (PARTITION BY product_id ORDER BY id) AS sum FROM inventory.movements) m
		WHERE balance <> sum`)
	if wrong > 0 {
		s.t.Errorf("%d balances of the ledger are wrong", wrong)
	}
}

// free is what can be held of a product now.
func (s *shop) free(p uuid.UUID) int64 {
	s.t.Helper()
	available, err := s.shelf.Available(s.t.Context(), []uuid.UUID{p})
	if err != nil {
		s.t.Fatal(err)
	}
	return available[p]
}

func (s *shop) wantFree(p uuid.UUID, want int64) {
	s.t.Helper()
	if got := s.free(p); got != want {
		s.t.Fatalf("%d units can be held, want %d", got, want)
	}
}

func (s *shop) hold(hold uuid.UUID, until time.Time, lines ...event.OrderLine) []inventory.Answer {
	s.t.Helper()
	answers, err := s.shelf.Hold(s.t.Context(), hold, lines, until)
	if err != nil {
		s.t.Fatal(err)
	}
	return answers
}

// holdBriefly has each of holds take the lines, all until one moment, answers that moment, and returns when it has passed. A machine
// that is too busy to take them before it is given twice the time.
func (s *shop) holdBriefly(holds []uuid.UUID, lines ...event.OrderLine) time.Time {
	s.t.Helper()
	for allowed := 300 * time.Millisecond; ; allowed *= 2 {
		until := in(allowed)
		err := s.holdEach(holds, until, lines)
		if errors.Is(err, inventory.ErrPast) && allowed < time.Minute {
			continue
		}
		if err != nil {
			s.t.Fatal(err)
		}
		testkit.Eventually(s.t, 2*time.Minute, func() bool { return s.redis.Time(s.t.Context()).Val().After(until) })
		return until
	}
}

func (s *shop) holdEach(holds []uuid.UUID, until time.Time, lines []event.OrderLine) error {
	for _, hold := range holds {
		if _, err := s.shelf.Hold(s.t.Context(), hold, lines, until); err != nil {
			return err
		}
	}
	return nil
}
