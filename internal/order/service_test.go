package order_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/order"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestOneOrderPerKeyHoweverManyAtOnce(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	s := newService(t, env, shop{}, time.Hour)
	const twins = 40
	ids := make([]uuid.UUID, twins)
	replays := make([]bool, twins)
	var wg sync.WaitGroup
	for i := range twins {
		wg.Go(func() {
			for {
				var err error
				ids[i], replays[i], err = s.Place(t.Context(), purchase("k", 2))
				if fault.Is(err, fault.IdempotencyKeyInUse) {
					continue
				}
				if err != nil {
					t.Error(err)
				}
				return
			}
		})
	}
	wg.Wait()
	made := 0
	for i := range twins {
		if ids[i] != ids[0] {
			t.Fatalf("two orders under one key: %s, %s", ids[0], ids[i])
		}
		if !replays[i] {
			made++
		}
	}
	if made != 1 {
		t.Fatalf("%d requests say that they made the order", made)
	}
	if views, _, err := s.List(t.Context(), "alice", uuid.Nil, 10); err != nil || len(views) != 1 {
		t.Fatalf("%d orders, %v", len(views), err)
	}
}

// boughtMeanwhile is a cart that a twin of the request buys while the request is about to.
type boughtMeanwhile struct {
	shop
	twin func()
}

func (b boughtMeanwhile) Checkout(context.Context, string, *int64, time.Time) (order.Basket, error) {
	b.twin()
	return order.Basket{}, fault.New(fault.CartEmpty, "there is nothing in the cart")
}

func TestATwinWhoseCartIsGoneGetsTheOrder(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	var made uuid.UUID
	carts := boughtMeanwhile{twin: func() { made = place(t, newService(t, env, shop{}, time.Hour), "k") }}
	s := order.New(env.DB, order.Ports{Catalogue: shop{}, Carts: carts, Holds: shop{}, Locks: shop{}, Strategies: shop{}}, limits, env.Log)
	same := purchase("k", 2)
	same.Items = nil
	id, replayed, err := s.Place(t.Context(), same)
	if err != nil || !replayed || id != made {
		t.Fatalf("%s, %v, %v, want the order %s that its twin made", id, replayed, err, made)
	}
}

func TestKeysAreTheCustomersOwn(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	s := newService(t, env, shop{}, time.Hour)
	first := place(t, s, "k")
	if _, _, err := s.Place(t.Context(), purchase("k", 3)); !fault.Is(err, fault.IdempotencyKeyReused) {
		t.Fatalf("another request under the key: %v", err)
	}
	other := purchase("k", 3)
	other.Customer = "bob"
	id, replayed, err := s.Place(t.Context(), other)
	if err != nil || replayed || id == first {
		t.Fatalf("another customer's request: %s, %v, %v", id, replayed, err)
	}
	if _, err := s.Get(t.Context(), "bob", first); !fault.Is(err, fault.NotFound) {
		t.Fatalf("another's order: %v", err)
	}
}

// A page of large orders ends early, so that what is read and answered at a time has a bound.
func TestPagesOfLargeOrdersAreShort(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	s := newService(t, env, shop{}, time.Hour)
	_, err := env.DB.Exec(t.Context(), `INSERT INTO orders.view
		(id, customer, strategy, version, status, payment_status, inventory_status, display_status, lines, total_minor, currency, created_at)
		SELECT gen_random_uuid(), 'alice', 'optimistic', 1, 'CREATED', 'NOT_STARTED', 'NOT_STARTED', 'PROCESSING',
			(SELECT jsonb_agg(jsonb_build_object('product_id', gen_random_uuid(), 'sku', 's', 'name', 'n', 'quantity', 1, 'unit_price_minor', 1))
			 FROM generate_series(1, CASE WHEN n <= 20 THEN 2000 ELSE 1 END)), 1, 'GBP', now()
		FROM generate_series(1, 30) n`)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[uuid.UUID]bool{}
	last, pages := uuid.Nil, 0
	for more := true; more; pages++ {
		var views []order.View
		if views, more, err = s.List(t.Context(), "alice", last, 200); err != nil || len(views) == 0 {
			t.Fatalf("%d orders, %v", len(views), err)
		}
		lines := 0
		for _, v := range views {
			if seen[v.ID] || last != uuid.Nil && v.ID.String() >= last.String() {
				t.Fatalf("%s after %s", v.ID, last)
			}
			seen[v.ID], last, lines = true, v.ID, lines+len(v.Lines)
		}
		if lines > 8_000 {
			t.Errorf("%d lines on a page", lines)
		}
	}
	if len(seen) != 30 || pages < 5 {
		t.Errorf("%d orders on %d pages", len(seen), pages)
	}
	if views, more, err := s.List(t.Context(), "alice", uuid.Nil, 1); err != nil || len(views) != 1 || !more {
		t.Errorf("%d orders, %v, %v", len(views), more, err)
	}
}

func TestRefusalsLeaveNoOrderAndNoKey(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	s := newService(t, env, shop{}, time.Hour)
	unknown, magic, empty := purchase("k", 1), purchase("k", 1), purchase("k", 1)
	unknown.Items = []order.Item{{ProductID: uuid.New(), Quantity: 1}}
	magic.Strategy = "magic"
	empty.Items = []order.Item{}
	twice := purchase("k", 600)
	twice.Items = append(twice.Items, twice.Items[0])
	for name, c := range map[string]struct {
		p    order.Purchase
		kind fault.Kind
	}{
		"unknown product":      {unknown, fault.InvalidRequest},
		"strategy":             {magic, fault.InvalidRequest},
		"no items":             {empty, fault.CartEmpty},
		"too many in one line": {purchase("k", 1001), fault.LimitExceeded},
		"too many in two":      {twice, fault.LimitExceeded},
	} {
		if _, _, err := s.Place(t.Context(), c.p); !fault.Is(err, c.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if place(t, s, "k") == uuid.Nil {
		t.Fatal("the key is used up")
	}
}

// step is a fact that an order hears, with the verb that hears it.
type step struct {
	verb func(*order.Service, context.Context, []event.Fact) error
	name event.Name
}

// Many orders go their ways with every fact twice, in random order and in random batches: each comes to its own end.
func TestShuffledFactsComeToTheSameEnds(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	s := newService(t, env, shop{}, time.Hour)
	ways := map[order.Status][]step{
		order.Completed: {{(*order.Service).Advance, event.StockReserved}, {(*order.Service).Advance, event.PaymentProcessed}},
		order.Failed: {
			{(*order.Service).Advance, event.StockReserved},
			{(*order.Service).Unwind, event.PaymentFailed},
			{(*order.Service).Settle, event.StockReleased},
		},
	}
	type delivery struct {
		step
		fact event.Fact
	}
	want := map[uuid.UUID]order.Status{}
	var deliveries []delivery
	for i := range 60 {
		id := place(t, s, fmt.Sprint(i))
		end := []order.Status{order.Completed, order.Failed}[i%2]
		want[id] = end
		for _, st := range ways[end] {
			d := delivery{st, event.New(st.name, "optimistic", id, event.Payment{})}
			deliveries = append(deliveries, d, d)
		}
	}
	random := rand.New(rand.NewPCG(7, 7))
	random.Shuffle(len(deliveries), func(i, j int) { deliveries[i], deliveries[j] = deliveries[j], deliveries[i] })
	for _, d := range deliveries {
		if err := d.verb(s, t.Context(), []event.Fact{d.fact}); err != nil {
			t.Fatal(err)
		}
	}
	feedView(t, env, s)
	got := map[uuid.UUID]order.Status{}
	for id := range want {
		view, err := s.Get(t.Context(), "alice", id)
		if err != nil {
			t.Fatal(err)
		}
		got[id] = view.Status
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

// feedView hands the view everything that order has said, newest first, in one batch and then again one by one.
func feedView(t *testing.T, env *testkit.Env, s *order.Service) {
	t.Helper()
	rows, err := env.DB.Query(t.Context(), `SELECT body FROM shared.outbox WHERE name <> 'order.created' ORDER BY xid DESC`)
	if err != nil {
		t.Fatal(err)
	}
	bodies, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		t.Fatal(err)
	}
	facts, err := event.Split(event.Batch(bodies))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.View(t.Context(), facts); err != nil {
		t.Fatal(err)
	}
	for _, f := range facts {
		if err := s.View(t.Context(), []event.Fact{f}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOverdueOrdersAreEndedOnce(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	s := newService(t, env, shop{}, time.Millisecond)
	for i := range 5 {
		place(t, s, fmt.Sprint(i))
	}
	ended := 0
	testkit.Eventually(t, 20*time.Second, func() error {
		n, err := s.TimeOut(t.Context(), 2)
		if err != nil {
			return err
		}
		if ended += n; ended < 5 {
			return fmt.Errorf("%d ended", ended)
		}
		return nil
	})
	if n, err := s.TimeOut(t.Context(), 10); n != 0 || err != nil {
		t.Fatalf("again: %d, %v", n, err)
	}
	var said int
	if err := env.DB.QueryRow(t.Context(), `SELECT count(*) FROM shared.outbox WHERE name = 'order.ending'`).Scan(&said); err != nil || said != 5 {
		t.Fatalf("order.ending was said %d times, %v", said, err)
	}
}

func TestForeignFactsAreRefused(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	s := newService(t, env, shop{}, time.Hour)
	err := s.Advance(t.Context(), []event.Fact{event.New(event.StockReserved, "optimistic", uuid.New(), event.Payment{})})
	if err == nil {
		t.Fatal("an order that does not exist was advanced")
	}
	var heard int
	if err := env.DB.QueryRow(t.Context(), `SELECT count(*) FROM shared.inbox`).Scan(&heard); err != nil || heard != 0 {
		t.Fatalf("%d facts heard, %v", heard, err)
	}
}

// A key is forgotten when its time is over: the clock deletes it, and before that it is as if it were not there.
func TestKeysAreForgotten(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	s := newService(t, env, shop{}, time.Hour)
	first, kept := place(t, s, "k"), place(t, s, "kept")
	if _, err := env.DB.Exec(t.Context(), `UPDATE orders.idempotency_keys SET expires_at = now() - interval '1 second' WHERE order_id = $1`, first); err != nil {
		t.Fatal(err)
	}
	if second := place(t, s, "k"); second == first {
		t.Fatal("a key whose time is over gave its old order")
	}
	if place(t, s, "kept") != kept {
		t.Fatal("a key was forgotten before its time")
	}
	if _, err := env.DB.Exec(t.Context(), `UPDATE orders.idempotency_keys SET expires_at = now() - interval '1 second' WHERE order_id <> $1`, kept); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- s.Clock(ctx) }()
	testkit.Eventually(t, 3*time.Minute, func() error {
		var keys int
		if err := env.DB.QueryRow(t.Context(), `SELECT count(*) FROM orders.idempotency_keys`).Scan(&keys); err != nil {
			return err
		}
		if keys != 1 {
			return fmt.Errorf("%d keys", keys)
		}
		return nil
	})
	stop()
	if err := <-over; err != nil {
		t.Fatal(err)
	}
}
