package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/holdfast-checkout/holdfast/internal/config"
)

// problem is what the tests look at of a refusal.
type problem struct {
	Type   string `json:"type"`
	Status int    `json:"status"`
	Errors []struct {
		Field     string `json:"field"`
		ProductID string `json:"product_id"`
		Available *int64 `json:"available"`
	} `json:"errors"`
	Available *int64 `json:"available"`
}

// refused wants a problem of that kind and status.
func (c customer) refused(status int, kind, method, path string, body any, headers ...string) problem {
	c.shop.t.Helper()
	var p problem
	a := c.must(status, method, path, body, headers...)
	a.into(c.shop.t, &p)
	if p.Type != "/problems/"+kind || p.Status != status || a.header.Get("Content-Type") != "application/problem+json" {
		c.shop.t.Errorf("%s %s: %s %+v, want %s", method, path, a.header.Get("Content-Type"), p, kind)
	}
	return p
}

// Attacks that need nothing of their own share an instance. What they leave adds up.
func TestAttacks(t *testing.T) {
	t.Parallel()
	s := open(t)
	for i, attack := range []struct {
		name string
		try  func(*testing.T, *shop)
	}{
		{"quantities", quantities},
		{"lines of one product", linesOfOneProduct},
		{"bodies that say too much", bodiesThatSayTooMuch},
		{"mixed currencies", mixedCurrencies},
		{"what is anothers", whatIsAnothers},
		{"idempotency keys", idempotencyKeys},
		{"a cart is bought once", aCartIsBoughtOnce},
		{"foreign tokens", foreignTokens},
		{"totals that are too large", totalsThatAreTooLarge},
		{"cart bombs", cartBombs},
		{"two keys for one cart version", twoKeysForOneCartVersion},
	} {
		t.Run(attack.name, func(t *testing.T) { attack.try(t, s.of(t, i)) })
	}
	s.clean()
}

// Quantities that are none, or none that can be had, are refused wherever one can be said.
func quantities(t *testing.T, s *shop) {
	mug := s.product("MUG", 1275, 100)
	alice := s.customer("alice")
	try := func(status int, kind string, quantities ...string) {
		for _, quantity := range quantities {
			alice.refused(status, kind, http.MethodPut, "/cart/items/"+mug, `{"quantity":`+quantity+`}`)
			body := fmt.Sprintf(`{"payment_method":"pm_ok","items":[{"product_id":"%s","quantity":%s}]}`, mug, quantity)
			alice.refused(status, kind, http.MethodPost, "/orders", body, "Idempotency-Key", "k")
		}
	}
	try(400, "invalid-request", "1.5", `"5"`, "1e3", "0x5", "NaN", "null", "true", "[1]", "01", "", "9223372036854775808", "99999999999999999999999")
	try(422, "invalid-request", "-5")
	try(422, "limit-exceeded", "1000001", "2147483648", "9007199254740993", "9223372036854775807")
	alice.refused(422, "invalid-request", http.MethodPost, "/orders", buyNow(mug, 0, "pm_ok"), "Idempotency-Key", "k")
	twice := fmt.Sprintf(`{"payment_method":"pm_ok","items":[{"product_id":"%[1]s","quantity":600000},{"product_id":"%[1]s","quantity":600000}]}`, mug)
	alice.refused(422, "limit-exceeded", http.MethodPost, "/orders", twice, "Idempotency-Key", "k")
	for _, quantity := range []string{"-101", "0", "1.5", `"5"`, "9223372036854775808"} {
		a, err := s.operator().ask(http.MethodPost, "/admin/products/"+mug+"/restock", `{"quantity":`+quantity+`,"reason":"try"}`)
		if err != nil || a.status < 400 || a.status >= 500 {
			t.Errorf("restock by %s: %d %s, %v", quantity, a.status, a.body, err)
		}
	}
}

// Two lines of one product are one line; the units that are there are said of those that are not.
func linesOfOneProduct(t *testing.T, s *shop) {
	mug := s.product("MUG", 1275, 5)
	alice := s.customer("alice")
	lines := func(a, b int) string {
		return fmt.Sprintf(`{"payment_method":"pm_ok","items":[{"product_id":"%[1]s","quantity":%[2]d},{"product_id":"%[1]s","quantity":%[3]d}]}`, mug, a, b)
	}
	p := alice.refused(409, "out-of-stock", http.MethodPost, "/orders", lines(3, 3), "Idempotency-Key", "k")
	if len(p.Errors) != 1 || p.Errors[0].Available == nil || *p.Errors[0].Available != 5 || p.Errors[0].ProductID != mug {
		t.Errorf("%+v", p)
	}
	var o order
	alice.must(http.StatusCreated, http.MethodPost, "/orders", lines(3, 2), "Idempotency-Key", "k", "Prefer", "wait=30").into(t, &o)
	if len(o.Lines) != 1 || o.Lines[0].Quantity != 5 || o.Status != "COMPLETED" {
		t.Errorf("%+v", o)
	}
	p = alice.refused(409, "out-of-stock", http.MethodPut, "/cart/items/"+mug, `{"quantity":1}`)
	if p.Available == nil || *p.Available != 0 {
		t.Errorf("%+v", p)
	}
}

// What a client must not say is not listened to but refused.
func bodiesThatSayTooMuch(t *testing.T, s *shop) {
	mug := s.product("MUG", 1275, 100)
	alice := s.customer("alice")
	item := fmt.Sprintf(`"items":[{"product_id":"%s","quantity":1}]`, mug)
	for name, body := range map[string]string{
		"a price":          fmt.Sprintf(`{"payment_method":"pm_ok","items":[{"product_id":"%s","quantity":1,"unit_price_minor":1}]}`, mug),
		"a total":          `{"payment_method":"pm_ok","total_minor":1,` + item + `}`,
		"a status":         `{"payment_method":"pm_ok","status":"COMPLETED",` + item + `}`,
		"a customer":       `{"payment_method":"pm_ok","customer":"bob",` + item + `}`,
		"a field twice":    `{"payment_method":"pm_ok","payment_method":"pm_declined",` + item + `}`,
		"another case":     `{"Payment_Method":"pm_ok",` + item + `}`,
		"something behind": `{"payment_method":"pm_ok",` + item + `} {}`,
		"no object":        `[]`,
		"nothing":          ``,
		"no payment":       `{` + item + `}`,
	} {
		a := alice.must(400, http.MethodPost, "/orders", body, "Idempotency-Key", "k")
		if a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	alice.refused(422, "invalid-request", http.MethodPost, "/orders", `{"payment_method":"pm_ok","strategy":"magic",`+item+`}`, "Idempotency-Key", "k")
	alice.refused(422, "invalid-request", http.MethodPost, "/orders", buyNow("01930000-0000-7000-8000-000000000001", 1, "pm_ok"), "Idempotency-Key", "k")
	alice.refused(422, "cart-empty", http.MethodPost, "/orders", `{"payment_method":"pm_ok"}`, "Idempotency-Key", "k")
	alice.refused(422, "cart-empty", http.MethodPost, "/orders", `{"payment_method":"pm_ok","items":[]}`, "Idempotency-Key", "k")
	alice.refused(400, "invalid-request", http.MethodPut, "/cart/items/"+mug, `{"quantity":1,"held":true}`)
	alice.refused(404, "not-found", http.MethodPut, "/cart/items/01930000-0000-7000-8000-000000000001", `{"quantity":1}`)
	a := alice.must(415, http.MethodPost, "/orders", `payment_method=pm_ok`, "Idempotency-Key", "k", "Content-Type", "application/x-www-form-urlencoded")
	if a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s", a.body)
	}
	s.customer("alice").must(405, http.MethodPatch, "/cart", nil)
}

// Two currencies are in no cart and in no order.
func mixedCurrencies(t *testing.T, s *shop) {
	mug := s.product("MUG", 1275, 100)
	s.operator().must(200, http.MethodPost, "/admin/products", `{"products":[{"sku":"YEN","name":"Fan","description":"","unit_price_minor":900,"currency":"JPY","stock":9}]}`)
	var list struct {
		Items []struct {
			ID string `json:"id"`
		} `json:"items"`
	}
	alice := s.customer("alice")
	alice.must(200, http.MethodGet, "/products?sku=YEN", nil).into(t, &list)
	fan := list.Items[0].ID
	both := fmt.Sprintf(`{"payment_method":"pm_ok","items":[{"product_id":"%s","quantity":1},{"product_id":"%s","quantity":1}]}`, mug, fan)
	alice.refused(422, "invalid-request", http.MethodPost, "/orders", both, "Idempotency-Key", "k")
	alice.must(200, http.MethodPut, "/cart/items/"+mug, `{"quantity":1}`)
	alice.refused(422, "invalid-request", http.MethodPut, "/cart/items/"+fan, `{"quantity":1}`)
}

// What is another's is not there.
func whatIsAnothers(t *testing.T, s *shop) {
	mug := s.product("MUG", 1275, 100)
	alice, bob := s.customer("alice"), s.customer("bob")
	o := alice.buy("k", buyNow(mug, 1, "pm_ok"))
	bob.refused(404, "not-found", http.MethodGet, "/orders/"+o.ID, nil)
	bob.refused(404, "not-found", http.MethodGet, "/orders/01930000-0000-7000-8000-000000000001", nil)
	bob.refused(404, "not-found", http.MethodGet, "/orders/1%2F2", nil)
	alice.must(200, http.MethodPut, "/cart/items/"+mug, `{"quantity":3}`)
	if a := bob.must(200, http.MethodGet, "/cart", nil); strings.Contains(string(a.body), mug) {
		t.Errorf("bob sees %s", a.body)
	}
	if a := bob.must(200, http.MethodGet, "/orders", nil); strings.Contains(string(a.body), o.ID) {
		t.Errorf("bob sees %s", a.body)
	}
	for _, path := range []string{"/admin/status", "/admin/reconciliations", "/admin/dead-letters", "/admin/products/" + mug + "/movements"} {
		alice.refused(403, "forbidden", http.MethodGet, path, nil)
		customer{s, "none"}.refused(401, "unauthorized", http.MethodGet, path, nil)
	}
}

// A key is a key: there, printable, for one request, its customer's own, and one order however many send it at once.
func idempotencyKeys(t *testing.T, s *shop) {
	mug := s.product("MUG", 1275, 1000)
	alice, bob := s.customer("alice"), s.customer("bob")
	alice.refused(400, "idempotency-key-missing", http.MethodPost, "/orders", buyNow(mug, 1, "pm_ok"))
	for _, key := range []string{strings.Repeat("k", 256), "schlüssel", "a\tb"} {
		alice.refused(400, "invalid-request", http.MethodPost, "/orders", buyNow(mug, 1, "pm_ok"), "Idempotency-Key", key)
	}
	const twins = 100
	ids := make([]string, twins)
	var wg sync.WaitGroup
	for i := range twins {
		wg.Go(func() { ids[i] = sendTwin(t, alice, buyNow(mug, 1, "pm_ok")) })
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("two orders under one key: %s and %s", ids[0], id)
		}
	}
	a := alice.must(http.StatusCreated, http.MethodPost, "/orders", buyNow(mug, 1, "pm_ok"), "Idempotency-Key", "twin", "Prefer", "wait=30")
	if a.header.Get("Idempotent-Replayed") != "true" || !strings.HasSuffix(a.header.Get("Location"), "/orders/"+ids[0]) {
		t.Errorf("%v %s", a.header, a.body)
	}
	spelt := fmt.Sprintf("{ \"items\" : [ {\"quantity\":1, \"product_id\":%q} ] ,\"payment_method\":\"pm_ok\"}\n", strings.ToUpper(mug))
	alice.must(http.StatusCreated, http.MethodPost, "/orders", spelt, "Idempotency-Key", "twin")
	alice.refused(422, "idempotency-key-reused", http.MethodPost, "/orders", buyNow(mug, 2, "pm_ok"), "Idempotency-Key", "twin")
	if o := bob.buy("twin", buyNow(mug, 2, "pm_ok")); o.ID == ids[0] {
		t.Error("bob got alice's order")
	}
}

// sendTwin sends a purchase under the key that all twins have, until it is answered with an order.
func sendTwin(t *testing.T, c customer, body any) string {
	t.Helper()
	for {
		a, err := c.send(http.MethodPost, "/orders", body, "Idempotency-Key", "twin")
		if err != nil {
			t.Error(err)
			return ""
		}
		if a.status == http.StatusConflict {
			if a.header.Get("Retry-After") != "1" || !strings.Contains(string(a.body), "idempotency-key-in-use") {
				t.Errorf("%v %s", a.header, a.body)
			}
			continue
		}
		if a.status == http.StatusServiceUnavailable {
			continue
		}
		var o order
		a.into(t, &o)
		return o.ID
	}
}

// A cart is bought once, whatever keys its buyers have, and only as it was when they saw it.
func aCartIsBoughtOnce(t *testing.T, s *shop) {
	mug := s.product("MUG", 1275, 1000)
	alice := s.customer("alice")
	alice.must(200, http.MethodPut, "/cart/items/"+mug, `{"quantity":2}`)
	alice.refused(409, "cart-changed", http.MethodPost, "/orders", `{"payment_method":"pm_ok","cart_version":99}`, "Idempotency-Key", "k")
	statuses := make([]answer, 12)
	var wg sync.WaitGroup
	for i := range statuses {
		wg.Go(func() {
			var err error
			if statuses[i], err = alice.ask(http.MethodPost, "/orders", `{"payment_method":"pm_ok"}`, "Idempotency-Key", fmt.Sprint(i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	bought := 0
	for _, a := range statuses {
		switch {
		case a.status == 201 || a.status == 202:
			bought++
		case a.status != 409 || !strings.Contains(string(a.body), "cart-changed"):
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if bought != 1 {
		t.Fatalf("the cart was bought %d times", bought)
	}
}

// Carts and bodies have an end.
func TestTooMuch(t *testing.T) {
	t.Parallel()
	s := open(t, func(c *config.Config) { c.MaxLines = 2 })
	alice := s.customer("alice")
	var items []string
	for i := range 3 {
		id := s.product(fmt.Sprint("SKU", i), 100, 10)
		items = append(items, fmt.Sprintf(`{"product_id":"%s","quantity":1}`, id))
		if i < 2 {
			alice.must(200, http.MethodPut, "/cart/items/"+id, `{"quantity":1}`)
		} else {
			alice.refused(422, "limit-exceeded", http.MethodPut, "/cart/items/"+id, `{"quantity":1}`)
		}
	}
	body := `{"payment_method":"pm_ok","items":[` + strings.Join(items, ",") + `]}`
	alice.refused(422, "limit-exceeded", http.MethodPost, "/orders", body, "Idempotency-Key", "k")
	alice.refused(413, "too-large", http.MethodPost, "/orders", `{"payment_method":"`+strings.Repeat("x", 1<<20)+`"}`, "Idempotency-Key", "k")
	alice.refused(422, "invalid-request", http.MethodPost, "/orders", `{"payment_method":"`+strings.Repeat("x", 200)+`"}`, "Idempotency-Key", "k")
	alice.refused(400, "invalid-request", http.MethodPost, "/orders", strings.Repeat("[", 100_000), "Idempotency-Key", "k")
	alice.refused(400, "invalid-request", http.MethodGet, "/orders?limit=-1", nil)
	alice.refused(400, "invalid-request", http.MethodGet, "/orders?cursor=nonsense", nil)
	alice.refused(400, "invalid-request", http.MethodGet, "/orders?limit=1&limit=2", nil)
}

// Tokens that are not ours open nothing.
func foreignTokens(t *testing.T, s *shop) {
	sign := func(method jwt.SigningMethod, key any, change func(jwt.MapClaims)) string {
		claims := jwt.MapClaims{"sub": "alice", "iss": "holdfast", "aud": "holdfast", "exp": time.Now().Add(time.Hour).Unix()}
		change(claims)
		token, err := jwt.NewWithClaims(method, claims).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	set := func(claim string, value any) func(jwt.MapClaims) { return func(c jwt.MapClaims) { c[claim] = value } }
	without := func(claim string) func(jwt.MapClaims) { return func(c jwt.MapClaims) { delete(c, claim) } }
	as := func(claim string, value any) string {
		return sign(jwt.SigningMethodHS256, []byte(secret), set(claim, value))
	}
	same := func(jwt.MapClaims) {}
	customer{s, sign(jwt.SigningMethodHS256, []byte(secret), same)}.must(200, http.MethodGet, "/cart", nil)
	for name, token := range map[string]string{
		"none": sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, same), "another key": sign(jwt.SigningMethodHS256, []byte("another"), same),
		"another method": sign(jwt.SigningMethodHS512, []byte(secret), same), "expired": as("exp", time.Now().Add(-time.Hour).Unix()),
		"of the future": as("nbf", time.Now().Add(time.Hour).Unix()), "another issuer": as("iss", "mallory"), "another audience": as("aud", "shop"),
		"no end": sign(jwt.SigningMethodHS256, []byte(secret), without("exp")), "nobody": sign(jwt.SigningMethodHS256, []byte(secret), without("sub")),
		"a long name": as("sub", strings.Repeat("x", 129)), "garbage": "a.b.c", "dots": strings.Repeat(".", 10_000),
	} {
		t.Run(name, func(t *testing.T) { customer{s, token}.refused(401, "unauthorized", http.MethodGet, "/cart", nil) })
	}
}
