package cart_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-checkout/holdfast/api"
	"github.com/holdfast-checkout/holdfast/internal/cart"
	"github.com/holdfast-checkout/holdfast/internal/web"
	"github.com/holdfast-checkout/holdfast/internal/web/webtest"
)

// site is the module behind the real HTTP server. Every answer is held against the API document.
type site struct {
	*shop
	url    string
	client *http.Client
	tokens web.Tokens
}

func newSite(t *testing.T, rules cart.Rules) *site {
	t.Helper()
	s := &site{shop: newShop(t, rules), tokens: web.Tokens{Secret: []byte(strings.Repeat("secret", 8))}}
	auth, err := web.NewAuth(s.tokens.Secret, "")
	if err != nil {
		t.Fatal(err)
	}
	server, err := web.New(web.Options{Addr: "127.0.0.1:0", Auth: auth, Log: s.env.Log, Registry: prometheus.NewRegistry(), MaxBody: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	cart.NewHTTP(s.carts).Routes(server.Routes())
	if err := server.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	s.url = "http://" + server.Addr()
	s.client = &http.Client{Transport: webtest.Load(t, api.Document).Transport(t, transport)}
	return s
}

// call sends a request as a customer ("" for none) and decodes what comes back.
func (s *site) call(customer, method, path, body string) (int, map[string]any) {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), method, s.url+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if customer != "" {
		token, err := s.tokens.Issue(customer, false, time.Hour)
		if err != nil {
			s.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.Fatal(err)
	}
	var answer map[string]any
	if len(text) > 0 {
		if err := json.Unmarshal(text, &answer); err != nil {
			s.Fatalf("%s %s answered %q: %v", method, path, text, err)
		}
	}
	return resp.StatusCode, answer
}

func TestTheAPI(t *testing.T) {
	t.Parallel()
	s := newSite(t, usual)
	tea := s.product(3)
	item := "/cart/items/" + tea.String()

	status, empty := s.call("ann", "GET", "/cart", "")
	want := map[string]any{"id": nil, "version": 0.0, "expires_at": nil, "items": []any{}, "total_minor": 0.0, "currency": nil}
	if diff := cmp.Diff(want, empty); diff != "" || status != 200 {
		t.Errorf("an empty cart is %d (-want +got):\n%s", status, diff)
	}
	status, filled := s.call("ann", "PUT", item, `{"quantity": 2}`)
	shown := s.get("ann")
	want = map[string]any{
		"id": shown.ID.String(), "version": 1.0, "expires_at": shown.ExpiresAt.Format(time.RFC3339Nano), "total_minor": 500.0, "currency": "GBP",
		"items": []any{map[string]any{
			"product_id": tea.String(), "sku": shown.Items[0].SKU, "name": "Tea", "quantity": 2.0, "unit_price_minor": 250.0, "subtotal_minor": 500.0, "held": true,
		}},
	}
	if diff := cmp.Diff(want, filled); diff != "" || status != 200 {
		t.Errorf("a filled cart is %d (-want +got):\n%s", status, diff)
	}
	status, refused := s.call("bob", "PUT", item, `{"quantity": 2}`)
	if status != 409 || refused["type"] != "/problems/out-of-stock" || refused["available"] != 1.0 {
		t.Errorf("too many for what there is: %d %v, want 409 with 1 available", status, refused)
	}
	if _, bobs := s.call("bob", "GET", "/cart", ""); bobs["id"] != nil {
		t.Errorf("a refused first line has made the cart %v", bobs)
	}
	for range 2 {
		if status, _ := s.call("ann", "DELETE", item, ""); status != 204 {
			t.Errorf("DELETE of a line is %d, want 204", status)
		}
	}
	if status, _ := s.call("bob", "PUT", item, `{"quantity": 3}`); status != 200 {
		t.Errorf("units that were given back cannot be had: %d", status)
	}
	if status, _ := s.call("bob", "DELETE", "/cart", ""); status != 204 {
		t.Errorf("DELETE of the cart is %d, want 204", status)
	}
	if held := s.onShelf(tea); len(held) != 0 {
		t.Errorf("two empty carts hold %v", held)
	}
}

func TestWrongRequests(t *testing.T) {
	t.Parallel()
	rules := usual
	rules.MaxQuantity = 1000
	s := newSite(t, rules)
	tea := s.product(5000)
	item := "/cart/items/" + tea.String()
	s.call("ann", "PUT", item, `{"quantity": 1}`)
	before := s.get("ann")
	for name, c := range map[string]struct {
		customer, method, path, body string
		status                       int
		kind                         string
	}{
		"no token":                 {"", "GET", "/cart", "", 401, "unauthorized"},
		"negative":                 {"ann", "PUT", item, `{"quantity": -5}`, 422, "invalid-request"},
		"a fraction":               {"ann", "PUT", item, `{"quantity": 1.5}`, 400, "invalid-request"},
		"a string":                 {"ann", "PUT", item, `{"quantity": "5"}`, 400, "invalid-request"},
		"an exponent":              {"ann", "PUT", item, `{"quantity": 1e3}`, 400, "invalid-request"},
		"hexadecimal":              {"ann", "PUT", item, `{"quantity": 0x5}`, 400, "invalid-request"},
		"not a number":             {"ann", "PUT", item, `{"quantity": NaN}`, 400, "invalid-request"},
		"null":                     {"ann", "PUT", item, `{"quantity": null}`, 400, "invalid-request"},
		"2^31":                     {"ann", "PUT", item, `{"quantity": 2147483648}`, 422, "limit-exceeded"},
		"2^53+1":                   {"ann", "PUT", item, `{"quantity": 9007199254740993}`, 422, "limit-exceeded"},
		"2^63":                     {"ann", "PUT", item, `{"quantity": 9223372036854775808}`, 400, "invalid-request"},
		"above the limit":          {"ann", "PUT", item, `{"quantity": 1001}`, 422, "limit-exceeded"},
		"no quantity":              {"ann", "PUT", item, `{}`, 400, "invalid-request"},
		"no body":                  {"ann", "PUT", item, ``, 415, ""},
		"a price of its own":       {"ann", "PUT", item, `{"quantity": 1, "unit_price_minor": 1}`, 400, "invalid-request"},
		"another's id":             {"ann", "PUT", item, `{"quantity": 1, "customer": "bob"}`, 400, "invalid-request"},
		"twice the same field":     {"ann", "PUT", item, `{"quantity": 1, "quantity": 2}`, 400, "invalid-request"},
		"another spelling":         {"ann", "PUT", item, `{"Quantity": 2}`, 400, "invalid-request"},
		"something behind it":      {"ann", "PUT", item, `{"quantity": 2} {}`, 400, "invalid-request"},
		"a list":                   {"ann", "PUT", item, `[{"quantity": 2}]`, 400, "invalid-request"},
		"half a body":              {"ann", "PUT", item, `{"quantity": `, 400, "invalid-request"},
		"a huge body":              {"ann", "PUT", item, `{"quantity": 1` + strings.Repeat(" ", 70<<10) + `}`, 413, "too-large"},
		"no such product":          {"ann", "PUT", "/cart/items/" + uuid.NewString(), `{"quantity": 1}`, 404, "not-found"},
		"no id":                    {"ann", "PUT", "/cart/items/22423", `{"quantity": 1}`, 404, "not-found"},
		"SQL for an id":            {"ann", "PUT", "/cart/items/1%27%20OR%201=1", `{"quantity": 1}`, 404, "not-found"},
		"a query":                  {"ann", "GET", "/cart?customer=bob", "", 400, "invalid-request"},
		"no id to delete":          {"ann", "DELETE", "/cart/items/x", "", 404, "not-found"},
		"a method that is not one": {"ann", "PATCH", item, `{"quantity": 1}`, 405, ""},
	} {
		status, answer := s.call(c.customer, c.method, c.path, c.body)
		if status != c.status || (c.kind != "" && answer["type"] != "/problems/"+c.kind) {
			t.Errorf("%s: %d %v, want %d %s", name, status, answer, c.status, c.kind)
		}
	}
	if diff := cmp.Diff(before, s.get("ann")); diff != "" {
		t.Errorf("a refused request changed the cart (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(map[uuid.UUID]int64{*before.ID: 1}, s.onShelf(tea)); diff != "" {
		t.Errorf("a refused request changed the shelf (-want +got):\n%s", diff)
	}
}
