package inventory_test

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
	"github.com/holdfast-checkout/holdfast/lua"
)

// instance is another instance of the same shop.
func (s *shop) instance() *shop {
	s.t.Helper()
	other := newShopOn(s.t, s.env, s.env.RedisURL, 10*time.Second)
	other.holders, other.orders = s.holders, s.orders
	other.shelf = inventory.NewShelf(s.env.DB, other.scripts, s.keys, s.holders, s.orders, s.env.Log)
	other.books = inventory.New(s.env.DB, s.orders, other.shelf, s.env.Log)
	return other
}

// inCarts has so many carts hold two units of a product each, by their rows.
func (s *shop) inCarts(p uuid.UUID, carts int) []uuid.UUID {
	ids := make([]uuid.UUID, carts)
	for i := range ids {
		ids[i] = uuid.Must(uuid.NewV7())
		s.holders.set(inventory.LiveHold{HoldID: ids[i], ProductID: p, Quantity: 2, ExpiresAt: in(time.Hour)})
	}
	return ids
}

func (s *shop) pagesRead() int {
	s.holders.mu.Lock()
	defer s.holders.mu.Unlock()
	return s.holders.pages
}

// Customers of two instances use a product while it is loaded: they take, give back, buy and look. It is loaded once, and at the end the
// shelf has what the rows say, and nothing else.
func TestALoadGoesOnUnderCustomers(t *testing.T) {
	onEach(t, func(t *testing.T, s *shop) {
		const carts, customers, units = 3000, 12, 100_000
		p := s.sell(units)[0]
		ids := s.inCarts(p, carts)
		const early = 80 // holds that end, or are extended, when their rows have been read and are not written yet
		c := &busy{shop: s, product: p, carts: ids[early:400], instances: []*shop{s, s.instance()}}
		for _, one := range c.instances {
			one.shelf.LoadWait = 80 * time.Millisecond
		}
		s.wipe()
		ctx, stop := context.WithCancel(t.Context())
		var next atomic.Int64
		s.holders.read = func() {
			for range early / 4 {
				if n := int(next.Add(1)) - 1; n < early {
					c.end(ctx, c.instances[1].shelf, ids[n], n)
				}
			}
		}
		var crowd sync.WaitGroup
		for n := range customers {
			crowd.Go(func() { c.use(ctx, n) })
		}
		testkit.Eventually(t, time.Minute, func() bool { return c.held.Load() > customers }) // it is loaded
		stop()
		crowd.Wait()
		if pages := s.pagesRead(); pages > 2*(carts/1000+1) {
			t.Errorf("%d pages of rows were read", pages)
		}
		t.Logf("%d times held, %d times told to wait, %d given back, %d sold", c.held.Load(), c.waits.Load(), c.freed.Load(), c.sold.Load())
		s.holders.read, s.shelf.LoadWait = nil, time.Minute
		c.wantAsRows()
	})
}

// busy are customers of a product.
type busy struct {
	*shop
	product                  uuid.UUID
	carts                    []uuid.UUID // whose holds are loaded; each customer has its share of them
	instances                []*shop
	held, waits, freed, sold atomic.Int64
}

func (c *busy) use(ctx context.Context, n int) {
	shelf := c.instances[n%len(c.instances)].shelf
	products, mine := []uuid.UUID{c.product}, uuid.Must(uuid.NewV7())
	for i := n; ctx.Err() == nil; i += 12 {
		_, err := shelf.Available(ctx, products)
		c.fine(ctx, err)
		if i < len(c.carts) {
			c.end(ctx, shelf, c.carts[i], i)
		}
		answers, err := shelf.Hold(ctx, mine, []event.OrderLine{line(c.product, 3)}, in(time.Hour))
		if !c.fine(ctx, err) || len(answers) == 0 {
			continue
		}
		if !answers[0].Held {
			c.t.Errorf("refused with %d units there", answers[0].Available)
		}
		c.held.Add(1)
		c.holders.set(inventory.LiveHold{HoldID: mine, ProductID: c.product, Quantity: 3, ExpiresAt: in(time.Hour)})
	}
}

// end has a cart that may be loaded by now, or not, give its units back, or buy them, or stay.
func (c *busy) end(ctx context.Context, shelf *inventory.Shelf, id uuid.UUID, n int) {
	row := inventory.LiveHold{HoldID: id, ProductID: c.product}
	ctx = context.WithoutCancel(ctx) // what has begun comes to its end
	switch n % 3 {
	case 0:
		c.holders.set(row)
		c.fine(ctx, shelf.Release(ctx, id, []uuid.UUID{c.product}))
		c.freed.Add(1)
	case 1:
		order := event.New(event.OrderCreated, "optimistic", uuid.Must(uuid.NewV7()), event.Order{HoldID: id, Lines: []event.OrderLine{line(c.product, 2)}})
		c.fine(ctx, c.shop.books.Reserve(ctx, []event.Fact{order}))
		c.holders.set(row)
		c.fine(ctx, shelf.Settle(ctx, c.said(order.OrderID)))
		c.sold.Add(1)
	default:
		extended, err := shelf.Extend(ctx, id, []uuid.UUID{c.product}, in(2*time.Hour))
		if c.fine(ctx, err) && extended[0].Outcome != inventory.Extended {
			c.t.Errorf("a hold that nobody has ended is %v", extended[0].Outcome)
		}
	}
}

// fine says whether a call was served. It may be told to wait.
func (c *busy) fine(ctx context.Context, err error) bool {
	switch {
	case inventory.Loading(err):
		c.waits.Add(1)
	case err != nil && ctx.Err() == nil:
		c.t.Error(err)
	}
	return err == nil
}

// wantAsRows holds the shelf against the rows, hold by hold.
func (c *busy) wantAsRows() {
	c.t.Helper()
	ctx, keys := c.t.Context(), c.keys.Product(c.product)
	entries, err := c.redis.HGetAll(ctx, keys[2]).Result()
	if err != nil {
		c.t.Fatal(err)
	}
	var sum int64
	rows := map[string]int64{}
	for key, row := range c.holders.live {
		rows[key[0].String()] = row.Quantity
		sum += row.Quantity
	}
	for id := range maps.Keys(rows) {
		if _, there := entries[id]; !there {
			c.t.Errorf("%s is not held", id)
		}
	}
	for id, entry := range entries {
		if _, there := rows[id]; !there {
			c.t.Errorf("%s is held: %s", id, entry)
		}
	}
	if reserved, err := c.redis.Get(ctx, keys[1]).Int64(); err != nil || reserved != sum {
		c.t.Errorf("%d units are reserved and %d are in rows, %v", reserved, sum, err)
	}
	available, _ := c.inBooks(c.product)
	c.wantFree(c.product, available-sum)
	if n := c.redis.Exists(ctx, keys[5]).Val(); n != 0 {
		c.t.Error("what a load takes note of is left")
	}
}

// Whoever comes while a product takes its time is told so, at any instance: customers to come again, the catalogue that it is loading.
// Nobody else reads the rows, and other products are served.
func TestWhoComesWhileAProductIsLoading(t *testing.T) {
	onEach(t, func(t *testing.T, s *shop) {
		p := s.sell(100, 100)
		s.inCarts(p[0], 3)
		s.wipe()
		before := s.pagesRead()
		reading, goOn := make(chan struct{}), make(chan struct{})
		s.holders.read = sync.OnceFunc(func() { close(reading); <-goOn })
		instances := []*shop{s, s.instance()}
		for _, one := range instances {
			one.shelf.LoadWait = 20 * time.Millisecond
		}
		go s.shelf.Available(t.Context(), p[:1]) //nolint:errcheck // it begins the load
		<-reading
		s.holders.mu.Lock()
		s.holders.read = nil
		s.holders.mu.Unlock()
		for i, one := range instances {
			both := []event.OrderLine{line(p[0], 1), line(p[1], 1)}
			_, err := one.shelf.Hold(t.Context(), uuid.New(), both[:1], in(time.Hour))
			if f := fault.As(err); !inventory.Loading(err) || !inventory.NothingHeld(err) || f == nil || f.Kind != fault.Unavailable || f.RetryAfter <= 0 {
				t.Errorf("instance %d: hold: %v", i, err)
			}
			if _, _, err := one.shelf.HoldAll(t.Context(), uuid.New(), both, in(time.Hour)); !inventory.Loading(err) {
				t.Errorf("instance %d: hold both: %v", i, err)
			}
			one.shelf.LoadWait = time.Minute
			s.wantFree(p[1], 100) // what was held of it with the other was given back
			one.shelf.LoadWait = 20 * time.Millisecond
			offer, err := one.books.Get(t.Context(), p[0])
			if err != nil || !offer.Loading || offer.Available != 0 {
				t.Errorf("instance %d: the catalogue says %+v, %v", i, offer, err)
			}
			where, err := one.books.Availability(t.Context(), p[0], "")
			if err != nil || !where.Loading || where.OnHand != 100 || where.Free != 0 {
				t.Errorf("instance %d: availability is %+v, %v", i, where, err)
			}
		}
		if pages := s.pagesRead() - before; pages != 2 { // of the one that is read now, and of the other
			t.Errorf("%d pages of rows were read", pages)
		}
		close(goOn)
		for _, one := range instances {
			one.shelf.LoadWait = time.Minute
			one.wantFree(p[0], 94)
		}
	})
}

// A loader that dies is followed by another, which goes on where it stopped; if it was not dead, it has lost the product.
func TestAnotherGoesOnWithALoad(t *testing.T) {
	onEach(t, func(t *testing.T, s *shop) {
		p := s.sell(10_000)[0]
		ids := s.inCarts(p, 2500)
		s.wipe()
		before := s.pagesRead()
		run := func(script string, args ...any) int64 {
			t.Helper()
			answer, err := s.scripts.One(t.Context(), redisx.Call{Script: script, Keys: s.keys.Product(p), Args: args})
			if err != nil {
				t.Fatal(err)
			}
			return answer.([]any)[0].(int64)
		}
		run(lua.Open, "dead")
		page := []any{"dead", fmt.Sprint("cart:", ids[1999]), "", ""}
		for _, id := range ids[:100] { // which are said to be all up to there
			page = append(page, id.String(), 2, in(time.Hour).UnixMilli())
		}
		run(lua.Load, page...)
		s.wantFree(p, 10_000-2*600) // it waits until the claim has lapsed
		if pages := s.pagesRead() - before; pages != 1 {
			t.Errorf("%d pages of rows were read", pages)
		}
		if answer := run(lua.Load, "dead", "", 10_000, 1, "late", 1, in(time.Hour).UnixMilli()); answer != 1 {
			t.Errorf("the dead one is answered %d", answer)
		}
		s.wantFree(p, 10_000-2*600)
	})
}

// A product of which the books know nothing leaves nothing in Redis.
func TestAnUnknownProductLeavesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, s *shop) {
		p := uuid.New()
		if answers := s.hold(uuid.New(), in(time.Hour), line(p, 1)); answers[0].Held {
			t.Error("it can be held")
		}
		for _, key := range s.keys.Product(p) {
			if n := s.redis.Exists(t.Context(), key).Val(); n != 0 {
				t.Errorf("%s is left", key)
			}
		}
	})
}
