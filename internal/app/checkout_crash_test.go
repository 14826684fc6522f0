package app_test

import (
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/saga"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// entriesOf are a product's holds as the shelf has them.
func (s *shop) entriesOf(product string) map[string]string {
	s.t.Helper()
	entries, err := s.env.Redis.HGetAll(s.t.Context(), redisx.Keys{Namespace: s.cfg.Namespace}.Product(uuid.MustParse(product))[2]).Result()
	if err != nil {
		s.t.Fatal(err)
	}
	return entries
}

// expiryOf is when an entry ends, in ms.
func (s *shop) expiryOf(entry string) int64 {
	s.t.Helper()
	parts := strings.Split(entry, ":")
	if len(parts) < 2 {
		s.t.Fatalf("entry %q", entry)
	}
	ms, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return ms
}

// reconcile has what changed lately compared, and what checkouts have marked.
func (s *shop) reconcile() {
	s.t.Helper()
	testkit.Eventually(s.t, 3*time.Minute, func() error { // 409: another run is under way
		a, err := s.operator().send(http.MethodPost, "/admin/reconciliations", map[string]any{"scope": "delta"})
		if err == nil && a.status != http.StatusOK {
			err = fmt.Errorf("%d %s", a.status, a.body)
		}
		return err
	})
}

// A checkout that dies between the time that it gives the holds and the commit of its order leaves holds that nobody's rows explain. One
// comparison, of another instance or of the next one, gives the cart's own time back: the cart is not bought, and ends when it was to end.
func TestACheckoutThatIsKilledLeavesTheCartsHold(t *testing.T) {
	t.Parallel()
	s := open(t, func(c *config.Config) {
		for _, way := range saga.All() {
			c.StrategiesAllowed = append(c.StrategiesAllowed, way.Name)
		}
		c.ReconcileInterval, c.ReconcileCooldown = time.Hour, 200*time.Millisecond
		c.HoldMaxAge, c.HoldCooldown = c.HoldTTL, time.Hour
	})
	m := s.processes()
	other := *s
	other.cfg.HTTPAddr = "127.0.0.1:0"
	other.start()
	other.reconcile() // what it compares after its start
	for i, way := range saga.All() {
		d := deadCheckout{mortal: m, other: &other, strategy: way.Name}
		if i == 0 { // nobody else is there; the next instance compares by itself
			other.stop()
			d.other = nil
		} else if i == 1 {
			other.start()
		}
		d.expired = i == 2
		d.run(t)
	}
	m.clean()
}

// deadCheckout is a checkout that dies.
type deadCheckout struct {
	*mortal
	other    *shop // has it compared; nil: the next instance does
	strategy string
	expired  bool // the cart has, and its units were held again by the checkout
}

func (d deadCheckout) run(t *testing.T) {
	t.Helper()
	a := &army{shop: d.shop, keys: redisx.Keys{Namespace: d.cfg.Namespace}, product: d.product("tea-"+d.strategy, 100, 2)}
	ann, bob := d.customer("ann "+d.strategy), d.customer("bob "+d.strategy)
	ann.must(http.StatusOK, http.MethodPut, "/cart/items/"+a.product, units(2))
	if d.expired {
		a.pass(d.cfg.HoldTTL + time.Minute)
	}
	before := d.entriesOf(a.product)
	d.reconcile() // what it compares after its start is over, so that it dies without the lease
	body := map[string]any{"payment_method": "pm_ok", "strategy": d.strategy}
	d.diesForGood("placing", func() { _, _ = ann.send(http.MethodPost, "/orders", body, "Idempotency-Key", "k") })
	for id, entry := range d.entriesOf(a.product) {
		if was := before[id]; was != "" && d.expiryOf(entry) <= d.expiryOf(was) {
			t.Errorf("%s: the checkout had not begun: %s, then %s", d.strategy, was, entry)
		}
	}
	if _, err := d.env.DB.Exec(t.Context(), `UPDATE cart.carts SET changed_at = changed_at - interval '1 hour'`); err != nil { // no row leads there
		t.Fatal(err)
	}
	want := maps.Clone(before)
	if d.expired {
		clear(want)
	}
	if d.other != nil {
		d.other.reconcile()
		if got := d.entriesOf(a.product); !d.same(got, want) {
			t.Errorf("%s: %v were held, and after a checkout that died and one comparison %v", d.strategy, want, got)
		}
	}
	d.start()
	testkit.Eventually(t, 3*time.Minute, func() error {
		if got := d.entriesOf(a.product); !d.same(got, want) {
			return fmt.Errorf("%s: %v were held, and after a checkout that died %v", d.strategy, want, got)
		}
		return nil
	})
	var c over
	ann.must(http.StatusOK, http.MethodGet, "/cart", nil).into(t, &c)
	if len(c.Items) != 1 || c.Items[0].Held == d.expired {
		t.Errorf("%s: the cart is %+v", d.strategy, c)
	}
	if !d.expired {
		bob.must(http.StatusConflict, http.MethodPut, "/cart/items/"+a.product, units(1))
		a.pass(d.cfg.HoldTTL + time.Minute)
	}
	bob.must(http.StatusOK, http.MethodPut, "/cart/items/"+a.product, units(2))
	ann.refused(http.StatusConflict, "hold-expired", http.MethodPost, "/orders", body, "Idempotency-Key", "another")
	bob.must(http.StatusNoContent, http.MethodDelete, "/cart/items/"+a.product, nil)
	var o order
	ann.must(http.StatusCreated, http.MethodPost, "/orders", body, "Idempotency-Key", "another", "Prefer", "wait=30").into(t, &o)
	if o = ann.end(o.ID); o.Status != "COMPLETED" || o.Strategy != d.strategy {
		t.Errorf("%s: bought again: %+v", d.strategy, o)
	}
}

// same says whether holds are the same but for what two clocks make of one moment.
func (d deadCheckout) same(is, want map[string]string) bool {
	if len(is) != len(want) {
		return false
	}
	for id, entry := range want {
		got := is[id]
		if got == "" || strings.Count(got, ":") != strings.Count(entry, ":") || d.expiryOf(got)-d.expiryOf(entry) > 1000 || d.expiryOf(entry)-d.expiryOf(got) > 1000 {
			return false
		}
	}
	return true
}

// Who sets a line and buys the cart at its old version, both at once and again and again, holds the units no longer than anybody may: what
// a checkout has given that makes no order is not there afterwards.
func TestRacedCheckoutsHoldForNoLonger(t *testing.T) {
	t.Parallel()
	const age, step = 10 * time.Minute, time.Minute
	s := open(t, func(c *config.Config) {
		c.HoldTTL, c.HoldMaxAge, c.HoldCooldown, c.ReconcileInterval = 4*time.Minute, age, time.Hour, time.Hour
	})
	a := &army{shop: s, keys: redisx.Keys{Namespace: s.cfg.Namespace}, product: s.product("console", 100, 1)}
	path := "/cart/items/" + a.product
	mallory, bob := s.customer("mallory"), s.customer("bob")
	mallory.must(http.StatusOK, http.MethodPut, path, units(1))
	latest := time.Now().Add(age + age/60 + time.Second).UnixMilli() // the limit allows for two clocks
	for round := range int(age/step) + 2 {                           // in the last ones the cart has expired, and the checkout holds its units again
		a.races(mallory, fmt.Sprint(round))
		for _, entry := range s.entriesOf(a.product) {
			if at := s.expiryOf(entry); at > latest || strings.Count(entry, ":") > 2 {
				t.Errorf("round %d: held by %s, which is %d ms too long", round, entry, at-latest)
			}
		}
		a.pass(step)
		latest -= step.Milliseconds()
	}
	bob.must(http.StatusOK, http.MethodPut, path, units(1))
	mallory.refused(http.StatusConflict, "hold-expired", http.MethodPost, "/orders", `{"payment_method":"pm_ok"}`, "Idempotency-Key", "last")
}

// races has a customer buy a cart that is lost to somebody else once its holds are marked, and set its line meanwhile.
func (a *army) races(c customer, key string) {
	a.t.Helper()
	var read struct {
		Version int64 `json:"version"`
	}
	c.must(http.StatusOK, http.MethodGet, "/cart", nil).into(a.t, &read)
	tx, err := a.env.DB.Begin(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	defer tx.Rollback(a.t.Context()) //nolint:errcheck // it is over
	if _, err := tx.Exec(a.t.Context(), `UPDATE cart.carts SET version = version + 1, turn = turn + 1 WHERE state = 'OPEN'`); err != nil {
		a.t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		body := map[string]any{"payment_method": "pm_ok", "cart_version": read.Version}
		got, err := c.ask(http.MethodPost, "/orders", body, "Idempotency-Key", "another")
		if err != nil || got.status != http.StatusConflict {
			a.t.Errorf("a checkout that has lost the cart: %d %s, %v", got.status, got.body, err)
		}
	})
	testkit.Eventually(a.t, time.Minute, func() bool {
		marked := false
		for _, entry := range a.entriesOf(a.product) {
			marked = marked || strings.Count(entry, ":") > 2
		}
		return marked
	})
	all.Go(func() { _, _ = c.ask(http.MethodPut, "/cart/items/"+a.product, units(1)) })
	if err := tx.Commit(a.t.Context()); err != nil {
		a.t.Error(err)
	}
	all.Wait()
}
