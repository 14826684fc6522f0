package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/stack"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// crowd are customers who fill carts, buy them and buy at once, until they are stopped. What they are refused, and what is lost
// on the way, they try again.
type crowd struct {
	*shop
	products []string
	bought   atomic.Int64
	refused  atomic.Int64 // 503
}

func (c *crowd) customer(n int, stop <-chan struct{}) {
	who := c.shop.customer(fmt.Sprint("customer ", n))
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		case <-c.t.Context().Done():
			return
		default:
		}
		product, key := c.products[(n+i)%len(c.products)], fmt.Sprintf("%d/%d", n, i)
		if i%3 == 0 {
			c.note(who.send(http.MethodPost, "/orders", buyNow(product, 1, "pm_ok"), "Idempotency-Key", key))
			continue
		}
		c.note(who.send(http.MethodPut, "/cart/items/"+product, map[string]int{"quantity": 1 + i%2}))
		if i%3 == 2 {
			c.note(who.send(http.MethodPost, "/orders", `{"payment_method":"pm_ok"}`, "Idempotency-Key", key))
		}
	}
}

func (c *crowd) note(a answer, err error) {
	switch {
	case err != nil:
		c.t.Error(err)
	case a.status == http.StatusCreated, a.status == http.StatusAccepted:
		c.bought.Add(1)
	case a.status == http.StatusServiceUnavailable:
		c.refused.Add(1)
	case a.status != http.StatusOK && a.status != http.StatusConflict && a.status != http.StatusUnprocessableEntity: // 422: an empty cart
		c.t.Errorf("%d %s", a.status, a.body)
	}
}

// more waits until so many more orders have been made.
func (c *crowd) more(n int64) {
	c.t.Helper()
	until := c.bought.Load() + n
	testkit.Eventually(c.t, 3*time.Minute, func() error {
		if now := c.bought.Load(); now < until {
			return fmt.Errorf("%d orders, %d to come, %d refused", now, until-now, c.refused.Load())
		}
		return nil
	})
}

// Redis is killed, emptied, robbed of a key, spoilt, and started on an old copy of its file while customers buy: nothing is sold
// twice, they can go on, and when it is over Redis says what Postgres says.
func TestDrillRedisIsLost(t *testing.T) {
	t.Parallel()
	env, servers := testkit.PrivateRedis(t)
	s := openOn(t, env, func(c *config.Config) { c.OutboxMode = "polling" })
	c := &crowd{shop: s, products: []string{s.product("A", 100, 100_000), s.product("B", 100, 40), s.product("C", 100, 100_000)}}
	stop := make(chan struct{})
	var all sync.WaitGroup
	for n := range 6 {
		all.Go(func() { c.customer(n, stop) })
	}
	c.more(10)
	for range testkit.Size(1, 20) {
		for _, fault := range []func(*testing.T, *shop, *stack.Stack, func()){killed, emptied, robbed, spoilt, setBack} {
			fault(t, s, servers, func() { c.more(5) })
			c.more(10)
		}
	}
	close(stop)
	all.Wait()
	var lost int
	if err := s.env.DB.QueryRow(t.Context(), `SELECT count(*) FROM orders.orders WHERE failure_reason = 'OUT_OF_STOCK'`).Scan(&lost); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d orders, %d requests refused, %d orders that Redis had lost the hold of", c.bought.Load(), c.refused.Load(), lost)
	s.clean()
	var run struct {
		Drifted     int
		Differences json.RawMessage
	}
	testkit.Eventually(t, 3*time.Minute, func() error {
		s.operator().must(http.StatusOK, http.MethodPost, "/admin/reconciliations", `{"scope":"full"}`)
		s.operator().must(http.StatusOK, http.MethodPost, "/admin/reconciliations", `{"scope":"full","dry_run":true}`).into(t, &run)
		if run.Drifted > 0 {
			return fmt.Errorf("%d differences: %s", run.Drifted, run.Differences)
		}
		return nil
	})
}

func killed(t *testing.T, _ *shop, servers *stack.Stack, _ func()) {
	servers.Redis().Kill()
	if err := servers.Redis().Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func emptied(t *testing.T, s *shop, _ *stack.Stack, _ func()) { s.redis(t, "FLUSHALL") }

func robbed(t *testing.T, s *shop, _ *stack.Stack, _ func()) {
	for _, kind := range []string{"stock", "reserved", "holds", "expiry"} {
		s.redis(t, "DEL", s.aKey(t, kind))
	}
}

func spoilt(t *testing.T, s *shop, _ *stack.Stack, _ func()) {
	for _, kind := range []string{"stock", "reserved", "holds", "expiry"} {
		// In one step, or a customer has it loaded in between.
		s.redis(t, "EVAL", `redis.call("DEL", KEYS[1]) return redis.call("RPUSH", KEYS[1], "x")`, 1, s.aKey(t, kind))
	}
}

// setBack starts Redis on a copy of its file from before the customers went on.
func setBack(t *testing.T, s *shop, servers *stack.Stack, goOn func()) {
	setting, err := s.env.Redis.ConfigGet(t.Context(), "dir").Result()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(setting["dir"], "appendonlydir")
	command(t, "rm", "-rf", dir+".old")
	command(t, "cp", "-a", dir, dir+".old")
	goOn()
	servers.Redis().Kill()
	command(t, "rm", "-rf", dir)
	command(t, "mv", dir+".old", dir)
	if err := servers.Redis().Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func command(t *testing.T, words ...string) {
	t.Helper()
	if said, err := exec.CommandContext(t.Context(), words[0], words[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v: %s", words, err, said)
	}
}

func (s *shop) redis(t *testing.T, words ...any) {
	t.Helper()
	if err := s.env.Redis.Do(t.Context(), words...).Err(); err != nil {
		t.Fatal(err)
	}
}

// aKey finds some product's key of a kind.
func (s *shop) aKey(t *testing.T, kind string) (key string) {
	t.Helper()
	testkit.Eventually(t, 20*time.Second, func() error {
		keys, err := s.env.Redis.Keys(t.Context(), s.env.Namespace+":"+kind+":*").Result()
		if err != nil || len(keys) == 0 {
			return fmt.Errorf("no key of kind %s: %w", kind, err)
		}
		key = keys[0]
		return nil
	})
	return key
}

// Without Redis, dead or frozen, whoever wants to hold something new is told so at once and not kept waiting, and whoever holds by
// the rows can buy.
func TestDrillWithoutRedis(t *testing.T) {
	t.Parallel()
	env, servers := testkit.PrivateRedis(t)
	s := openOn(t, env, func(c *config.Config) { c.OutboxMode = "polling" })
	mug := s.product("MUG", 1275, 1000)
	for name, outage := range map[string]struct {
		away func()
		back func() error
	}{
		"killed": {servers.Redis().Kill, func() error { return servers.Redis().Start(t.Context()) }},
		"frozen": {servers.Redis().Pause, func() error { servers.Redis().Resume(); return nil }},
	} {
		holder := s.customer(name + " holder")
		holder.must(http.StatusOK, http.MethodPut, "/cart/items/"+mug, `{"quantity":2}`)
		outage.away()
		var mu sync.Mutex
		var took []time.Duration
		var all sync.WaitGroup
		for n := range 10 {
			all.Go(func() {
				who := s.customer(fmt.Sprint(name, n))
				for i := range testkit.Size(3, 200) {
					for _, d := range []time.Duration{
						who.turnedAway(http.MethodPut, "/cart/items/"+mug, `{"quantity":1}`),
						who.turnedAway(http.MethodPost, "/orders", buyNow(mug, 1, "pm_ok"), "Idempotency-Key", fmt.Sprint("k", i)),
					} {
						mu.Lock()
						took = append(took, d)
						mu.Unlock()
					}
				}
			})
		}
		all.Wait()
		slices.Sort(took)
		t.Logf("%s: of %d requests half were refused within %s, 99%% within %s, all within %s", name, len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1])
		holder.must(http.StatusAccepted, http.MethodPost, "/orders", `{"payment_method":"pm_ok"}`, "Idempotency-Key", "cart")
		if err := outage.back(); err != nil {
			t.Fatal(err)
		}
		s.customer(name+" later").must(http.StatusOK, http.MethodPut, "/cart/items/"+mug, `{"quantity":1}`)
	}
	s.clean()
}

// patience is how long a customer of a busy machine waits for an answer that is to come within 500 ms.
const patience = 5 * time.Second

// turnedAway makes a request that is refused because nothing can be held, and says how long that took.
func (c customer) turnedAway(method, path string, body any, headers ...string) time.Duration {
	ctx, cancel := context.WithTimeout(c.shop.t.Context(), patience)
	defer cancel()
	began := time.Now()
	a, err := c.sendWithin(ctx, method, path, body, headers...)
	took := time.Since(began)
	var p problem
	if err != nil || json.Unmarshal(a.body, &p) != nil || a.status != http.StatusServiceUnavailable || p.Type != "/problems/unavailable" ||
		a.header.Get("Content-Type") != "application/problem+json" || a.header.Get("Retry-After") == "" {
		c.shop.t.Errorf("%s %s: %d %v %s, %v after %s", method, path, a.status, a.header, a.body, err, took)
	}
	return took
}
