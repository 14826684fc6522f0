package app

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/order"
	"github.com/holdfast-checkout/holdfast/internal/reconcile"
	"github.com/holdfast-checkout/holdfast/internal/saga"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// The same with a Redis that loses things: all of it, a key, a hold, or its present, when an old copy is put back. Nothing is
// promised twice still, and what the rows say is held can be bought; a hold that is lost without a trace is said to be lost.
func TestDrillNoGapWithLoss(t *testing.T) {
	m := newMarket(t, testkit.New(t))
	drawn(t, 5, 3000)
	rapid.Check(t, func(t *rapid.T) {
		m.open(t)
		actions := m.actions()
		maps.Copy(actions, map[string]func(*rapid.T){
			"everything is lost":      m.thenSomething(func(*rapid.T) { m.forgetKeys() }),
			"a key is lost":           m.thenSomething(m.loseKey),
			"a key is of no use":      m.thenSomething(m.spoilKey),
			"a hold is lost":          m.loseHold,
			"a copy is made":          m.copyRedis,
			"an old copy is put back": m.putBack,
		})
		t.Repeat(actions)
		m.must("look at Redis", m.memory.Look(m.ctx))
		m.heal()
		m.reconcileAll()
		m.rest()
	})
}

// thenSomething lets a verb meet the damage before anything else has mended it.
func (m *market) thenSomething(damage func(*rapid.T)) func(*rapid.T) {
	return func(t *rapid.T) {
		m.damaged = true
		damage(t)
		switch rapid.SampledFrom([]string{"put", "buy", "buy now", "hear", "sweep", "look"}).Draw(t, "then") {
		case "put":
			m.put(t)
		case "buy":
			m.buyCart(t)
		case "buy now":
			m.buyNow(t)
		case "hear":
			if len(m.waiting[saga.Shelf]) > 0 {
				m.hears(saga.Shelf)(t)
			}
		case "sweep":
			m.sweep(t)
		case "look":
			m.must("look at Redis", m.memory.Look(m.ctx))
		}
		m.damaged = false
		m.heal()
	}
}

// heal asks for every product, which is what loads those that Redis does not have.
func (m *market) heal() {
	_, err := m.s.modules.shelf.Available(m.ctx, m.products)
	m.must("ask for all products", err)
}

func (m *market) reconcileAll() {
	_, err := m.s.repairs.Reconcile(m.ctx, reconcile.Full, false)
	m.must("reconcile", err)
}

func (m *market) someKey(t *rapid.T) string {
	return m.s.keys.Product(m.product(t))[rapid.IntRange(0, 3).Draw(t, "key")]
}

func (m *market) loseKey(t *rapid.T) {
	m.must("delete key", m.s.redis.Del(m.ctx, m.someKey(t)).Err())
}

func (m *market) spoilKey(t *rapid.T) {
	key := m.someKey(t)
	m.must("delete key", m.s.redis.Del(m.ctx, key).Err())
	m.must("spoil key", m.s.redis.RPush(m.ctx, key, "x").Err())
}

// loseHold takes a cart's hold away so that nothing shows, as a replica that missed it would. Nothing is promised then.
func (m *market) loseHold(t *rapid.T) {
	c, product := m.cartOf(m.someone(t)), m.product(t)
	e, there := m.shelfOf(product).entries[c.id]
	if !there {
		t.Skip("nothing is held")
	}
	keys := m.s.keys.Product(product)
	m.must("lose hold", m.s.redis.HDel(m.ctx, keys[2], c.id).Err())
	m.must("lose hold", m.s.redis.ZRem(m.ctx, keys[3], c.id).Err())
	m.must("lose hold", m.s.redis.DecrBy(m.ctx, keys[1], e.quantity).Err())
	m.lost[c.id], m.lowered[product] = true, true
}

func (m *market) copyRedis(*rapid.T) {
	m.copied = map[string]string{}
	keys, err := m.s.redis.Keys(m.ctx, m.s.keys.Namespace+":*").Result()
	m.must("list keys", err)
	for _, key := range keys {
		value, err := m.s.redis.Dump(m.ctx, key).Result()
		m.must("copy key", err)
		m.copied[key] = value
	}
}

// putBack is Redis started again with an old copy of its file. Until it has been looked at, nobody holds anything new, and who
// holds by the rows can buy.
func (m *market) putBack(t *rapid.T) {
	if m.copied == nil {
		t.Skip("no copy")
	}
	m.forgetKeys()
	for key, value := range m.copied {
		m.must("put back", m.s.redis.Restore(m.ctx, key, 0, value).Err())
	}
	memory := m.s.keys.Memory(0)
	if words := strings.Fields(m.s.redis.Get(m.ctx, memory).Val()); len(words) == 4 {
		words[3] = "another"
		m.must("put back", m.s.redis.Set(m.ctx, memory, strings.Join(words, " "), 0).Err())
	}
	m.admission.Vouch() // as for a process that was started again
	customer, product := m.someone(t), m.product(t)
	c := m.cartOf(customer)
	if _, err := m.s.modules.cart.Put(m.ctx, customer, product, c.lines[product].quantity+1); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("while the copy was not looked at %s was answered %v", customer, err)
	}
	items := []order.Item{{ProductID: product, Quantity: 1}}
	if err := m.place(t, order.Purchase{Customer: customer, Items: items}, []uuid.UUID{product}); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("while the copy was not looked at buying now was answered %v", err)
	}
	if len(c.lines) > 0 && c.held() && rapid.Bool().Draw(t, "buys meanwhile") {
		m.must("buy by the rows", m.place(t, order.Purchase{Customer: customer}, c.products()))
	}
	m.must("look at Redis", m.memory.Look(m.ctx))
	m.heal()
}
