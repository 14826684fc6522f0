package app_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// Many requests at once under each of many keys make one order for each key, and each request is answered with it.
func TestDrillTwins(t *testing.T) {
	t.Parallel()
	s := open(t)
	mug := s.product("MUG", 1275, 1_000_000)
	keys, twins := testkit.Size(20, 1000), testkit.Size(10, 1000)
	atOnce := make(chan struct{}, testkit.Size(100, 1000))
	ids := make([]map[string]bool, keys)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for key := range keys {
		ids[key] = map[string]bool{}
		c, quantity := s.customer(fmt.Sprint("customer ", key)), int64(key%3+1)
		for range twins {
			atOnce <- struct{}{}
			wg.Go(func() {
				defer func() { <-atOnce }()
				id := sendTwin(t, c, buyNow(mug, quantity, "pm_ok"))
				mu.Lock()
				defer mu.Unlock()
				ids[key][id] = true
			})
		}
	}
	wg.Wait()
	for key, answered := range ids {
		if len(answered) != 1 {
			t.Errorf("key %d was answered with %d orders", key, len(answered))
		}
		for id := range answered {
			if o := s.customer(fmt.Sprint("customer ", key)).end(id); o.Status != "COMPLETED" || o.TotalMinor != 1275*int64(key%3+1) {
				t.Errorf("%+v", o)
			}
		}
	}
	var orders int
	if err := s.env.DB.QueryRow(t.Context(), `SELECT count(*) FROM orders.orders`).Scan(&orders); err != nil || orders != keys {
		t.Errorf("%d orders for %d keys, %v", orders, keys, err)
	}
	s.clean()
}

// Two keys for one version of a cart, at once: one buys it, the other is told that it has changed.
func twoKeysForOneCartVersion(t *testing.T, s *shop) {
	mug := s.product("MUG", 1275, 1000)
	for round := range 10 {
		c := s.customer(fmt.Sprint("customer ", round))
		var cart struct {
			Version int64 `json:"version"`
		}
		c.must(http.StatusOK, http.MethodPut, "/cart/items/"+mug, `{"quantity":2}`).into(t, &cart)
		var statuses [2]int
		var wg sync.WaitGroup
		for i := range statuses {
			wg.Go(func() {
				body := fmt.Sprintf(`{"payment_method":"pm_ok","cart_version":%d}`, cart.Version)
				a, err := c.ask(http.MethodPost, "/orders", body, "Idempotency-Key", fmt.Sprint(i))
				if err != nil {
					t.Error(err)
				}
				statuses[i] = a.status
			})
		}
		wg.Wait()
		if won, lost := min(statuses[0], statuses[1]), max(statuses[0], statuses[1]); won/100 != 2 || lost != http.StatusConflict {
			t.Errorf("answered %v", statuses)
		}
	}
}
