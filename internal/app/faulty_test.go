package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/sandbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// A provider declines, errs, answers late or never, and tells of it late, repeatedly and out of order, while the instance is killed
// again and again and some customers cancel: every order comes to its end, and the audit finds the money of each where its end says.
func TestDrillFaultyProvider(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			s := open(t, strategy(way))
			s.stopProvider()
			s.faults, s.seed = sandbox.Faults{Decline: 0.1, Error: 0.1, Drop: 0.05, Late: 0.05}, testkit.Seed(t)
			s.hooks = sandbox.Webhooks{
				URL: s.url + "/api/v1/webhooks/payments/sandbox", Secret: hookSecret, Delay: -1, LateBy: time.Second,
				Late: 0.05, Repeat: 0.3, Reorder: 0.3,
			}
			s.startProvider(strings.TrimPrefix(s.cfg.SandboxURL, "http://"))
			mug := s.product("MUG", 1275, 1_000_000)
			m := s.processes()
			orders := testkit.Size(40, 20_000)
			ids := make(chan string, orders)
			var wg sync.WaitGroup
			atOnce := make(chan struct{}, 20)
			wg.Go(func() {
				for i := range orders {
					atOnce <- struct{}{}
					wg.Go(func() {
						defer func() { <-atOnce }()
						ids <- s.customer(fmt.Sprint("customer ", i)).insists(mug, i%10 == 0)
					})
				}
			})
			for life := testkit.Size(1, 20); ; {
				select {
				case <-time.After(time.Duration(life) * time.Second):
				case <-t.Context().Done():
				}
				m.kill()
				m.start()
				if len(ids) == orders || testkit.Size(0, 1) == 0 {
					break
				}
			}
			wg.Wait()
			ends := map[string]int{}
			close(ids)
			n := 0
			for id := range ids {
				ends[s.customerOf(id).end(id).Status]++
				n++
			}
			t.Log(ends)
			if n != orders || ends["COMPLETED"] == 0 || ends["CANCELLED"] == 0 {
				t.Errorf("%v of %d orders", ends, orders)
			}
			s.clean()
			s.allTold()
		})
	}
}

// allTold wants the provider to be rid of the webhooks of all that it did.
func (s *shop) allTold() {
	s.t.Helper()
	testkit.Eventually(s.t, 3*time.Minute, func() error {
		ledger, err := os.ReadFile(s.ledger)
		if err != nil {
			return err
		}
		told, err := os.ReadFile(s.ledger + ".told")
		entries := bytes.Count(ledger, []byte("\n")) - bytes.Count(ledger, []byte(`"kind":"close"`))
		if marks := bytes.Count(told, []byte("\n")) - 1; err == nil && marks != entries {
			err = fmt.Errorf("%d of %d entries were taken", marks, entries)
		}
		return err
	})
}

// insists buys, and cancels if it is to, and asks again until it is answered.
func (c customer) insists(product string, cancel bool) (id string) {
	c.shop.t.Helper()
	return c.insistsOn(buyNow(product, 1, "pm_ok"), cancel)
}

// buyBy buys one at once, in a strategy.
func buyBy(strategy, product string) map[string]any {
	body := buyNow(product, 1, "pm_ok")
	body["strategy"] = strategy
	return body
}

func (c customer) insistsOn(body map[string]any, cancel bool) (id string) {
	var o order
	ask := func(path string, body any) {
		testkit.Eventually(c.shop.t, 2*time.Minute, func() error {
			a, err := c.send(http.MethodPost, path, body, "Idempotency-Key", "k")
			if err == nil && (a.status/100 == 2 || a.status == http.StatusConflict && strings.Contains(string(a.body), "/problems/conflict")) {
				if o.ID == "" {
					return json.Unmarshal(a.body, &o)
				}
				return nil
			}
			return fmt.Errorf("%d %s, %w", a.status, a.body, err)
		})
	}
	ask("/orders", body)
	if cancel {
		ask("/orders/"+o.ID+"/cancel", nil)
	}
	return o.ID
}

// customerOf is the customer of an order.
func (s *shop) customerOf(id string) customer {
	s.t.Helper()
	var sub string
	if err := s.env.DB.QueryRow(s.t.Context(), `SELECT customer FROM orders.orders WHERE id = $1`, id).Scan(&sub); err != nil {
		s.t.Fatal(err)
	}
	return s.customer(sub)
}
