package app_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// army is a sale that bots lay siege to.
type army struct {
	*shop
	keys    redisx.Keys
	product string
	bots    []customer
}

// each lets many customers do something at once, some at a time, and counts the ones who got what they wanted.
func (a *army) each(who []customer, do func(c customer, i int) bool) (got int64) {
	var n atomic.Int64
	var all sync.WaitGroup
	next := make(chan int)
	for range 24 {
		all.Go(func() {
			for i := range next {
				if do(who[i], i) {
					n.Add(1)
				}
			}
		})
	}
	for i := range who {
		next <- i
	}
	close(next)
	all.Wait()
	return n.Load()
}

// take sets a bot's line and says whether it holds the units then; what is too many it asks for again as far as it can be had.
func (a *army) take(c customer, n int64) bool {
	for range 2 {
		got, err := c.ask(http.MethodPut, "/cart/items/"+a.product, units(n))
		if err != nil || got.status == http.StatusOK {
			return err == nil
		}
		var p refused
		got.into(a.t, &p)
		if n = p.Available; n == 0 {
			return false
		}
	}
	return false
}

// refresh is what a bot tries in order not to lose its units: the same again, away and there again, or a cart that is new.
func (a *army) refresh(c customer, i int) bool {
	switch i % 3 {
	case 1:
		_, _ = c.ask(http.MethodDelete, "/cart/items/"+a.product, nil)
	case 2:
		_, _ = c.ask(http.MethodDelete, "/cart", nil)
	}
	return a.take(c, 5)
}

// pass lets time go by for every cart and every hold, as nobody looks.
func (a *army) pass(d time.Duration) {
	a.t.Helper()
	ctx, ms := a.t.Context(), d.Milliseconds()
	_, err := a.env.DB.Exec(ctx, `UPDATE cart.carts SET first_line_at = first_line_at - $1::interval, expires_at = expires_at - $1::interval WHERE state = 'OPEN'`, d)
	if err != nil {
		a.t.Fatal(err)
	}
	keys := a.keys.Product(uuid.MustParse(a.product))
	if err := a.env.Redis.Eval(ctx, earlier, []string{keys[2], keys[3], keys[4]}, ms).Err(); err != nil {
		a.t.Fatal(err)
	}
}

// earlier moves every time that Redis has of a product.
const earlier = `
local ms = tonumber(ARGV[1])
local function at(s) return string.format('%.0f', math.max(tonumber(s) - ms, 1)) end
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local q, e, owner = string.match(all[i + 1], '^(%d+):(%d+)(.*)$')
  redis.call('HSET', KEYS[1], all[i], q .. ':' .. at(e) .. owner)
  redis.call('ZADD', KEYS[2], at(e), all[i])
end
all = redis.call('HGETALL', KEYS[3])
for i = 1, #all, 2 do
  local words, n = {}, 0
  for word in string.gmatch(all[i + 1], '%S+') do
    n = n + 1
    words[n] = (n < 3 or n % 3 == 2) and at(word) or word
  end
  redis.call('HSET', KEYS[3], all[i], table.concat(words, ' '))
end
return #all`

// Ten bots for every unit take what they may, for as long as they may, in every way that there is. Those who buy at once get
// their units at once; those who put them into a cart get them when the time of the bots that hold is over, which no bot can
// put off.
func TestDrillBots(t *testing.T) {
	t.Parallel()
	bots := testkit.Size(200, 10_000)
	stock, buyers := int64(bots/10), bots/100
	s := open(t, func(c *config.Config) {
		c.MaxCustomerUnits, c.MaxHeldShare = 5, 0.9
		c.HoldTTL, c.HoldMaxAge, c.HoldCooldown = 15*time.Minute, 30*time.Minute, time.Hour
	})
	a := &army{shop: s, keys: redisx.Keys{Namespace: s.cfg.Namespace}, product: s.product("console", 100, stock)}
	for i := range bots {
		a.bots = append(a.bots, s.customer(fmt.Sprint("bot ", i)))
	}
	holding := a.each(a.bots, func(c customer, _ int) bool { return a.take(c, 5) })
	if free := a.free(); free != stock-stock*9/10 {
		t.Fatalf("%d bots hold all but %d of %d units, want all but a tenth", holding, free, stock)
	}

	// Bots that cannot pay order at the same time: their orders fail within moments.
	var crowd []customer
	for i := range buyers {
		crowd = append(crowd, s.customer(fmt.Sprint("buyer ", i)), a.bots[len(a.bots)-1-i])
	}
	bought := a.each(crowd, func(c customer, i int) bool {
		if i%2 == 1 {
			_, _ = c.send(http.MethodPost, "/orders", buyNow(a.product, 1, "pm_declined"), "Idempotency-Key", "never paid", "Prefer", "wait=5")
			return false
		}
		testkit.Eventually(t, 3*time.Minute, func() error {
			got, err := c.send(http.MethodPost, "/orders", buyNow(a.product, 1, "pm_ok"), "Idempotency-Key", "mine", "Prefer", "wait=30")
			if err == nil && (got.status != http.StatusCreated || !strings.Contains(string(got.body), `"COMPLETED"`)) {
				err = fmt.Errorf("%d %s", got.status, got.body)
			}
			return err
		})
		return true
	})
	if bought != int64(buyers) {
		t.Fatalf("%d of %d buyers have bought", bought, buyers)
	}

	// The bots that hold go on holding for as long as they may, and no longer.
	var first []customer
	for _, c := range a.bots {
		if a.holds(c) {
			first = append(first, c)
		}
	}
	for range 2 {
		a.pass(10 * time.Minute)
		a.each(first, a.refresh)
	}
	a.pass(12 * time.Minute)
	if again := a.each(first, a.refresh); again != 0 {
		t.Fatalf("%d of %d bots hold again after the time that they may", again, len(first))
	}
	in := make([]customer, buyers)
	for i := range in {
		in[i] = s.customer(fmt.Sprint("visitor ", i))
	}
	if got := a.each(in, func(c customer, _ int) bool { return a.take(c, 1) }); got != int64(buyers) {
		t.Fatalf("%d of %d visitors have a unit in the cart", got, buyers)
	}
	s.clean()
}

// Bots of which each is a customer of its own take turns: whenever the units of some come free, all others race for them with
// those who want to buy from their carts. Each bot holds once within its cool-down, so that they run out: after as many times of
// a hold as they fill the part of the stock that carts may hold, at the latest, everybody has bought from the cart.
func TestDrillBotsThatTakeTurns(t *testing.T) {
	t.Parallel()
	const each = 5 // units of a bot
	bots, buyers, stock := testkit.Size(20, 10_000), testkit.Size(4, 100), int64(testkit.Size(30, 1_000))
	s := open(t, func(c *config.Config) {
		c.MaxCustomerUnits, c.MaxHeldShare = each, 0.9
		c.HoldTTL, c.HoldMaxAge, c.HoldCooldown = 15*time.Minute, 15*time.Minute, 1000*time.Hour
	})
	a := &army{shop: s, keys: redisx.Keys{Namespace: s.cfg.Namespace}, product: s.product("console", 100, stock)}
	for i := range bots {
		a.bots = append(a.bots, s.customer(fmt.Sprint("bot ", i)))
	}
	var open []customer
	for i := range buyers {
		open = append(open, s.customer(fmt.Sprint("buyer ", i)))
	}
	turns := make([]atomic.Int64, bots)
	inCarts := stock*9/10 - int64(buyers) // units that bots have to hold for a buyer to go without
	most := 1 + (int64(bots*each)+inCarts-1)/inCarts
	for round := int64(1); len(open) > 0; round++ {
		if round > most {
			t.Fatalf("%d of %d buyers have nothing after %d rounds", len(open), buyers, most)
		}
		var mu sync.Mutex
		var without []customer
		racing := make([]customer, 0, bots+len(open)) // the bots are first, as they would be
		racing = append(append(racing, a.bots...), open...)
		a.each(racing, func(c customer, i int) bool {
			if i < bots {
				if a.take(c, each) {
					turns[i].Add(1)
				}
				return true
			}
			if !a.take(c, 1) {
				mu.Lock()
				defer mu.Unlock()
				without = append(without, c)
				return false
			}
			c.must(http.StatusCreated, http.MethodPost, "/orders", `{"payment_method":"pm_ok"}`, "Idempotency-Key", "mine", "Prefer", "wait=30")
			return true
		})
		t.Logf("round %d: %d of %d buyers have a unit", round, buyers-len(without), buyers)
		open = without
		a.pass(16 * time.Minute)
	}
	for i := range turns {
		if n := turns[i].Load(); n > 1 {
			t.Errorf("bot %d has held in %d rounds", i, n)
		}
	}
	s.clean()
}

// free is what can be held of the product.
func (a *army) free() int64 {
	a.t.Helper()
	var got struct {
		Free int64 `json:"free"`
	}
	a.operator().must(http.StatusOK, http.MethodGet, "/products/"+a.product+"/availability", nil).into(a.t, &got)
	return got.Free
}

// holds says whether a customer holds units of the product.
func (a *army) holds(c customer) bool {
	a.t.Helper()
	var got struct {
		Items []struct {
			Held bool `json:"held"`
		} `json:"items"`
	}
	c.must(http.StatusOK, http.MethodGet, "/cart", nil).into(a.t, &got)
	return slices.ContainsFunc(got.Items, func(i struct {
		Held bool `json:"held"`
	},
	) bool {
		return i.Held
	})
}
