package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// priced is what the tests look at where prices are said.
type priced struct {
	Type       string `json:"type"`
	TotalMinor int64  `json:"total_minor"`
	Currency   string `json:"currency"`
	Errors     []struct {
		ProductID string `json:"product_id"`
		Was, Now  struct {
			UnitPriceMinor int64  `json:"unit_price_minor"`
			Currency       string `json:"currency"`
		}
	} `json:"errors"`
}

func (s *shop) priced(sku string, price int64, currency string) string {
	s.t.Helper()
	s.operator().must(http.StatusOK, http.MethodPost, "/admin/products", map[string]any{"products": []map[string]any{
		{"sku": sku, "name": sku, "description": "", "unit_price_minor": price, "currency": currency, "stock": 100000},
	}})
	var list struct {
		Items []struct {
			ID string `json:"id"`
		} `json:"items"`
	}
	s.customer("x").must(http.StatusOK, http.MethodGet, "/products?sku="+sku, nil).into(s.t, &list)
	return list.Items[0].ID
}

// The price in the cart is the price that is charged. When it has changed the checkout says so, with both prices, and the next
// one buys at the new price. Currencies with no, two and three digits are all whole minor units.
func TestTheShownPriceIsCharged(t *testing.T) {
	t.Parallel()
	s := open(t)
	for currency, prices := range map[string][2]int64{"JPY": {333, 334}, "GBP": {1275, 999}, "KWD": {1001, 1000001}} {
		t.Run(currency, func(t *testing.T) {
			product := s.priced("IN-"+currency, prices[0], currency)
			alice := s.customer("alice " + currency)
			var cart priced
			if alice.must(http.StatusOK, http.MethodPut, "/cart/items/"+product, `{"quantity":7}`).into(t, &cart); cart.TotalMinor != 7*prices[0] {
				t.Fatalf("%+v", cart)
			}
			s.priced("IN-"+currency, prices[1], currency)
			body, key := map[string]any{"payment_method": "pm_ok"}, "k"
			var refused priced
			alice.must(http.StatusConflict, http.MethodPost, "/orders", body, "Idempotency-Key", key).into(t, &refused)
			if e := refused.Errors; refused.Type != "/problems/price-changed" || len(e) != 1 || e[0].ProductID != product ||
				e[0].Was.UnitPriceMinor != prices[0] || e[0].Now.UnitPriceMinor != prices[1] || e[0].Was.Currency != currency ||
				refused.TotalMinor != 7*prices[1] || refused.Currency != currency {
				t.Errorf("%+v", refused)
			}
			if o := alice.buy(key, body); o.Status != "COMPLETED" || o.TotalMinor != 7*prices[1] {
				t.Errorf("%+v", o)
			}
			alice.must(http.StatusOK, http.MethodPut, "/cart/items/"+product, `{"quantity":1}`)
			s.priced("IN-"+currency, prices[0], currency)
			if alice.must(http.StatusOK, http.MethodGet, "/cart", nil).into(t, &cart); cart.TotalMinor != prices[0] {
				t.Errorf("%+v", cart)
			}
			if o := alice.buy("shown by GET", body); o.TotalMinor != prices[0] {
				t.Errorf("%+v", o)
			}
			if o := alice.buy("at once", buyNow(product, 2, "pm_ok")); o.TotalMinor != 2*prices[0] {
				t.Errorf("%+v", o)
			}
		})
	}
	for _, currency := range []string{"gbp", "GBX", "ABC", "XXXX", "£"} {
		s.operator().refused(422, "invalid-request", http.MethodPost, "/admin/products", map[string]any{"products": []map[string]any{
			{"sku": "none", "name": "none", "description": "", "unit_price_minor": 1, "currency": currency, "stock": 1},
		}})
	}
	s.clean()
}

// What cannot be counted exactly cannot be bought.
func totalsThatAreTooLarge(t *testing.T, s *shop) {
	gold := s.priced("GOLD", 1_000_000_000_000, "GBP")
	alice := s.customer("alice")
	alice.refused(422, "limit-exceeded", http.MethodPut, "/cart/items/"+gold, `{"quantity":9008}`)
	alice.refused(422, "invalid-request", http.MethodPost, "/orders", buyNow(gold, 9008, "pm_ok"), "Idempotency-Key", "k")
	if o := alice.buy("k", buyNow(gold, 9007, "pm_ok")); o.TotalMinor != 9_007_000_000_000_000 {
		t.Errorf("%+v", o)
	}
}

// Prices change all the time while customers buy: nobody is charged another price than he was shown last.
func TestDrillPricesChangeWhileCustomersBuy(t *testing.T) {
	t.Parallel()
	s := open(t)
	mug := s.priced("MUG", 1, "GBP")
	bought := make(chan struct{})
	var shoppers, operator sync.WaitGroup
	operator.Go(func() {
		for price := int64(2); ; price = price%7 + 1 {
			select {
			case <-bought:
				return
			default:
				s.priced("MUG", price, "GBP")
			}
		}
	})
	refusals := make([]int, 8)
	for i := range refusals {
		shoppers.Go(func() {
			for round := range testkit.Size(6, 500) {
				refusals[i] += s.customer(fmt.Sprint("customer ", i)).buysAtShown(mug, fmt.Sprint(round))
			}
		})
	}
	shoppers.Wait()
	close(bought)
	operator.Wait()
	total := 0
	for _, n := range refusals {
		total += n
	}
	if total == 0 {
		t.Error("no price changed between cart and checkout")
	}
	s.clean()
}

// buysAtShown buys one unit of a product, at the second or third try if need be, and gives the times it was told of a new price.
func (c customer) buysAtShown(product, key string) (refused int) {
	t := c.shop.t
	var shown priced
	a, err := c.ask(http.MethodPut, "/cart/items/"+product, `{"quantity":1}`)
	for {
		if err == nil {
			err = json.Unmarshal(a.body, &shown)
		}
		if err != nil || shown.TotalMinor == 0 {
			t.Errorf("%d %s, %v", a.status, a.body, err)
			return refused
		}
		if a, err = c.ask(http.MethodPost, "/orders", `{"payment_method":"pm_ok"}`, "Idempotency-Key", key); err == nil && a.status == http.StatusConflict {
			refused++
			continue
		}
		var o order
		if err == nil {
			err = json.Unmarshal(a.body, &o)
		}
		if err != nil || o.TotalMinor != shown.TotalMinor {
			t.Errorf("shown %d, charged %s, %v", shown.TotalMinor, a.body, err)
		}
		return refused
	}
}
