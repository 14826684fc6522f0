package app

import (
	"flag"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/order"
	"github.com/holdfast-checkout/holdfast/internal/reconcile"
	"github.com/holdfast-checkout/holdfast/internal/saga"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// Customers fill carts, let them expire and buy, orders are paid, declined and time out, operators restock, and the facts come
// late, twice and in any order. Whatever is drawn: no unit is promised twice, whoever holds at checkout gets what is held, and
// when all is at rest nothing is left over.
func TestDrillNoGap(t *testing.T) {
	m := newMarket(t, testkit.New(t))
	drawn(t, 5, 3000)
	rapid.Check(t, func(t *rapid.T) {
		m.open(t)
		t.Repeat(m.actions())
		m.rest()
	})
}

// drawn sets how many runs rapid makes, from which seed. Its settings are of the whole process, so tests that use it here are
// not parallel.
func drawn(t *testing.T, short, long int) {
	t.Helper()
	seed := testkit.Seed(t)
	for name, value := range map[string]string{
		"rapid.checks": strconv.Itoa(testkit.Size(short, long)), "rapid.steps": "40", "rapid.seed": strconv.FormatUint(seed, 10), "rapid.nofailfile": "true",
	} {
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
}

// actions are what rapid draws from; the one without a name checks what must always be so.
func (m *market) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"": m.invariants,

		"put a line":              m.put,
		"put another line":        m.put, // twice, to be drawn twice as often
		"empty a cart":            m.clear,
		"buy a cart":              m.buyCart,
		"buy now":                 m.buyNow,
		"buy again":               m.buyAgain,
		"a cart's time passes":    m.cartAges,
		"an order's time is over": m.orderTimesOut,
		"restock":                 m.restock,
		"take stock away":         m.takeAway,
		"sweep":                   m.sweep,
		"reconcile":               m.reconcile,
		"inventory hears":         m.hears(saga.Inventory),
		"the shelf hears":         m.hears(saga.Shelf),
		"order hears":             m.hears(saga.Order),
		"payment hears":           m.hears(saga.Payment),
		"shelf hears again":       m.hearsAgain(saga.Shelf),
		"inventory hears again":   m.hearsAgain(saga.Inventory),
		"order hears again":       m.hearsAgain(saga.Order),
	}
}

func (m *market) someone(t *rapid.T) string {
	return rapid.SampledFrom(m.customers).Draw(t, "customer")
}

func (m *market) product(t *rapid.T) uuid.UUID {
	return m.products[rapid.IntRange(0, 2).Draw(t, "product")]
}

func (m *market) put(t *rapid.T) {
	customer, product, quantity := m.someone(t), m.product(t), rapid.Int64Range(0, 4).Draw(t, "quantity")
	before, c := m.shelfOf(product), m.cartOf(customer)
	_, err := m.s.modules.cart.Put(m.ctx, customer, product, quantity)
	switch {
	case fault.Is(err, fault.OutOfStock):
		if free := before.freeFor(c.id); quantity <= free && before.loaded {
			t.Fatalf("%s is refused %d units while %d are free: %v", customer, quantity, free, err)
		}
	case err != nil:
		t.Fatalf("put: %v", err)
	}
}

func (m *market) clear(t *rapid.T) { m.must("clear", m.s.modules.cart.Clear(m.ctx, m.someone(t))) }

// place makes an order and remembers what it was.
func (m *market) place(t *rapid.T, p order.Purchase, items []uuid.UUID) error {
	p.Key = strconv.Itoa(len(m.bought)) + uuid.NewString()
	p.Fingerprint = make([]byte, 32)
	p.Strategy = rapid.SampledFrom([]string{"optimistic", "post-payment"}).Draw(t, "strategy")
	p.PaymentMethod = rapid.SampledFrom([]string{"pm_ok", "pm_ok", declined}).Draw(t, "payment method")
	try := func() (uuid.UUID, bool, error) { return m.s.modules.order.Place(m.ctx, p) }
	id, replayed, err := try()
	if err != nil {
		return err
	}
	if replayed {
		t.Fatalf("order %s is there already", id)
	}
	m.bought = append(m.bought, purchase{key: p.Key, items: items, order: id, again: try})
	m.listen()
	return nil
}

func (m *market) buyCart(t *rapid.T) {
	customer := m.someone(t)
	c := m.cartOf(customer)
	err := m.place(t, order.Purchase{Customer: customer}, c.products())
	switch {
	case err == nil:
	case len(c.lines) == 0 && (fault.Is(err, fault.CartEmpty) || fault.Is(err, fault.CartChanged)):
	case fault.Is(err, fault.HoldExpired) && !c.held():
	case fault.Is(err, fault.HoldLost) && m.lost[c.id]:
	case fault.Is(err, fault.OutOfStock) && m.wasLowered(c.products()):
	default:
		t.Fatalf("%s, whose cart is %+v, cannot buy it: %v", customer, c, err)
	}
}

func (m *market) buyNow(t *rapid.T) {
	product, quantity := m.product(t), rapid.Int64Range(1, 3).Draw(t, "quantity")
	before := m.shelfOf(product)
	err := m.place(t, order.Purchase{Customer: m.someone(t), Items: []order.Item{{ProductID: product, Quantity: quantity}}}, []uuid.UUID{product})
	if free := before.freeFor(""); err != nil && (!fault.Is(err, fault.OutOfStock) || quantity <= free && before.loaded) {
		t.Fatalf("cannot buy %d of %d: %v", quantity, free, err)
	}
}

// buyAgain sends a request a second time, as a customer does whose answer was lost.
func (m *market) buyAgain(t *rapid.T) {
	if len(m.bought) == 0 {
		t.Skip("nothing was bought")
	}
	p := m.bought[rapid.IntRange(0, len(m.bought)-1).Draw(t, "purchase")]
	if id, replayed, err := p.again(); err != nil || !replayed || id != p.order {
		t.Fatalf("the same request again: order %s, %v, %v; it was %s", id, replayed, err, p.order)
	}
}

// cartAges moves the end of a cart and of its holds by most of its time, or past it, in place of waiting.
func (m *market) cartAges(t *rapid.T) {
	c := m.cartOf(m.someone(t))
	if len(c.lines) == 0 || !c.live {
		t.Skip("no live cart")
	}
	by := m.s.cfg.HoldTTL * 6 / 10
	if rapid.Bool().Draw(t, "wholly") {
		by = m.s.cfg.HoldMaxAge + time.Minute
	}
	m.exec(`UPDATE cart.carts SET first_line_at = first_line_at - $2::interval, expires_at = expires_at - $2::interval WHERE id = $1`, c.id, by)
	m.ageHold(c.id, by)
	m.ageCopy(c.id, c.ends.Add(-by))
}

// orderTimesOut moves an order's deadline and its holds, and lets order look at its clock.
func (m *market) orderTimesOut(t *rapid.T) {
	if len(m.bought) == 0 {
		t.Skip("nothing was bought")
	}
	id := m.bought[rapid.IntRange(0, len(m.bought)-1).Draw(t, "purchase")].order
	by := m.s.cfg.OrderTimeout
	tag, err := m.s.db.Exec(m.ctx, `UPDATE orders.orders SET deadline = deadline - $2::interval WHERE id = $1 AND ended_at IS NULL AND deadline > now()`, id, by)
	m.must("age order", err)
	if tag.RowsAffected() == 0 {
		t.Skip("it has ended")
	}
	var hold uuid.UUID
	m.must("read hold", m.s.db.QueryRow(m.ctx, `SELECT hold_id FROM orders.orders WHERE id = $1`, id).Scan(&hold))
	m.ageHold(hold.String(), by)
	_, err = m.s.modules.order.TimeOut(m.ctx, 100)
	m.must("time out", err)
	m.listen()
}

func (m *market) restock(t *rapid.T) {
	_, err := m.s.modules.inventory.Restock(m.ctx, m.product(t), rapid.Int64Range(1, 3).Draw(t, "quantity"), "")
	m.must("restock", err)
	m.listen()
}

// takeAway is what an operator may do to units that are promised: then nothing is promised of them any more.
func (m *market) takeAway(t *rapid.T) {
	product := m.product(t)
	_, err := m.s.modules.inventory.Restock(m.ctx, product, -1, "broken")
	if fault.Is(err, fault.Conflict) {
		t.Skip("there is none")
	}
	m.must("take stock away", err)
	m.lowered[product] = true
	m.listen()
}

func (m *market) sweep(*rapid.T) {
	_, err := m.sweeper.Sweep(m.ctx)
	m.must("sweep holds", err)
	m.must("sweep carts", m.s.modules.cart.Sweep(m.ctx))
}

func (m *market) reconcile(t *rapid.T) {
	_, err := m.s.repairs.Reconcile(m.ctx, reconcile.Full, rapid.Bool().Draw(t, "dry run"))
	m.must("reconcile", err)
}

// hears gives a module some of what waits for it, shuffled.
func (m *market) hears(module saga.Module) func(*rapid.T) {
	return func(t *rapid.T) {
		if len(m.waiting[module]) == 0 {
			t.Skip("nothing waits")
		}
		n := rapid.IntRange(1, len(m.waiting[module])).Draw(t, "facts")
		var facts []event.Fact
		for range n {
			i := rapid.IntRange(0, len(m.waiting[module])-1).Draw(t, "which")
			facts = append(facts, m.waiting[module][i])
			m.waiting[module] = slices.Delete(m.waiting[module], i, i+1)
		}
		m.heard[module] = append(m.heard[module], facts...)
		m.deliver(module, facts)
	}
}

// hearsAgain gives a module some of what it has heard.
func (m *market) hearsAgain(module saga.Module) func(*rapid.T) {
	return func(t *rapid.T) {
		if len(m.heard[module]) == 0 {
			t.Skip("nothing was heard")
		}
		var facts []event.Fact
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(m.heard[module])-1), 1, 4).Draw(t, "which") {
			facts = append(facts, m.heard[module][i])
		}
		m.deliver(module, facts)
	}
}
