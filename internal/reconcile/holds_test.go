package reconcile_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
	"github.com/holdfast-checkout/holdfast/internal/reconcile"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
)

// idMade is a UUIDv7 of that moment.
func idMade(at time.Time) uuid.UUID {
	id := uuid.Must(uuid.NewV7())
	ms := at.UnixMilli()
	for i := range 6 {
		id[i] = byte(ms >> (8 * (5 - i)))
	}
	return id
}

func TestHoldsAreSetRight(t *testing.T) {
	wrongs := map[string]func(p *place, product, cart, order uuid.UUID){
		"one of nobody": func(p *place, product, _, _ uuid.UUID) { p.hold(idMade(earlier), product, 1, later) },
		"one of nobody, just taken": func(p *place, product, _, _ uuid.UUID) {
			p.hold(uuid.Must(uuid.NewV7()), product, 1, later)
		},
		"one of a cart that has no such line": func(p *place, product, _, _ uuid.UUID) {
			p.hold(p.cartRows(later, nil), product, 1, later)
		},
		"one of an order whose units were taken": func(p *place, product, _, _ uuid.UUID) {
			p.taken(p.order(product, 1), time.Minute)
		},
		"one whose id is no id":    func(p *place, product, _, _ uuid.UUID) { p.spoilEntry(product, "nobody", entryText(1, later), 1) },
		"one that cannot be read":  func(p *place, product, _, _ uuid.UUID) { p.spoilEntry(product, uuid.NewString(), "all of it", 0) },
		"a cart's is lost":         func(p *place, product, cart, _ uuid.UUID) { p.release(cart, product) },
		"an order's is lost":       func(p *place, product, _, order uuid.UUID) { p.release(order, product) },
		"too many units":           func(p *place, product, cart, _ uuid.UUID) { p.hold(cart, product, 5, later) },
		"too few units":            func(p *place, product, cart, _ uuid.UUID) { p.hold(cart, product, 1, later) },
		"an order's are too many":  func(p *place, product, _, order uuid.UUID) { p.hold(order, product, 4, later) },
		"an order's ends too soon": func(p *place, product, _, order uuid.UUID) { p.endsSoon(product, order, 2) },
		"a cart's ends too soon":   func(p *place, product, cart, _ uuid.UUID) { p.endsSoon(product, cart, 3) },
		"a cart's ends too late":   func(p *place, product, cart, _ uuid.UUID) { p.hold(cart, product, 3, later.Add(time.Hour)) },
		"an order's ends too late": func(p *place, product, _, order uuid.UUID) { p.hold(order, product, 2, later.Add(time.Hour)) },
		"an order's is not marked": func(p *place, product, _, order uuid.UUID) {
			p.redis("HSET", p.keys.Product(product)[2], order.String(), entryText(2, later.Add(time.Minute)))
		},
		"the sum is wrong": func(p *place, product, _, _ uuid.UUID) { p.redis("SET", p.keys.Product(product)[1], "4") },
	}
	onEach(t, func(_ *testing.T, p *place) {
		cases(p, wrongs, func(p *place, _ string, spoil func(p *place, product, cart, order uuid.UUID)) {
			product := p.product(10)
			cart, order := p.cart(map[uuid.UUID]int64{product: 3}), p.order(product, 2)
			p.agree()
			spoil(p, product, cart, order)
			p.want(p.reconcile(reconcile.Full, true), "holds would_repair")
			p.want(p.full(), "holds repaired")
			p.agree()
			if diff := cmp.Diff(map[string]string{cart.String(): entryText(3, later), order.String(): entryText(2, later.Add(time.Minute))},
				p.unmarked(product)); diff != "" {
				p.Errorf("holds (-want +got):\n%s", diff)
			}
			if _, marked := strings.CutSuffix(p.entries(product)[order.String()], "::order:0"); !marked {
				p.Error("the order's hold is not marked")
			}
			if free := p.available(product); free != 5 {
				p.Errorf("%d units are free, want 5", free)
			}
		})
	})
}

// A hold that comes back counts for its customer again, where limits ask whose it is.
func TestHoldsComeBackWithTheirOwners(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.reconciler.Owners = true
	product := p.product(10)
	cart, order := p.cart(map[uuid.UUID]int64{product: 3}), p.order(product, 2)
	p.release(cart, product)
	p.release(order, product)
	p.want(p.full(), "holds repaired")
	p.agree()
	for id, customer := range map[uuid.UUID]string{cart: cart.String(), order: "ann"} {
		if entry := p.entries(product)[id.String()]; !strings.HasSuffix(strings.TrimSuffix(entry, ":order:0"), ":"+redisx.Owner(customer)) {
			t.Errorf("the hold of %s came back as %q", customer, entry)
		}
	}
}

// unmarked are the entries of a product without the mark of what is an order's.
func (p *place) unmarked(product uuid.UUID) map[string]string {
	p.Helper()
	entries := p.entries(product)
	for id, value := range entries {
		entries[id] = strings.TrimSuffix(value, "::order:0")
	}
	return entries
}

// A checkout that dies between holding for longer and its order leaves no row that changed: the next run finds it all the same,
// a hold of a live cart gets its time back, and one of an expired cart ends.
func TestWhatACheckoutLeftThatDiedIsFound(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	product := p.product(10)
	cart, expired := p.cart(map[uuid.UUID]int64{product: 3}), p.cartRows(time.Now().Add(-time.Minute), map[uuid.UUID]int64{product: 2})
	p.want(p.full())
	p.checkoutDies(product, cart, 3, later)
	p.checkoutDies(product, expired, 2, time.Time{})
	p.want(p.reconcile(reconcile.Delta, false), "holds repaired")
	if diff := cmp.Diff(map[string]string{cart.String(): entryText(3, later)}, p.entries(product)); diff != "" {
		t.Errorf("holds (-want +got):\n%s", diff)
	}
}

// A cart that has changed within the cooldown may be at a checkout: what that has left stays noted for the next run.
func TestWhatACheckoutLeftOfAYoungCartIsFoundByTheNextRun(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	product := p.product(10)
	cart := p.cart(map[uuid.UUID]int64{product: 3})
	p.want(p.full())
	p.checkoutDies(product, cart, 3, later)
	p.redis("ZADD", p.keys.Checkouts(product), later.UnixMilli(), product.String()) // within the cooldown, however long this takes
	p.exec(`UPDATE cart.carts SET changed_at = now() + interval '1 hour'`)
	p.want(p.reconcile(reconcile.Delta, false))
	p.exec(`UPDATE cart.carts SET changed_at = now() - interval '1 hour'`)
	p.want(p.reconcile(reconcile.Delta, false), "holds repaired")
}

func (p *place) checkoutDies(product, cart uuid.UUID, quantity int64, back time.Time) {
	p.Helper()
	by := inventory.Holder{HoldID: cart, Checkout: "dies", Back: map[uuid.UUID]time.Time{product: back}}
	if _, err := p.shelf.HoldFor(p.Context(), by, []event.OrderLine{{ProductID: product, Quantity: quantity}}, later.Add(time.Hour)); err != nil {
		p.Fatal(err)
	}
}

// spoilEntry writes an entry as no script would.
func (p *place) spoilEntry(product uuid.UUID, id, value string, quantity int) {
	keys := p.keys.Product(product)
	p.redis("HSET", keys[2], id, value)
	p.redis("ZADD", keys[3], later.UnixMilli(), id)
	p.redis("INCRBY", keys[1], quantity)
}

// endsSoon makes a hold end sooner than the rows say, as an old copy of Redis does.
func (p *place) endsSoon(product, id uuid.UUID, quantity int64) {
	p.release(id, product)
	p.hold(id, product, quantity, later.Add(-time.Hour/2))
}

// An order that is overdue is refreshed from time to time; its hold is in order as long as something of it is left, and comes back
// with a time of its own when it has ended.
func TestHoldsOfOverdueOrdersAreKept(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	product := p.product(10)
	id := p.order(product, 2)
	p.exec(`UPDATE orders.orders SET deadline = now() - interval '1 hour'`)
	for what, until := range map[string]time.Duration{"refreshed": 55 * time.Second, "forgotten": 3 * time.Second, "gone": 0} {
		p.release(id, product)
		if until > 0 {
			p.promise(id, product, 2, time.Now().Add(until))
		}
		found := []string{"holds repaired"}
		if what == "refreshed" {
			found = nil
		}
		p.want(p.full(), found...)
		p.agree()
		entry := p.entries(product)[id.String()]
		if left := time.Until(time.UnixMilli(expiryOf(entry))); left < 10*time.Second || left > 2*time.Minute {
			t.Errorf("%s: the hold is %q, which is %v from now", what, entry, left)
		}
	}
	p.exec(`UPDATE orders.orders SET status = 'COMPLETED', payment_status = 'SUCCESS', inventory_status = 'RESERVED', ended_at = now() - interval '1 minute'`)
	p.want(p.full(), "holds repaired")
	if entries := p.entries(product); len(entries) != 0 {
		t.Errorf("held after the end: %v", entries)
	}
}

func expiryOf(entry string) int64 {
	_, text, _ := strings.Cut(entry, ":")
	text, _, _ = strings.Cut(text, ":")
	ms, _ := strconv.ParseInt(text, 10, 64)
	return ms
}

// A lost part of the sweeper's index is made anew when everything is compared, and by no dry run.
func TestTheSweepersIndexComesBack(t *testing.T) {
	onEach(t, func(t *testing.T, p *place) {
		product := p.product(10)
		p.cart(map[uuid.UUID]int64{product: 3})
		p.redis("DEL", p.keys.Due(product))
		p.want(p.reconcile(reconcile.Full, true))
		if n := p.client.Exists(t.Context(), p.keys.Due(product)).Val(); n != 0 {
			t.Error("a dry run has written")
		}
		p.agree()
		if at := int64(p.client.ZScore(t.Context(), p.keys.Due(product), product.String()).Val()); at != later.UnixMilli() {
			t.Errorf("due at %d, want %d", at, later.UnixMilli())
		}
	})
}

func TestHoldsThatMayBeUnderWayAreLeft(t *testing.T) {
	t.Parallel()
	cases(newPlace(t), map[string]func(p *place, product uuid.UUID){
		"a line that was just changed": func(p *place, product uuid.UUID) {
			id := p.cart(map[uuid.UUID]int64{product: 3})
			p.exec(`UPDATE cart.carts SET changed_at = now() + interval '1 hour' WHERE id = $1`, id)
			p.hold(id, product, 4, later)
		},
		"an order whose units were just taken": func(p *place, product uuid.UUID) {
			p.taken(p.order(product, 1), -time.Hour)
		},
		"an order that was just made": func(p *place, product uuid.UUID) {
			id := p.order(product, 1)
			p.exec(`UPDATE orders.orders SET created_at = now() + interval '1 hour' WHERE id = $1`, id)
			p.release(id, product)
		},
	}, func(p *place, _ string, begin func(p *place, product uuid.UUID)) {
		product := p.product(10)
		begin(p, product)
		before := p.everything()
		p.want(p.full())
		after := p.everything()
		for _, all := range []map[string]string{before, after} {
			delete(all, p.env.Namespace+":epoch") // each run's own
		}
		if diff := cmp.Diff(before, after); diff != "" {
			p.Errorf("Redis was changed:\n%s", diff)
		}
	})
}

func TestHoldBeforeItsRowIsNotTaken(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.cooldown = time.Second // in which the row is written
	p.reconciler = p.instance(time.Hour)
	product := p.product(10)
	cart := p.cartRows(later, nil)
	p.exec(`UPDATE cart.carts SET changed_at = now() - interval '1 hour'`)
	p.hold(cart, product, 2, later)
	done := make(chan reconcile.Run, 1)
	go func() { done <- p.full() }()
	// The row is written while the run waits to look again.
	p.exec(`INSERT INTO cart.lines (cart_id, product_id, quantity, unit_price_minor, currency, held) VALUES ($1, $2, 2, 250, 'GBP', true)`, cart, product)
	run := <-done
	if entries := p.entries(product); entries[cart.String()] != entryText(2, later) {
		t.Errorf("the hold is gone: %v after %+v", entries, run)
	}
}

func TestNothingThatExpiredIsBroughtBack(t *testing.T) {
	onEach(t, func(t *testing.T, p *place) {
		product := p.product(10)
		p.cartRows(earlier, map[uuid.UUID]int64{product: 3})
		p.agree()
		if entries := p.entries(product); len(entries) != 0 {
			t.Errorf("held: %v", entries)
		}
	})
}

// What a checkout that came to nothing has left keeps units from everybody after its cart's end.
func TestAHoldThatOutlivesItsCartEnds(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	product := p.product(10)
	cart := p.cartRows(earlier, map[uuid.UUID]int64{product: 3})
	p.hold(cart, product, 3, later) // a checkout that came to nothing
	p.want(p.full(), "holds repaired")
	p.agree()
	if entries := p.entries(product); len(entries) != 0 {
		t.Errorf("held: %v", entries)
	}
}

// More holds than one call of a script takes.
func TestManyHoldsAreSetRight(t *testing.T) {
	t.Parallel()
	const carts = 600
	p := newPlace(t)
	product := p.product(10_000)
	p.manyCarts(product, carts)
	run := p.full() // the copies of the carts
	if run.Repaired != carts {
		t.Fatalf("repaired %d, want the copies of %d carts", run.Repaired, carts)
	}
	for n, id := range keysOf(p.entries(product)) {
		if n%10 != 0 {
			p.release(uuid.MustParse(id), product)
		}
	}
	for range 510 {
		p.hold(idMade(earlier), product, 1, later)
	}
	p.want(p.full(), "holds repaired")
	p.agree()
	if free := p.available(product); free != 10_000-2*carts {
		t.Errorf("%d units are free, want %d", free, 10_000-2*carts)
	}
	if n := len(p.entries(product)); n != carts {
		t.Error(fmt.Sprint(n, " entries"))
	}
}

// manyCarts makes carts with two units of a product each, whose holds are on the shelf and whose copies are missing.
func (p *place) manyCarts(product uuid.UUID, carts int) {
	p.Helper()
	p.exec(`
		INSERT INTO cart.carts (id, customer, first_line_at, expires_at, changed_at)
		SELECT gen_random_uuid(), 'c' || n, now() - interval '1 hour', $1, now() - interval '1 minute' FROM generate_series(1, $2::int) n`, later, carts)
	p.exec(`INSERT INTO cart.lines (cart_id, product_id, quantity, unit_price_minor, currency, held)
		SELECT id, $1, 2, 250, 'GBP', true FROM cart.carts`, product)
	for _, key := range p.keys.Product(product) {
		p.redis("DEL", key)
	}
	p.load(product)
}
