package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// refused is what a program reads of a problem.
type refused struct {
	Type      string `json:"type"`
	Limit     string `json:"limit"`
	Allowed   int64  `json:"allowed"`
	Available int64  `json:"available"`
	After     int64  `json:"retry_after_seconds"`
	Errors    []struct {
		ProductID string `json:"product_id"`
		Limit     string `json:"limit"`
		Allowed   int64  `json:"allowed"`
	} `json:"errors"`
}

func units(n int64) map[string]any { return map[string]any{"quantity": n} }

// limited wants a request to be refused by a limit.
func (c customer) limited(limit string, allowed int64, method, path string, body any, headers ...string) refused {
	c.shop.t.Helper()
	var p refused
	c.must(http.StatusUnprocessableEntity, method, path, body, headers...).into(c.shop.t, &p)
	if p.Type != "/problems/limit-exceeded" || p.Limit != limit || p.Allowed != allowed {
		c.shop.t.Fatalf("%s %s: %+v, want limit %s of %d", method, path, p, limit, allowed)
	}
	return p
}

func TestLimitsOverHTTP(t *testing.T) {
	t.Parallel()
	s := open(t, func(c *config.Config) {
		c.MaxLines, c.MaxQuantity, c.MaxCartUnits, c.MaxCustomerUnits, c.MaxHeldShare = 2, 9, 12, 5, 0.8
	})
	tea, cup, pot := s.product("tea", 100, 100), s.product("cup", 100, 10), s.product("pot", 100, 100)
	ann, bob := s.customer("ann"), s.customer("bob")
	ann.limited("max-quantity", 9, http.MethodPut, "/cart/items/"+tea, units(10))
	ann.must(http.StatusOK, http.MethodPut, "/cart/items/"+tea, units(3))
	p := ann.limited("max-customer-units", 5, http.MethodPost, "/orders", buyNow(tea, 3, "pm_ok"), "Idempotency-Key", "three")
	if len(p.Errors) != 1 || p.Errors[0].ProductID != tea || p.Errors[0].Limit != "max-customer-units" || p.Errors[0].Allowed != 5 {
		t.Errorf("the line is not named: %+v", p)
	}
	if o := ann.buy("two", buyNow(tea, 2, "pm_ok")); o.Status != "COMPLETED" {
		t.Fatalf("the order is %s", o.Status)
	}
	testkit.Eventually(t, 3*time.Minute, func() error { // what was bought does not count, once the shelf has heard of it
		if a, err := ann.ask(http.MethodPut, "/cart/items/"+tea, units(5)); err != nil || a.status != http.StatusOK {
			return fmt.Errorf("%d: %w", a.status, err)
		}
		return nil
	})
	if p := ann.limited("max-customer-units", 5, http.MethodPut, "/cart/items/"+tea, units(6)); p.Available != 5 {
		t.Errorf("%d could be had, want 5", p.Available)
	}
	ann.must(http.StatusOK, http.MethodPut, "/cart/items/"+cup, units(5))
	ann.limited("max-lines", 2, http.MethodPut, "/cart/items/"+pot, units(1))
	bob.limited("max-held-share", 8, http.MethodPut, "/cart/items/"+cup, units(4))
	bob.must(http.StatusOK, http.MethodPut, "/cart/items/"+cup, units(3))
	if o := bob.buy("at once", buyNow(cup, 2, "pm_ok")); o.Status != "COMPLETED" {
		t.Fatalf("the order is %s", o.Status)
	}
	both := map[string]any{"payment_method": "pm_ok", "items": []map[string]any{{"product_id": tea, "quantity": 7}, {"product_id": pot, "quantity": 6}}}
	bob.limited("max-cart-units", 12, http.MethodPost, "/orders", both, "Idempotency-Key", "many")
	var a struct {
		OnHand, Allocated, Held, Free int64
		Mine                          int64 `json:"my_hold"`
	}
	bob.must(http.StatusOK, http.MethodGet, "/products/"+cup+"/availability", nil).into(t, &a)
	if a.Held != 8 || a.Mine != 3 || a.Free != 0 {
		t.Errorf("availability is %+v", a)
	}
	s.clean()
}

// Carts, keys and bodies far beyond any limit are refused before they cost anything.
func cartBombs(t *testing.T, s *shop) {
	ann := s.customer("ann")
	items := func(n int) map[string]any {
		list := make([]map[string]any, n)
		for i := range list {
			list[i] = map[string]any{"product_id": uuid.NewString(), "quantity": 1}
		}
		return map[string]any{"payment_method": "pm_ok", "items": list}
	}
	ann.must(http.StatusRequestEntityTooLarge, http.MethodPost, "/orders", items(100_000), "Idempotency-Key", "bomb")
	ann.limited("max-lines", 2000, http.MethodPost, "/orders", items(2001), "Idempotency-Key", "many")
	long := buyNow(uuid.NewString(), 1, strings.Repeat("x", 100_000))
	if a, err := ann.ask(http.MethodPost, "/orders", long, "Idempotency-Key", "long"); err != nil || a.status != 400 && a.status != 422 {
		t.Errorf("a payment method of 100,000 letters: %d, %v", a.status, err)
	}
	ann.must(http.StatusBadRequest, http.MethodPost, "/orders", items(1), "Idempotency-Key", strings.Repeat("k", 256))
	for _, quantity := range []string{`-5`, `1.5`, `"5"`, `1e3`, `0x5`, `NaN`, `9007199254740993`, `9223372036854775808`} {
		a, err := ann.ask(http.MethodPut, "/cart/items/"+uuid.NewString(), `{"quantity":`+quantity+`}`)
		if err != nil || a.status != 400 && a.status != 422 && a.status != 404 {
			t.Errorf("a quantity of %s: %d, %v", quantity, a.status, err)
		}
	}
}
