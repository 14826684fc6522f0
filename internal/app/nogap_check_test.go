package app

import (
	"strconv"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/reconcile"
	"github.com/holdfast-checkout/holdfast/internal/saga"
)

// entry is a hold as Redis has it.
type entry struct {
	quantity int64
	expires  time.Time
}

// onShelf is a product as Redis has it, read without the module's code.
type onShelf struct {
	loaded   bool
	stock    int64
	version  int64
	reserved int64
	entries  map[string]entry
}

// freeFor is what a hold could be set to.
func (s onShelf) freeFor(hold string) int64 {
	free := s.stock
	for id, e := range s.entries {
		if id != hold && e.expires.After(time.Now()) {
			free -= e.quantity
		}
	}
	return free
}

func (m *market) shelfOf(product uuid.UUID) onShelf {
	m.Helper()
	keys := m.s.keys.Product(product)
	s := onShelf{entries: map[string]entry{}}
	if m.damaged {
		return s
	}
	stock, err := m.s.redis.HGetAll(m.ctx, keys[0]).Result()
	m.must("read stock", err)
	_, s.loaded = stock["n"]
	s.stock, s.version = m.number(stock["n"]), m.number(stock["v"])
	s.reserved = m.number(m.s.redis.Get(m.ctx, keys[1]).Val())
	holds, err := m.s.redis.HGetAll(m.ctx, keys[2]).Result()
	m.must("read holds", err)
	for id, text := range holds {
		quantity, expires, _ := strings.Cut(text, ":")
		expires, _, _ = strings.Cut(expires, ":") // its owner and the marks of checkouts may be behind it
		s.entries[id] = entry{m.number(quantity), time.UnixMilli(m.number(expires))}
	}
	return s
}

func (m *market) number(text string) int64 {
	m.Helper()
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	m.must("read number", err)
	return n
}

// ageHold moves the expiry of a hold, wherever it is, as if so much time had passed.
func (m *market) ageHold(id string, by time.Duration) {
	for _, p := range m.products {
		e, there := m.shelfOf(p).entries[id]
		if !there {
			continue
		}
		keys, at := m.s.keys.Product(p), e.expires.Add(-by).UnixMilli()
		entry := strings.Split(m.s.redis.HGet(m.ctx, keys[2], id).Val(), ":") // quantity, expiry, owner, marks, time to go back to
		for _, i := range []int{1, 4} {
			if i < len(entry) && entry[i] != "0" {
				ms, err := strconv.ParseInt(entry[i], 10, 64)
				m.must("age hold", err)
				entry[i] = strconv.FormatInt(ms-by.Milliseconds(), 10)
			}
		}
		m.must("age hold", m.s.redis.HSet(m.ctx, keys[2], id, strings.Join(entry, ":")).Err())
		m.must("age hold", m.s.redis.Do(m.ctx, "ZADD", keys[3], at, id).Err())
		m.must("age hold", m.s.redis.Do(m.ctx, "ZADD", m.s.keys.Due(p), "LT", at, p.String()).Err())
	}
}

// ageCopy gives the copy of a cart another end.
func (m *market) ageCopy(id string, ends time.Time) {
	key := m.s.keys.Cart(uuid.MustParse(id))
	if m.s.redis.HExists(m.ctx, key, "expires").Val() {
		m.must("age copy", m.s.redis.HSet(m.ctx, key, "expires", ends.UnixMilli()).Err())
	}
}

// rowsOfCart is a customer's open cart as Postgres has it.
type rowsOfCart struct {
	id    string
	live  bool
	ends  time.Time
	lines map[uuid.UUID]rowOfLine
}

type rowOfLine struct {
	quantity int64
	held     bool
}

func (c rowsOfCart) products() (ids []uuid.UUID) {
	for id := range c.lines {
		ids = append(ids, id)
	}
	return ids
}

// held says whether all of it is held, as far as the rows know.
func (c rowsOfCart) held() bool {
	for _, l := range c.lines {
		if !l.held {
			return false
		}
	}
	return c.live
}

func (m *market) cartOf(customer string) rowsOfCart {
	m.Helper()
	c := rowsOfCart{lines: map[uuid.UUID]rowOfLine{}}
	rows, err := m.s.db.Query(m.ctx, `
		SELECT c.id::text, coalesce(c.expires_at > now(), false), coalesce(c.expires_at, now()), l.product_id, l.quantity, l.held
		FROM cart.carts c JOIN cart.lines l ON l.cart_id = c.id WHERE c.customer = $1 AND c.state = 'OPEN'`, customer)
	m.must("read cart", err)
	var product uuid.UUID
	var line rowOfLine
	_, err = pgx.ForEachRow(rows, []any{&c.id, &c.live, &c.ends, &product, &line.quantity, &line.held}, func() error {
		c.lines[product] = line
		return nil
	})
	m.must("read cart", err)
	return c
}

// inBooks is a product as Postgres has it.
type inBooks struct{ available, allocated, version, moved, taken int64 }

func (m *market) booksOf(product uuid.UUID) (b inBooks) {
	m.Helper()
	m.must("read stock", m.s.db.QueryRow(m.ctx, `
		SELECT s.available, s.allocated, s.version, (SELECT coalesce(sum(quantity), 0) FROM inventory.movements WHERE product_id = $1),
			(SELECT coalesce(sum(l.quantity), 0) FROM inventory.reservation_lines l JOIN inventory.reservations r USING (order_id)
			 WHERE l.product_id = $1 AND r.state = 'RESERVED')
		FROM inventory.stock s WHERE s.product_id = $1`, product).Scan(&b.available, &b.allocated, &b.version, &b.moved, &b.taken))
	return b
}

// orders gives the hold ids of orders, and whether inventory has decided on them.
func (m *market) orders() map[string]bool {
	m.Helper()
	rows, err := m.s.db.Query(m.ctx, `
		SELECT o.hold_id::text, r.order_id IS NOT NULL FROM orders.orders o LEFT JOIN inventory.reservations r ON r.order_id = o.id`)
	m.must("read orders", err)
	decided := map[string]bool{}
	var id string
	var yes bool
	_, err = pgx.ForEachRow(rows, []any{&id, &yes}, func() error {
		decided[id] = yes
		return nil
	})
	m.must("read orders", err)
	return decided
}

// invariants hold after every step.
func (m *market) invariants(t *rapid.T) {
	t.Helper()
	carts, decided := map[string]rowsOfCart{}, m.orders()
	for _, customer := range m.customers {
		if c := m.cartOf(customer); c.id != "" {
			carts[c.id] = c
		}
	}
	for i, p := range m.products {
		shelf, books := m.shelfOf(p), m.booksOf(p)
		if books.available != books.moved || books.allocated != books.taken {
			t.Fatalf("product %d: the books do not add up: %+v", i, books)
		}
		m.checkShelf(t, i, shelf, books, carts, decided)
		for id, c := range carts {
			l, there := c.lines[p]
			if !there || !l.held || !c.live || !shelf.loaded {
				continue
			}
			if e := shelf.entries[id]; (e.quantity != l.quantity || e.expires.Before(c.ends)) && !m.lost[id] {
				t.Fatalf("product %d: the rows say that cart %s holds %d until %s, and the shelf has %+v", i, id, l.quantity, c.ends, e)
			}
		}
	}
}

// checkShelf wants every hold to be somebody's, and no more held than there is.
func (m *market) checkShelf(t *rapid.T, i int, shelf onShelf, books inBooks, carts map[string]rowsOfCart, decided map[string]bool) {
	t.Helper()
	var sum, open int64 // all that is held, and what is held of units that are in the books still
	for id, e := range shelf.entries {
		sum += e.quantity
		taken, ofOrder := decided[id]
		if _, ofCart := carts[id].lines[m.products[i]]; !ofCart && !ofOrder && e.expires.After(time.Now()) {
			t.Fatalf("product %d: %+v is held by nobody: %s", i, e, id)
		}
		if !taken && e.expires.After(time.Now()) {
			open += e.quantity
		}
	}
	if shelf.loaded && shelf.reserved != sum {
		t.Fatalf("product %d: reserved says %d, and %d are held", i, shelf.reserved, sum)
	}
	if !m.lowered[m.products[i]] && (open > books.available || shelf.loaded && open > shelf.stock) {
		t.Fatalf("product %d: %d units are held of %d in the books and %d on the shelf", i, open, books.available, shelf.stock)
	}
	free, err := m.s.modules.shelf.Available(m.ctx, []uuid.UUID{m.products[i]})
	if m.must("ask what is free", err); free[m.products[i]] < 0 {
		t.Fatalf("product %d: %d units are free", i, free[m.products[i]])
	}
}

// rest lets everything be heard, until nothing more is said, and wants nothing to be left over.
func (m *market) rest() {
	modules := []saga.Module{saga.Inventory, saga.Payment, saga.Order, saga.Shelf}
	for again := true; again; {
		again = false
		for _, module := range modules {
			if facts := m.waiting[module]; len(facts) > 0 {
				m.waiting[module], again = nil, true
				m.deliver(module, append([]event.Fact{}, facts...))
			}
		}
	}
	m.sweep(m.T)
	var left int
	m.must("count orders", m.s.db.QueryRow(m.ctx, `SELECT count(*) FROM orders.orders WHERE ended_at IS NULL`).Scan(&left))
	if left > 0 {
		m.Fatalf("%d orders have not ended", left)
	}
	m.invariants(m.T)
	m.atRest()
}

// atRest wants Redis to say what Postgres says, to the last hold, and the reconciler to find nothing.
func (m *market) atRest() {
	for i, p := range m.products {
		shelf, books := m.shelfOf(p), m.booksOf(p)
		held := map[string]int64{}
		for _, customer := range m.customers {
			if c := m.cartOf(customer); c.live && c.lines[p].held {
				held[c.id] = c.lines[p].quantity
			}
		}
		has := map[string]int64{}
		for id, e := range shelf.entries {
			has[id] = e.quantity
		}
		if diff := cmp.Diff(held, has); diff != "" {
			m.Fatalf("product %d at rest: holds (-rows +shelf)\n%s", i, diff)
		}
		if shelf.stock != books.available || shelf.version != books.version {
			m.Fatalf("product %d at rest: the shelf has %d at version %d, the books %d at version %d", i, shelf.stock, shelf.version, books.available, books.version)
		}
	}
	run, err := m.s.repairs.Reconcile(m.ctx, reconcile.Full, true)
	m.must("compare", err)
	if run.Drifted > 0 {
		m.Fatalf("at rest: %+v", run.Differences)
	}
}
