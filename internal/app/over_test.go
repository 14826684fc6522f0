package app_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/saga"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// over is what the tests look at where there is less than is held.
type over struct {
	OverHeld  *int64 `json:"over_held"`
	Available int64  `json:"available"`
	Visible   bool   `json:"visible"`
	Free      int64  `json:"free"`
	Held      int64  `json:"held"`
	OnHand    int64  `json:"on_hand"`
	Allocated int64  `json:"allocated"`
	Items     []struct {
		Held bool `json:"held"`
	} `json:"items"`
	Errors []struct {
		ProductID string `json:"product_id"`
		Requested int64  `json:"requested"`
		Available int64  `json:"available"`
	} `json:"errors"`
}

func (s *shop) adjust(product string, quantity int64) (got over) {
	s.t.Helper()
	s.operator().must(http.StatusOK, http.MethodPost, "/admin/products/"+product+"/restock", map[string]any{"quantity": quantity}).into(s.t, &got)
	if !got.Visible { // a machine that is too busy for an answer of Redis: the fact brings it
		testkit.Eventually(s.t, time.Minute, func() bool {
			var seen over
			s.operator().must(http.StatusOK, http.MethodGet, "/products/"+product+"/availability", nil).into(s.t, &seen)
			return seen.OnHand == seen.Allocated+seen.Held+seen.Free-*seen.OverHeld
		})
	}
	return got
}

// each runs a test in a shop that lets every strategy be asked for.
func eachStrategy(t *testing.T, test func(t *testing.T, s *shop, strategy string)) {
	t.Helper()
	s := open(t, func(c *config.Config) {
		for _, table := range saga.All() {
			c.StrategiesAllowed = append(c.StrategiesAllowed, table.Name)
		}
	})
	for i, table := range saga.All() {
		t.Run(table.Name, func(t *testing.T) { test(t, s.of(t, i), table.Name) })
	}
}

// Units that an operator takes away while they are held are nobody's silently: his answer and the product say how many, a cart shows
// what it would not get, and whoever checks out too late is told what is left, keeps the cart, has no order and pays nothing.
func TestUnitsTakenAwayAreRefusedBeforeThereIsAnOrder(t *testing.T) {
	t.Parallel()
	eachStrategy(t, func(t *testing.T, s *shop, strategy string) {
		product := s.product("OVER-"+strategy, 250, 5)
		ann, bob, eve := s.customer("ann"), s.customer("bob"), s.customer("eve")
		line := "/cart/items/" + product
		ann.must(http.StatusOK, http.MethodPut, line, `{"quantity":3}`)
		bob.must(http.StatusOK, http.MethodPut, line, `{"quantity":2}`)
		if got := s.adjust(product, -3); got.OverHeld == nil || *got.OverHeld != 3 {
			t.Errorf("the operator is told %+v, want 3 units", got)
		}
		var seen over
		ann.must(http.StatusOK, http.MethodGet, "/products/"+product+"/availability", nil).into(t, &seen)
		if *seen.OverHeld != 3 || seen.Held != 5 || seen.Free != 0 || seen.OnHand != 2 {
			t.Errorf("availability is %+v", seen)
		}
		if ann.must(http.StatusOK, http.MethodGet, "/products/"+product, nil).into(t, &seen); *seen.OverHeld != 3 || seen.Available != 0 {
			t.Errorf("the product is %+v", seen)
		}
		if ann.must(http.StatusOK, http.MethodGet, "/cart", nil).into(t, &seen); seen.Items[0].Held {
			t.Error("three of two units are shown as held")
		}
		buy := map[string]any{"payment_method": "pm_ok", "strategy": strategy}
		refused := func(c customer, left int64, body map[string]any) {
			t.Helper()
			var got over
			c.must(http.StatusConflict, http.MethodPost, "/orders", body, "Idempotency-Key", "late").into(t, &got)
			if len(got.Errors) != 1 || got.Errors[0].ProductID != product || got.Errors[0].Available != left {
				t.Errorf("refused with %+v, want %d left", got, left)
			}
		}
		refused(ann, 2, buy)
		now := buyNow(product, 1, "pm_ok")
		now["strategy"] = strategy
		refused(eve, 0, now)
		if o := bob.buy("first", buy); o.Status != "COMPLETED" {
			t.Errorf("who checks out first: %+v", o)
		}
		refused(ann, 0, buy)
		if ann.must(http.StatusOK, http.MethodGet, "/cart", nil).into(t, &seen); len(seen.Items) != 1 {
			t.Error("the cart was taken")
		}
		s.adjust(product, 3)
		if o := ann.buy("late", buy); o.Status != "COMPLETED" {
			t.Errorf("once there are enough: %+v", o)
		}
	})
}

// Many check out at once, with carts and without, while units are taken away: as many are sold as there are, and an order that was asked
// for after the operator had his answer is not told later that there is nothing for it.
func TestManyCheckoutsWhileUnitsAreTakenAway(t *testing.T) {
	t.Parallel()
	const buyers, left = 16, 6
	eachStrategy(t, func(t *testing.T, s *shop, strategy string) {
		product := s.product("RACE-"+strategy, 250, buyers)
		for i := range buyers {
			s.customer(fmt.Sprint("buyer", i)).must(http.StatusOK, http.MethodPut, "/cart/items/"+product, `{"quantity":1}`)
		}
		var all sync.WaitGroup
		answered := make(chan struct{})
		answers := make([]answer, buyers)
		for i := range buyers {
			all.Go(func() {
				if i >= left/2 {
					<-answered
				}
				var err error
				answers[i], err = s.customer(fmt.Sprint("buyer", i)).send(http.MethodPost, "/orders", map[string]any{"payment_method": "pm_ok", "strategy": strategy}, "Idempotency-Key", "k")
				if err != nil {
					t.Error(err)
				}
			})
		}
		s.adjust(product, left-buyers)
		close(answered)
		all.Wait()
		sold := 0
		for i, got := range answers {
			if got.status == http.StatusConflict {
				continue
			}
			var o order
			got.into(t, &o)
			if o = s.customer(fmt.Sprint("buyer", i)).end(o.ID); o.Status == "COMPLETED" {
				sold++
			} else {
				t.Errorf("buyer %d was let through, and then %+v", i, o)
			}
		}
		if sold != left {
			t.Errorf("%d were sold of %d", sold, left)
		}
	})
}

// What a restock's answer says is so for whoever asks next, while orders are under way: of n more units n can be held at once by others, and
// of units that were taken away none.
func TestDrillARestockIsTrueWhenItIsAnswered(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"optimistic", "sequenced"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			s := open(t, strategy(way))
			product := s.product("RESTOCK", 250, 1)
			wrong, puts := 0, 0
			for round := range testkit.Size(3, 125) {
				under := s.customer(fmt.Sprint("under way", round))
				under.must(http.StatusAccepted, http.MethodPost, "/orders", buyNow(product, 1, "pm_ok"), "Idempotency-Key", "k")
				for _, quantity := range []int64{5, -4} { // one of the five for the next round's order
					if got := s.adjust(product, quantity); *got.OverHeld != 0 {
						t.Errorf("round %d: %d units are said to be too many", round, *got.OverHeld)
					}
					if quantity > 0 {
						s.customer("next").must(http.StatusOK, http.MethodPut, "/cart/items/"+product, `{"quantity":1}`)
					}
					bad := s.putAtOnce(product, 4, quantity > 0)
					wrong, puts = wrong+bad, puts+4
				}
				s.customer("next").must(http.StatusNoContent, http.MethodDelete, "/cart", nil)
			}
			if t.Logf("%d of %d PUTs right after a restock were answered wrongly", wrong, puts); wrong > 0 {
				t.Fail()
			}
		})
	}
}

// putAtOnce has so many customers put a unit into their carts at the same time, take it out again, and counts those who were not
// answered as they should be.
func (s *shop) putAtOnce(product string, customers int, held bool) (wrong int) {
	s.t.Helper()
	answers := make([]answer, customers)
	var all sync.WaitGroup
	for i := range customers {
		all.Go(func() {
			var err error
			answers[i], err = s.customer(fmt.Sprint("other", i)).send(http.MethodPut, "/cart/items/"+product, `{"quantity":1}`)
			if err != nil {
				s.t.Error(err)
			}
		})
	}
	all.Wait()
	for i, got := range answers {
		want := http.StatusConflict
		if held {
			want = http.StatusOK
		}
		if got.status != want {
			wrong++
			s.t.Logf("%d, want %d: %s", got.status, want, got.body)
		}
		s.customer(fmt.Sprint("other", i)).must(http.StatusNoContent, http.MethodDelete, "/cart", nil)
	}
	return wrong
}
