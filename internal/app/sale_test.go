package app_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

var ways = []string{"optimistic", "post-payment"}

// An order goes from cart to paid, or to whatever end its payment method leads, in every strategy and outbox mode.
func TestOrdersComeToTheirEnds(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		for _, mode := range []string{"cdc", "polling"} {
			t.Run(way+" "+mode, func(t *testing.T) {
				t.Parallel()
				s := open(t, strategy(way), outboxMode(mode))
				mug, lamp := s.product("MUG", 1275, 100), s.product("LAMP", 4900, 5)
				alice := s.customer("alice")
				alice.must(http.StatusOK, http.MethodPut, "/cart/items/"+mug, `{"quantity":2}`)
				alice.must(http.StatusOK, http.MethodPut, "/cart/items/"+lamp, `{"quantity":1}`)
				o := alice.buy("cart", map[string]any{"payment_method": "pm_ok"})
				if o.Status != "COMPLETED" || o.PaymentStatus != "SUCCESS" || o.InventoryStatus != "RESERVED" || o.DisplayStatus != "COMPLETED" ||
					o.TotalMinor != 2*1275+4900 || o.Strategy != way {
					t.Fatalf("%+v", o)
				}
				for method, want := range map[string]string{
					"pm_ok": "COMPLETED", "pm_slow": "COMPLETED", "pm_error_once": "COMPLETED", "pm_timeout_after_charge": "COMPLETED",
					"pm_declined": "FAILED_PAYMENT", "pm_insufficient_funds": "FAILED_PAYMENT",
				} {
					if o := alice.buy(method, buyNow(mug, 1, method)); o.DisplayStatus != want {
						t.Errorf("%s: %+v", method, o)
					}
				}
				s.clean()
			})
		}
	}
}

// Two hundred customers want the last ten units at once: ten get them, with and without a hold on the order.
func TestTheLastUnitsAreSoldOnce(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		for _, held := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, hold on order %v", way, held), func(t *testing.T) {
				t.Parallel()
				s := open(t, strategy(way), holdOnOrder(held))
				lamp := s.product("LAMP", 4900, 10)
				var mu sync.Mutex
				ends := map[string]int{}
				var wg sync.WaitGroup
				for i := range 200 {
					wg.Go(func() {
						end := rush(t, s.customer(fmt.Sprint("customer ", i)), lamp)
						mu.Lock()
						defer mu.Unlock()
						ends[end]++
					})
				}
				wg.Wait()
				if ends["COMPLETED"] != 10 || ends["COMPLETED"]+ends["out of stock"]+ends["FAILED"] != 200 {
					t.Fatalf("%v", ends)
				}
				if held && ends["FAILED"] > 0 {
					t.Errorf("a customer whose units were held was turned away: %v", ends)
				}
				s.clean()
			})
		}
	}
}

// rush tries to buy one unit and says how it ended.
func rush(t *testing.T, c customer, product string) string {
	t.Helper()
	a, err := c.ask(http.MethodPost, "/orders", buyNow(product, 1, "pm_ok"), "Idempotency-Key", "k", "Prefer", "wait=30")
	if err != nil {
		t.Error(err)
		return "error"
	}
	if a.status == http.StatusConflict {
		return "out of stock"
	}
	var o order
	a.into(t, &o)
	if !o.final() {
		o = c.end(o.ID)
	}
	return o.Status
}

// An order whose time runs out while the provider is away is ended, and nothing of it is charged when the provider is back.
func TestOrdersWhoseTimeIsOver(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			s := open(t, strategy(way), func(c *config.Config) { c.OrderTimeout = 2 * time.Second })
			mug := s.product("MUG", 1275, 10)
			alice := s.customer("alice")
			s.stopProvider()
			var o order
			alice.must(http.StatusAccepted, http.MethodPost, "/orders", buyNow(mug, 4, "pm_ok"), "Idempotency-Key", "k").into(t, &o)
			testkit.Eventually(t, 3*time.Minute, func() error {
				alice.must(http.StatusOK, http.MethodGet, "/orders/"+o.ID, nil).into(t, &o)
				if o.Status != "ENDING" && o.Status != "FAILED" { // at once, if its time was over before the provider was first asked
					return fmt.Errorf("%+v", o)
				}
				return nil
			})
			s.givesBack(o.ID) // before that a provider that is back would still be asked to charge
			s.startProvider(strings.TrimPrefix(s.cfg.SandboxURL, "http://"))
			if o = alice.end(o.ID); o.DisplayStatus != "FAILED_TIMED_OUT" || o.PaymentStatus != "VOIDED" || o.InventoryStatus == "RESERVED" {
				t.Errorf("%+v", o)
			}
			var p struct {
				Available int64 `json:"available"`
			}
			testkit.Eventually(t, 3*time.Minute, func() error {
				alice.must(http.StatusOK, http.MethodGet, "/products/"+mug, nil).into(t, &p)
				if p.Available != 10 {
					return fmt.Errorf("%d of 10 units are free again", p.Available)
				}
				return nil
			})
			s.clean()
		})
	}
}

// A charge that succeeds when its order's time is over is given back, once: it never revives the order.
func TestALateSuccessIsRefunded(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			s := open(t, strategy(way))
			s.stopProvider()
			s.slowBy = 4 * time.Second // long enough for the clock to end the order meanwhile
			s.startProvider(strings.TrimPrefix(s.cfg.SandboxURL, "http://"))
			mug := s.product("MUG", 1275, 10)
			alice := s.customer("alice")
			o := alice.underway("k", buyNow(mug, 4, "pm_slow"))
			testkit.Eventually(t, 3*time.Minute, func() error {
				tag, err := s.env.DB.Exec(t.Context(), `UPDATE orders.orders SET deadline = now() WHERE id = $1
					AND EXISTS (SELECT FROM payment.payments WHERE order_id = $1 AND attempted_at IS NOT NULL)`, o.ID)
				if err == nil && tag.RowsAffected() == 0 {
					err = errors.New("the charge has not been sent")
				}
				return err
			})
			alice.sees(o.ID, func(o order) bool { return o.Status == "ENDING" && o.FailureReason == "TIMED_OUT" })
			if o = alice.end(o.ID); o.Status != "FAILED" || o.PaymentStatus != "REFUNDED" || o.DisplayStatus != "REFUNDED" {
				t.Errorf("%+v", o)
			}
			s.free(mug, 10)
			s.clean()
			var charged, refunded int64
			if err := s.env.DB.QueryRow(t.Context(), `SELECT charged, refunded FROM payment.balances WHERE order_id = $1`, o.ID).
				Scan(&charged, &refunded); err != nil || charged != 4*1275 || refunded != charged {
				t.Errorf("charged %d, refunded %d, %v", charged, refunded, err)
			}
		})
	}
}

// givesBack waits until payment has heard that the order is to be given back.
func (s *shop) givesBack(id string) {
	s.t.Helper()
	testkit.Eventually(s.t, 3*time.Minute, func() (heard bool) {
		err := s.env.DB.QueryRow(s.t.Context(), `SELECT EXISTS (SELECT FROM payment.payments WHERE order_id = $1 AND undo_cause IS NOT NULL)`, id).Scan(&heard)
		return err == nil && heard
	})
}
