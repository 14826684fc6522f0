package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// An order that is complete is cancelled: stock and money go back, and cancelling again changes nothing.
func TestACompleteOrderIsCancelled(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			s := open(t, strategy(way))
			mug := s.product("MUG", 1275, 10)
			alice := s.customer("alice")
			o := alice.buy("k", buyNow(mug, 4, "pm_ok"))
			s.free(mug, 6)
			path := "/orders/" + o.ID + "/cancel"
			s.customer("mallory").refused(404, "not-found", http.MethodPost, path, nil)
			a := alice.must(http.StatusAccepted, http.MethodPost, path, nil)
			a.into(t, &o)
			if !o.cancelling() || a.header.Get("Location") != "/api/v1/orders/"+o.ID {
				t.Errorf("%v %s", a.header, a.body)
			}
			if alice.must(http.StatusOK, http.MethodGet, "/orders/"+o.ID, nil).into(t, &o); !o.cancelling() {
				t.Errorf("who has cancelled is shown %+v", o)
			}
			if o = alice.end(o.ID); o.Status != "CANCELLED" || o.DisplayStatus != "CANCELLED" || o.PaymentStatus != "REFUNDED" ||
				o.InventoryStatus != "RELEASED" || o.FailureReason != "" {
				t.Errorf("%+v", o)
			}
			var again order
			if alice.must(http.StatusAccepted, http.MethodPost, path, nil).into(t, &again); again.Status != "CANCELLED" {
				t.Errorf("again: %+v", again)
			}
			s.free(mug, 10)
			s.clean()

			failed := alice.buy("declined", buyNow(mug, 1, "pm_declined"))
			alice.refused(409, "conflict", http.MethodPost, "/orders/"+failed.ID+"/cancel", nil)
			alice.refused(404, "not-found", http.MethodPost, "/orders/01930000-0000-7000-8000-000000000001/cancel", nil)
		})
	}
}

func (o order) cancelling() bool {
	return o.Status == "CANCELLED" || o.Status == "ENDING" && o.FailureReason == ""
}

// free waits until that many units of a product can be had.
func (s *shop) free(product string, units int64) {
	s.t.Helper()
	var p struct {
		Available int64 `json:"available"`
	}
	testkit.Eventually(s.t, 3*time.Minute, func() error {
		s.customer("x").must(http.StatusOK, http.MethodGet, "/products/"+product, nil).into(s.t, &p)
		if p.Available != units {
			return fmt.Errorf("%d units are free, want %d", p.Available, units)
		}
		return nil
	})
}

// An order whose payment nobody knows the outcome of is cancelled while the provider is away: nothing is charged later.
func TestCancelWhileTheProviderIsAway(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			s := open(t, strategy(way))
			mug := s.product("MUG", 1275, 10)
			alice := s.customer("alice")
			s.stopProvider()
			o := alice.underway("k", buyNow(mug, 4, "pm_ok"))
			alice.sees(o.ID, func(o order) bool { return o.PaymentStatus == "UNKNOWN" })
			if alice.must(http.StatusAccepted, http.MethodPost, "/orders/"+o.ID+"/cancel", nil).into(t, &o); o.Status != "ENDING" || o.DisplayStatus != "CANCELLED" {
				t.Errorf("%+v", o)
			}
			alice.sees(o.ID, func(o order) bool { return o.InventoryStatus == "RELEASED" })
			s.startProvider(strings.TrimPrefix(s.cfg.SandboxURL, "http://"))
			if o = alice.end(o.ID); o.Status != "CANCELLED" || o.PaymentStatus != "VOIDED" {
				t.Errorf("%+v", o)
			}
			s.free(mug, 10)
			s.clean()
		})
	}
}

// underway buys and wants the order to be on its way.
func (c customer) underway(key string, body map[string]any) (o order) {
	c.shop.t.Helper()
	c.must(http.StatusAccepted, http.MethodPost, "/orders", body, "Idempotency-Key", key).into(c.shop.t, &o)
	return o
}

// sees waits until an order is shown like that.
func (c customer) sees(id string, so func(order) bool) {
	c.shop.t.Helper()
	testkit.Eventually(c.shop.t, 3*time.Minute, func() error {
		var o order
		c.must(http.StatusOK, http.MethodGet, "/orders/"+id, nil).into(c.shop.t, &o)
		if !so(o) {
			return fmt.Errorf("%+v", o)
		}
		return nil
	})
}

// A cancel that comes before the second side was asked leaves a tombstone there, which the asking meets: whoever is asked
// first is kept from answering meanwhile, and then does.
func TestCancelLeavesATombstone(t *testing.T) {
	t.Parallel()
	for way, first := range map[string]string{"optimistic": "inventory.reservations", "post-payment": "payment.payments"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			s := open(t, strategy(way))
			mug := s.product("MUG", 1275, 10)
			alice := s.customer("alice")
			letGo := s.holdUp(first)
			o := alice.underway("k", buyNow(mug, 4, "pm_ok"))
			alice.must(http.StatusAccepted, http.MethodPost, "/orders/"+o.ID+"/cancel", nil)
			alice.sees(o.ID, func(o order) bool { return o.PaymentStatus == "VOIDED" || o.InventoryStatus == "RELEASED" })
			letGo()
			if o = alice.end(o.ID); o.Status != "CANCELLED" {
				t.Errorf("%+v", o)
			}
			s.clean()
			var charges, movements int
			if err := s.env.DB.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM payment.payments WHERE attempted_at IS NOT NULL),
				(SELECT count(*) FROM inventory.movements WHERE order_id IS NOT NULL)`).Scan(&charges, &movements); err != nil {
				t.Fatal(err)
			}
			if way == "optimistic" && charges != 0 || way == "post-payment" && movements != 0 {
				t.Errorf("after its tombstone: %d charges, %d movements", charges, movements)
			}
		})
	}
}

// holdUp keeps a table from being written to until the answer is called.
func (s *shop) holdUp(table string) (letGo func()) {
	s.t.Helper()
	tx, err := s.env.DB.Begin(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := tx.Exec(s.t.Context(), "SET LOCAL idle_in_transaction_session_timeout = 0; LOCK TABLE "+table+" IN EXCLUSIVE MODE"); err != nil {
		s.t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(s.t.Context()); err != nil && !errors.Is(err, pgx.ErrTxClosed) {
			s.t.Error(err)
		}
	}
}

// Orders of every kind are cancelled at any moment, by two at once, while their time runs out (for the first of them the provider
// is away), some with units that are not there: a cancel that was accepted ends CANCELLED, one that was refused finds a failed order, and nothing is kept of either.
func TestDrillCancelsAtAnyMoment(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			const stock = 1_000_000
			timeOut := time.Second
			s := open(t, strategy(way), holdOnOrder(false), func(c *config.Config) { c.OrderTimeout = timeOut })
			mug, lamp := s.product("MUG", 1275, stock), s.product("LAMP", 4900, 1)
			random := rand.New(rand.NewPCG(testkit.Seed(t), 0))
			methods := []string{"pm_ok", "pm_ok", "pm_slow", "pm_declined", "pm_timeout_after_charge", "pm_error_once"}
			var wg sync.WaitGroup
			var mu sync.Mutex
			ends := map[string]int{}
			const away = 20
			crowd := make(chan struct{}, away+5)
			s.stopProvider()
			for i := range testkit.Size(45, 6000) {
				if i == away {
					s.timedOut()
					s.startProvider(strings.TrimPrefix(s.cfg.SandboxURL, "http://"))
				}
				product, method := mug, methods[random.IntN(len(methods))]
				if random.IntN(6) == 0 {
					product = lamp // one of them; two are not there
				}
				after := time.Duration(random.Int64N(int64(timeOut * 5 / 4)))
				if random.IntN(2) == 0 {
					after /= 20
				}
				if i < 2 {
					after = 5 * timeOut // too late for sure
				}
				crowd <- struct{}{}
				wg.Go(func() {
					defer func() { <-crowd }()
					end := s.customer(fmt.Sprint("customer ", i)).cancelsAfter(after, buyNow(product, 2, method))
					mu.Lock()
					defer mu.Unlock()
					ends[end]++
				})
			}
			wg.Wait()
			if ends["CANCELLED"] == 0 || ends["FAILED TIMED_OUT"] == 0 {
				t.Errorf("it was no race: %v", ends)
			}
			s.clean()
			s.free(mug, stock)
		})
	}
}

// timedOut waits until the time of some order is over.
func (s *shop) timedOut() {
	s.t.Helper()
	testkit.Eventually(s.t, 3*time.Minute, func() error {
		var over int
		err := s.env.DB.QueryRow(s.t.Context(), `SELECT count(*) FROM orders.orders WHERE failure_reason = 'TIMED_OUT'`).Scan(&over)
		if err == nil && over == 0 {
			return errors.New("no order has timed out")
		}
		return err
	})
}

// cancelsAfter buys, cancels twice at once after a while, and wants both cancels to be answered alike and to be true.
func (c customer) cancelsAfter(after time.Duration, body map[string]any) string {
	t := c.shop.t
	bought, err := c.ask(http.MethodPost, "/orders", body, "Idempotency-Key", "k")
	var o order
	if err == nil {
		err = json.Unmarshal(bought.body, &o)
	}
	if err != nil || o.ID == "" {
		t.Errorf("%s, %v", bought.body, err)
		return "none"
	}
	<-time.After(after) // any moment may be the wrong one
	var wg sync.WaitGroup
	var statuses [2]int
	for i := range statuses {
		wg.Go(func() {
			a, err := c.ask(http.MethodPost, "/orders/"+o.ID+"/cancel", nil)
			if err != nil {
				t.Error(err)
			}
			statuses[i] = a.status
		})
	}
	wg.Wait()
	want := map[int]string{http.StatusAccepted: "CANCELLED", http.StatusConflict: "FAILED"}[statuses[0]]
	if o = c.end(o.ID); statuses[0] != statuses[1] || o.Status != want {
		t.Errorf("answered %v, and is %+v", statuses, o)
	}
	return strings.Trim(o.Status+" "+o.FailureReason, " ")
}
