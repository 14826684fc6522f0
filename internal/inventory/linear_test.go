package inventory_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
)

// clients is how many act at the same time.
const clients = 16

// crowd is many clients at one shelf, and the books behind it: a stock with a version for each product, of which the shelf
// hears late, twice and in any order.
type crowd struct {
	*shop
	books []*book
	done  atomic.Int64 // acts
	late  sync.Mutex
	said  []event.Fact // that the shelf may hear again
}

type book struct {
	product uuid.UUID
	shared  [3]uuid.UUID // holds that all clients may change
	mu      sync.Mutex
	stock   int64
	version int64
	opened  int64 // the first version
	cut     bool  // units of it are taken away, too
}

// client records what it did and was told.
type client struct {
	*crowd
	random  *rand.Rand
	cart    uuid.UUID // a hold that this client alone changes
	basket  []*book   // what the cart has been asked to hold
	history []porcupine.Operation
}

const opening = 12 // units of each product

func newCrowd(s *shop, products int) *crowd {
	s.t.Helper()
	stock := make([]int64, products)
	for i := range stock {
		stock[i] = opening
	}
	c := &crowd{shop: s}
	ids := s.sell(stock...)
	versions := s.versions()
	for i, p := range ids {
		version := versions[p]
		c.books = append(c.books, &book{product: p, cut: i%2 == 1, stock: opening, version: version, opened: version, shared: [3]uuid.UUID{uuid.New(), uuid.New(), uuid.New()}})
	}
	for i := 0; i < len(ids); i += 1000 {
		if err := s.shelf.Load(s.t.Context(), ids[i:min(i+1000, len(ids))]); err != nil {
			s.t.Fatal(err)
		}
	}
	return c
}

// versions are those of all rows of stock.
func (s *shop) versions() map[uuid.UUID]int64 {
	s.t.Helper()
	rows, err := s.env.DB.Query(s.t.Context(), `SELECT product_id, version FROM inventory.stock`)
	if err != nil {
		s.t.Fatal(err)
	}
	all := map[uuid.UUID]int64{}
	var p uuid.UUID
	var version int64
	if _, err := pgx.ForEachRow(rows, []any{&p, &version}, func() error { all[p] = version; return nil }); err != nil {
		s.t.Fatal(err)
	}
	return all
}

func (c *crowd) client(seed, number uint64) *client {
	return &client{crowd: c, random: rand.New(rand.NewPCG(seed, number)), cart: uuid.New()}
}

// record enters what one call did to each product. Redis did it at some moment between call and now, by the same clock.
func (c *client) record(call int64, acts []act, answers []told) {
	back := time.Now().UnixNano()
	for i, a := range acts {
		c.history = append(c.history, porcupine.Operation{Input: a, Call: call, Output: answers[i], Return: back})
	}
	c.done.Add(int64(len(acts)))
}

// some are different products.
func (c *client) some(n int) []*book {
	picked := make([]*book, 0, n)
	first, step := c.random.IntN(len(c.books)), 1+c.random.IntN(max(1, len(c.books)/max(n, 1)))
	for i := range min(n, len(c.books)) {
		picked = append(picked, c.books[(first+i*step)%len(c.books)])
	}
	return picked
}

// anyID is the cart, or a hold that all clients may change.
func (c *client) anyID(b *book) uuid.UUID {
	if c.random.IntN(3) == 0 {
		return c.cart
	}
	return b.shared[c.random.IntN(len(b.shared))]
}

// step is one call on so many products, or on one.
func (c *client) step(ctx context.Context, products int) error {
	picked := c.some(products)
	if c.basket == nil {
		c.basket, c.cart = picked, uuid.New()
	}
	one := picked[:1]
	switch n := c.random.IntN(100); {
	case n < 25:
		return c.hold(ctx, c.cart, c.basket, in(time.Hour))
	case n < 50: // what is over already is answered for one product alone
		return c.hold(ctx, c.anyID(one[0]), one, in(time.Duration(c.random.IntN(30)-2)*time.Millisecond))
	case n < 55:
		return c.release(ctx, c.cart, c.basket)
	case n < 63:
		return c.release(ctx, c.anyID(one[0]), one)
	case n < 78:
		return c.read(ctx, picked)
	case n < 86:
		_, err := c.extend(ctx, inventory.Holder{HoldID: c.anyID(one[0])}, one, in(time.Duration(c.random.IntN(40))*time.Millisecond))
		return err
	case n < 93:
		return c.checkout(ctx)
	case n < 97:
		return c.restock(ctx, picked)
	default:
		return c.again(ctx)
	}
}

func (c *client) hold(ctx context.Context, id uuid.UUID, picked []*book, until time.Time) error {
	acts, lines := make([]act, len(picked)), make([]event.OrderLine, len(picked))
	for i, b := range picked {
		lines[i] = line(b.product, 1+c.random.Int64N(5))
		acts[i] = act{product: b.product, verb: doHold, id: id, quantity: lines[i].Quantity, until: until.UnixMilli()}
	}
	call, answers := time.Now().UnixNano(), make([]told, len(picked))
	got, err := c.shelf.Hold(ctx, id, lines, until)
	if errors.Is(err, inventory.ErrPast) && len(picked) == 1 {
		answers[0].past, err = true, nil
	}
	for i, a := range got {
		answers[i] = told{held: a.Held, units: a.Available}
	}
	c.record(call, acts, answers)
	return err
}

func (c *client) release(ctx context.Context, id uuid.UUID, picked []*book) error {
	acts, products := make([]act, len(picked)), make([]uuid.UUID, len(picked))
	for i, b := range picked {
		products[i], acts[i] = b.product, act{product: b.product, verb: doRelease, id: id}
	}
	call := time.Now().UnixNano()
	err := c.shelf.Release(ctx, id, products)
	c.record(call, acts, make([]told, len(acts)))
	return err
}

func (c *client) read(ctx context.Context, picked []*book) error {
	acts, products := make([]act, len(picked)), make([]uuid.UUID, len(picked))
	for i, b := range picked {
		products[i], acts[i] = b.product, act{product: b.product, verb: doRead}
	}
	call, answers := time.Now().UnixNano(), make([]told, len(picked))
	available, err := c.shelf.Available(ctx, products)
	for i, p := range products {
		answers[i].units = available[p]
	}
	c.record(call, acts, answers)
	return err
}

func (c *client) extend(ctx context.Context, by inventory.Holder, picked []*book, until time.Time) ([]inventory.ExtendAnswer, error) {
	acts, products := make([]act, len(picked)), make([]uuid.UUID, len(picked))
	for i, b := range picked {
		products[i], acts[i] = b.product, act{product: b.product, verb: doExtend, id: by.HoldID, until: until.UnixMilli(), checkout: by.Checkout != ""}
	}
	call, answers := time.Now().UnixNano(), make([]told, len(picked))
	got, err := c.shelf.ExtendFor(ctx, by, products, until)
	for i, a := range got {
		answers[i] = told{outcome: a.Outcome, units: a.Quantity}
		if !a.Expiry.IsZero() {
			answers[i].expiry = a.Expiry.UnixMilli()
		}
	}
	c.record(call, acts, answers)
	return got, err
}

// act lets all clients act until there have been so many acts, and gives the history of each product.
func (c *crowd) act(seed uint64, acts int64, products int) map[uuid.UUID][]porcupine.Operation {
	c.t.Helper()
	all := make([]*client, clients)
	var running sync.WaitGroup
	for i := range all {
		all[i] = c.client(seed, uint64(i))
		running.Go(func() {
			for c.done.Load() < acts && !c.t.Failed() {
				if err := all[i].step(c.t.Context(), products); err != nil {
					c.t.Error(err)
				}
			}
		})
	}
	running.Wait()
	histories := map[uuid.UUID][]porcupine.Operation{}
	for _, b := range c.books {
		histories[b.product] = []porcupine.Operation{{Input: act{product: b.product, verb: doLoad, quantity: opening, version: b.opened}, Output: told{}, Return: 1}}
	}
	for i, one := range all {
		for _, o := range one.history {
			o.ClientId = i
			p := o.Input.(act).product
			histories[p] = append(histories[p], o)
		}
	}
	return histories
}
