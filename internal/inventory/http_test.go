package inventory_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

// site is the module's part of the API on a real server.
type site struct {
	*shop
	url, token string
	client     *http.Client
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := newShop(t)
	secret := []byte("a secret of these tests that is long enough")
	auth, err := web.NewAuth(secret, "")
	if err != nil {
		t.Fatal(err)
	}
	server, err := web.New(web.Options{Addr: "127.0.0.1:0", Auth: auth, Log: s.env.Log, Registry: prometheus.NewRegistry(), Document: []byte(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	s.books.Register(server.Routes())
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
	token, err := web.Tokens{Secret: secret}.Issue("operator", true, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return &site{shop: s, url: "http://" + server.Addr() + "/api/v1", token: token, client: &http.Client{Transport: transport, Timeout: 30 * time.Second}}
}

type reply struct {
	status int
	etag   string
	body   map[string]any
}

// ask sends a request; headers are pairs.
func (s *site) ask(method, path, body string, headers ...string) reply {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if strings.HasPrefix(path, "/admin") {
		r.Header.Set("Authorization", "Bearer "+s.token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	got := reply{status: answer.StatusCode, etag: answer.Header.Get("ETag")}
	if err := json.Unmarshal(bytes.TrimSpace(content), &got.body); err != nil {
		s.t.Fatalf("%s %s answered %q: %v", method, path, content, err)
	}
	return got
}

func (s *site) want(status int, r reply) reply {
	s.t.Helper()
	if r.status != status {
		s.t.Fatalf("answered %d %v, want %d", r.status, r.body, status)
	}
	return r
}

func TestCatalogueOverHTTP(t *testing.T) {
	s := newSite(t)
	made := s.want(200, s.ask("POST", "/admin/products", `{"products":[
		{"sku":"b-2","name":"Second","unit_price_minor":1275,"currency":"GBP","stock":100},
		{"sku":"a-1","name":"First","description":"of two","unit_price_minor":0,"currency":"JPY"}]}`))
	products := made.body["products"].([]any)
	first, second := products[1].(map[string]any), products[0].(map[string]any)
	want := map[string]any{
		"id": second["id"], "sku": "b-2", "name": "Second", "description": "", "unit_price_minor": 1275.0, "currency": "GBP", "version": 1.0, "available": 100.0, "over_held": 0.0, "loading": false,
	}
	if diff := cmp.Diff(want, second); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff(want, s.want(200, s.ask("GET", "/products/"+second["id"].(string), "")).body); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff(map[string]any{"items": []any{first, second}}, s.want(200, s.ask("GET", "/products", "")).body); diff != "" {
		t.Fatal(diff)
	}
	page := s.want(200, s.ask("GET", "/products?limit=1", "")).body
	if diff := cmp.Diff([]any{first}, page["items"]); diff != "" {
		t.Fatal(diff)
	}
	page = s.want(200, s.ask("GET", "/products?limit=1&cursor="+page["next_cursor"].(string), "")).body
	if diff := cmp.Diff([]any{second}, page["items"]); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff(map[string]any{"items": []any{second}}, s.want(200, s.ask("GET", "/products?sku=b-2", "")).body); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff(map[string]any{"items": []any{}}, s.want(200, s.ask("GET", "/products?sku=none", "")).body); diff != "" {
		t.Fatal(diff)
	}

	// again, one of them changed: the stock of neither is touched
	s.hold(uuid.New(), in(time.Minute), line(uuid.MustParse(second["id"].(string)), 30))
	again := s.want(200, s.ask("POST", "/admin/products", `{"products":[
		{"sku":"a-1","name":"First","description":"of two","unit_price_minor":0,"currency":"JPY","stock":9},
		{"sku":"b-2","name":"Second of all","unit_price_minor":1275,"currency":"GBP","stock":500}]}`)).body["products"].([]any)
	second["name"], second["version"], second["available"] = "Second of all", 2.0, 70.0
	if diff := cmp.Diff([]any{first, second}, again); diff != "" {
		t.Fatal(diff)
	}
	said := s.said(uuid.Nil)
	stock, err := event.Decode[event.Stock](said[0])
	if err != nil || len(said) != 1 || said[0].Name != event.StockCreated || said[0].Strategy != event.Shop || len(stock.Lines) != 2 {
		t.Fatalf("said %v %+v, %v", names(said), stock, err)
	}
}

// What is left out of a product that is there stays as it is; a new one is not sold for nothing because its price was forgotten.
func TestUpsertKeepsWhatIsLeftOut(t *testing.T) {
	s := newSite(t)
	s.want(200, s.ask("POST", "/admin/products", `{"products":[{"sku":"a","name":"A","description":"long","unit_price_minor":250,"currency":"GBP"}]}`))
	refused := s.want(422, s.ask("POST", "/admin/products", `{"products":[
		{"sku":"b","name":"B","unit_price_minor":1,"currency":"GBP"},{"sku":"a","name":"A","currency":"GBP"},{"sku":"c","name":"C","currency":"GBP"}]}`))
	if lines := refused.body["errors"].([]any); len(lines) != 1 || lines[0].(map[string]any)["field"] != "products[2].unit_price_minor" {
		t.Errorf("refused with %v", refused.body)
	}
	if n := s.one(`SELECT count(*) FROM inventory.products`); n != 1 {
		t.Errorf("%d products", n)
	}
	for _, c := range []struct {
		body, description string
		price, version    float64
	}{
		{`{"sku":"a","name":"A","currency":"GBP"}`, "long", 250, 1},
		{`{"sku":"a","name":"A","currency":"GBP","unit_price_minor":0}`, "long", 0, 2},
		{`{"sku":"a","name":"A","currency":"GBP","description":""}`, "", 0, 3},
	} {
		got := s.want(200, s.ask("POST", "/admin/products", `{"products":[`+c.body+`]}`)).body["products"].([]any)[0].(map[string]any)
		if got["description"] != c.description || got["unit_price_minor"] != c.price || got["version"] != c.version {
			t.Errorf("%s: %v", c.body, got)
		}
	}
}

func TestChangeAProductOverHTTP(t *testing.T) {
	s := newSite(t)
	p := s.sell(5, 5)
	path := "/admin/products/" + p[0].String()
	read := s.want(200, s.ask("GET", "/products/"+p[0].String(), ""))
	body := `{"name":"New name","description":"d","unit_price_minor":9,"currency":"EUR"}`
	changed := s.want(200, s.ask("PUT", path, body, "If-Match", read.etag))
	if changed.body["name"] != "New name" || changed.body["sku"] != read.body["sku"] || changed.body["available"] != 5.0 || changed.etag != `W/"2"` {
		t.Fatalf("changed %v %s", changed.body, changed.etag)
	}
	s.want(412, s.ask("PUT", path, body, "If-Match", read.etag))
	s.want(412, s.ask("PUT", path, body, "If-Match", `"x"`))
	s.want(200, s.ask("PUT", path, body))
	s.want(200, s.ask("PUT", path, body, "If-Match", read.etag+`, "3"`))
	kept := s.want(200, s.ask("PUT", path, `{"name":"n","unit_price_minor":9,"currency":"EUR"}`)).body
	if kept["description"] != "d" {
		t.Errorf("a description that is left out became %q", kept["description"])
	}
	s.want(404, s.ask("PUT", "/admin/products/"+uuid.NewString(), body))
	other := s.want(200, s.ask("GET", "/products/"+p[1].String(), "")).body["sku"]
	s.want(409, s.ask("PUT", path, fmt.Sprintf(`{"sku":%q,"name":"n","unit_price_minor":9,"currency":"EUR"}`, other)))
	s.want(400, s.ask("PUT", path, `{"name":"n","currency":"EUR"}`))
	s.want(400, s.ask("PUT", path, `{"name":"n","unit_price_minor":9,"currency":"EUR","stock":7}`))
	s.want(422, s.ask("PUT", path, `{"name":"n","unit_price_minor":9,"currency":"EURO"}`))
}

func TestRestockOverHTTP(t *testing.T) {
	s := newSite(t)
	p := s.sell(5)
	path := "/admin/products/" + p[0].String()
	moved := s.want(200, s.ask("POST", path+"/restock", `{"quantity":7,"reason":"delivery"}`)).body
	want := map[string]any{
		"id": moved["id"], "product_id": p[0].String(), "kind": "restock", "quantity": 7.0, "balance": 12.0, "order_id": nil,
		"fact_id": moved["fact_id"], "reason": "delivery", "at": moved["at"], "visible": true, "over_held": 0.0,
	}
	if diff := cmp.Diff(want, moved); diff != "" {
		t.Fatal(diff)
	}
	refused := s.want(409, s.ask("POST", path+"/restock", `{"quantity":-13}`))
	if refused.body["available"] != 12.0 || refused.body["type"] != "/problems/conflict" {
		t.Fatalf("refused with %v", refused.body)
	}
	s.want(200, s.ask("POST", path+"/restock", `{"quantity":-12,"reason":"lost"}`))
	for body, status := range map[string]int{
		`{"quantity":0}`: 422, `{"quantity":1.5}`: 400, `{"quantity":"5"}`: 400, `{"quantity":1000000000001}`: 422, `{"quantity":-1000000000001}`: 422,
		`{"quantity":1e30}`: 400, `{}`: 400, `{"quantity":1,"price":2}`: 400, `{"quantity":null}`: 400, `{"quantity":1000000000000}`: 200,
		`{"quantity":1,"reason":"` + strings.Repeat("é", 501) + `"}`: 422,
	} {
		if got := s.ask("POST", path+"/restock", body); got.status != status {
			t.Errorf("%.60s answered %d %v, want %d", body, got.status, got.body, status)
		}
	}
	s.want(422, s.ask("POST", path+"/restock", `{"quantity":1}`)) // more than a product can have
	s.want(404, s.ask("POST", "/admin/products/"+uuid.NewString()+"/restock", `{"quantity":1}`))
	s.wantBooks(p[0], 1_000_000_000_000, 0)
	s.wantConserved()

	var kinds []any
	path += "/movements?limit=3"
	for next := path; ; {
		page := s.want(200, s.ask("GET", next, "")).body
		for _, item := range page["items"].([]any) {
			kinds = append(kinds, item.(map[string]any)["kind"])
		}
		if page["next_cursor"] == nil {
			break
		}
		next = path + "&cursor=" + page["next_cursor"].(string)
	}
	if diff := cmp.Diff([]any{"restock", "adjust", "restock", "opening"}, kinds); diff != "" {
		t.Fatal(diff)
	}
	s.want(404, s.ask("GET", "/admin/products/"+uuid.NewString()+"/movements", ""))
	s.want(404, s.ask("GET", "/admin/products/x/movements", ""))
	s.want(400, s.ask("GET", path+"&cursor=x", ""))
}

func TestUpsertRefusesWhatNoProductCanBe(t *testing.T) {
	s := newSite(t)
	product := func(change string) string {
		return `{"products":[{"sku":"s","name":"n","unit_price_minor":1,"currency":"GBP"` + change + `}]}`
	}
	for body, status := range map[string]int{
		`{"products":[]}`: 422, `{}`: 400, `{"products":null}`: 400, product(`,"price":1`): 400, product(`,"id":"x"`): 400,
		product(`,"stock":-1`): 422, product(`,"stock":1000000000001`): 422, product(`,"stock":1.5`): 400, product(`,"sku":"t"`): 400,
		`{"products":[{"sku":"s","name":"n","unit_price_minor":-1,"currency":"GBP"}]}`:                                        422,
		`{"products":[{"sku":"s","name":"n","unit_price_minor":1000000000001,"currency":"GBP"}]}`:                             422,
		`{"products":[{"sku":"s","name":"n","unit_price_minor":1,"currency":"XXX"}]}`:                                         422,
		`{"products":[{"sku":"s","name":"n","unit_price_minor":1,"currency":"gbp"}]}`:                                         422,
		`{"products":[{"sku":" s","name":"n","unit_price_minor":1,"currency":"GBP"}]}`:                                        422,
		`{"products":[{"sku":"s\u0007","name":"n","unit_price_minor":1,"currency":"GBP"}]}`:                                   422,
		`{"products":[{"sku":"s\u200b","name":"n","unit_price_minor":1,"currency":"GBP"}]}`:                                   422,
		`{"products":[{"sku":"s","name":"n\u202en","unit_price_minor":1,"currency":"GBP"}]}`:                                  422,
		`{"products":[{"sku":"cafe\u0301","name":"n","unit_price_minor":1,"currency":"GBP"}]}`:                                422,
		product(`,"description":"a\u00adb"`):                                                                                  422,
		`{"products":[{"sku":"` + strings.Repeat("s", 65) + `","name":"n","unit_price_minor":1,"currency":"GBP"}]}`:           422,
		`{"products":[{"sku":"s","name":"` + strings.Repeat("n", 301) + `","unit_price_minor":1,"currency":"GBP"}]}`:          422,
		product(`,"description":"` + strings.Repeat("d", 4001) + `"`):                                                         422,
		`{"products":[{"sku":"s","name":"n","unit_price_minor":1,"currency":"GBP"},{"sku":"s","name":"n","currency":"GBP"}]}`: 422,
		`[]`: 400, `{"products":[{"sku":"s"}]} {}`: 400,
	} {
		got := s.ask("POST", "/admin/products", body)
		if got.status != status {
			t.Errorf("%.90s answered %d %v, want %d", body, got.status, got.body, status)
		}
		if got.status == 422 && len(got.body["errors"].([]any)) == 0 {
			t.Errorf("%.90s: no field is named", body)
		}
	}
	if n := s.one(`SELECT count(*) FROM inventory.products`); n != 0 {
		t.Errorf("%d products were made", n)
	}
}

func TestCatalogueReadsWhatIsAsked(t *testing.T) {
	s := newSite(t)
	for path, status := range map[string]int{
		"/products/" + uuid.NewString(): 404, "/products/1": 404, "/products?limit=0": 400, "/products?limit=x": 400, "/products?cursor=%21": 400,
		"/products?size=3": 400, "/products?sku=a&sku=b": 400, "/products?limit=100000": 200, "/products?cursor=MQ": 400,
	} {
		if got := s.ask("GET", path, ""); got.status != status {
			t.Errorf("%s answered %d %v, want %d", path, got.status, got.body, status)
		}
	}
}

func TestManyProductsAtOnce(t *testing.T) {
	s := newShop(t)
	stock := make([]int64, 3000)
	for i := range stock {
		stock[i] = int64(i)
	}
	p := s.sell(stock...)
	s.wantBooks(p[2999], 2999, 0)
	s.wantConserved()
	if n := len(s.said(uuid.Nil)); n != 6 {
		t.Errorf("%d facts", n)
	}
	if got := s.free(p[1234]); got != 1234 {
		t.Errorf("%d units can be held", got)
	}
}
