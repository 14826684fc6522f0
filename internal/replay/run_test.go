package replay

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// badShop speaks just enough of the contract to break it: a replay has to notice what it does wrong and to live through
// what may go wrong. What a sound server does is tested against the real one.
type badShop struct {
	mu       sync.Mutex
	stock    map[string]int64 // by product id, which is "id-" + sku
	carts    map[string]map[string]int64
	orders   map[string]orderJSON // by id
	byKey    map[string]string    // order id by customer and key
	lines    map[string]int64     // what was sold
	requests int

	loseAnswers  int    // every so many answers are lost after the request was carried out
	unavailable  int    // every so many requests are answered 503
	forgetsKeys  bool   // a repeated request makes another order
	neverEnds    bool   // orders stay under way
	addsLine     bool   // orders have a line more than was asked for
	losesHolds   string // the first checkout of each customer is answered with this problem
	alreadyTried map[string]bool
}

func (s *badShop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	if s.unavailable > 0 && s.requests%s.unavailable == 0 {
		status(503, "")(w, r)
		return
	}
	rec := httptest.NewRecorder()
	s.route(rec, r)
	if s.loseAnswers > 0 && s.requests%s.loseAnswers == 0 {
		cut("")(w, r)
		return
	}
	status(rec.Code, rec.Body.String())(w, r)
}

func (s *badShop) route(w http.ResponseWriter, r *http.Request) {
	sub := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	path, last := strings.TrimPrefix(r.URL.Path, "/api/v1"), r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	var in struct {
		Products    []newProductJSON
		Quantity    int64
		Items       []itemJSON
		CartVersion int64 `json:"cart_version"`
	}
	_ = json.NewDecoder(r.Body).Decode(&in)
	switch {
	case path == "/admin/products":
		s.upsert(w, in.Products)
	case strings.HasSuffix(path, "/restock"):
		s.stock[strings.Split(path, "/")[3]] += in.Quantity
		answerJSON(w, 200, struct{}{})
	case strings.HasPrefix(path, "/products/"):
		answerJSON(w, 200, productJSON{ID: last, SKU: last[3:], Available: s.stock[last]})
	case path == "/cart" && r.Method == "DELETE":
		delete(s.carts, sub)
		w.WriteHeader(204)
	case strings.HasPrefix(path, "/cart"):
		s.cart(w, r.Method, sub, last, in.Quantity)
	case path == "/orders":
		s.order(w, sub, r.Header.Get("Idempotency-Key"), in.Items)
	default:
		answerJSON(w, 200, s.orders[last])
	}
}

func (s *badShop) upsert(w http.ResponseWriter, products []newProductJSON) {
	made := []productJSON{}
	for _, p := range products {
		if _, known := s.stock["id-"+p.SKU]; !known {
			s.stock["id-"+p.SKU] = p.Stock
		}
		made = append(made, productJSON{"id-" + p.SKU, p.SKU, s.stock["id-"+p.SKU]})
	}
	answerJSON(w, 200, map[string]any{"products": made})
}

// cart takes a line when the shop has that many units; it holds none.
func (s *badShop) cart(w http.ResponseWriter, method, sub, product string, quantity int64) {
	if s.carts[sub] == nil {
		s.carts[sub] = map[string]int64{}
	}
	if method == "PUT" {
		if s.stock[product] < quantity {
			answerJSON(w, 409, map[string]any{"type": "/problems/out-of-stock", "available": s.stock[product]})
			return
		}
		s.carts[sub][product] = quantity
		if quantity == 0 {
			delete(s.carts[sub], product)
		}
	}
	cart := cartJSON{Version: 7}
	for p, n := range s.carts[sub] {
		cart.Items = append(cart.Items, cartItemJSON{p, n, true})
	}
	answerJSON(w, 200, cart)
}

func (s *badShop) order(w http.ResponseWriter, sub, key string, items []itemJSON) {
	if id := s.byKey[sub+" "+key]; id != "" && !s.forgetsKeys {
		answerJSON(w, 201, s.orders[id])
		return
	}
	if s.losesHolds != "" && !s.alreadyTried[sub] {
		s.alreadyTried[sub] = true
		answerJSON(w, 409, map[string]any{"type": "/problems/" + s.losesHolds})
		return
	}
	if items == nil {
		for p, n := range s.carts[sub] {
			items = append(items, itemJSON{p, n})
		}
	}
	var gone []map[string]any
	for _, i := range items {
		if s.stock[i.ProductID] < i.Quantity {
			gone = append(gone, map[string]any{"product_id": i.ProductID, "detail": "gone"})
		}
	}
	if gone != nil || len(items) == 0 {
		answerJSON(w, 409, map[string]any{"type": "/problems/out-of-stock", "errors": gone})
		return
	}
	o := s.made(items)
	s.orders[o.ID], s.byKey[sub+" "+key] = o, o.ID
	delete(s.carts, sub)
	answerJSON(w, 202, o)
}

func (s *badShop) made(items []itemJSON) orderJSON {
	now := time.Now()
	ended := now.Add(5 * time.Millisecond)
	o := orderJSON{ID: fmt.Sprint("order-", len(s.orders)), Status: "COMPLETED", CreatedAt: now, EndedAt: &ended}
	for _, i := range items {
		s.stock[i.ProductID] -= i.Quantity
		s.lines[i.ProductID] += i.Quantity
		o.Lines = append(o.Lines, orderLineJSON{i.ProductID, i.Quantity, 100})
		o.TotalMinor += 100 * i.Quantity
	}
	if s.neverEnds {
		o.Status, o.EndedAt = "PROCESSING", nil
	}
	if s.addsLine {
		o.Lines = append(o.Lines, orderLineJSON{"id-gift", 1, 0})
	}
	return o
}

func answerJSON(w http.ResponseWriter, code int, v any) {
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

// played runs the few orders against a bad shop.
func played(t *testing.T, s *badShop, change func(*Options)) (Report, error) {
	t.Helper()
	s.stock, s.lines, s.alreadyTried = map[string]int64{}, map[string]int64{}, map[string]bool{}
	s.carts, s.orders, s.byKey = map[string]map[string]int64{}, map[string]orderJSON{}, map[string]string{}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	o := few(t)
	o.BaseURL, o.Tokens = server.URL, func(sub string, _ bool) (string, error) { return sub, nil }
	o.StockFactor, o.Abandon, o.BuyNow, o.Decline, o.Repeat, o.Concurrency = 1, 0, 0.5, 0, 0.5, 4
	o.EndWait = 300 * time.Millisecond
	if change != nil {
		change(&o)
	}
	return Run(t.Context(), o, io.Discard)
}

// wantSold is all that the few orders ask for.
var wantSold = map[string]int64{"id-a": 6, "id-b": 5, "id-new": 14}

func TestRunLivesThroughLostAnswers(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*badShop{
		"sound": {}, "lost answers": {loseAnswers: 3}, "unavailable": {unavailable: 2}, "both": {loseAnswers: 3, unavailable: 4},
		"holds lost": {losesHolds: "hold-lost"}, "holds expired": {losesHolds: "hold-expired"}, "prices changed": {losesHolds: "price-changed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := played(t, s, func(o *Options) { o.Repeat = 1 })
			if err != nil {
				t.Fatal(err)
			}
			if r.OrdersPlaced != 5 || r.OrdersCompleted != 5 || len(s.orders) != 5 || r.Repeated != 5 || r.RejectedAtCart+r.RejectedAtCheckout != 0 {
				t.Errorf("%d orders in the shop, report %+v", len(s.orders), r)
			}
			if diff := cmp.Diff(wantSold, s.lines); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRunDropsWhatCannotBeHad(t *testing.T) {
	t.Parallel()
	for name, buyNow := range map[string]float64{"cart": 0, "buy now": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &badShop{}
			r, err := played(t, s, func(o *Options) { o.BuyNow, o.StockFactor, o.Concurrency = buyNow, 0.5, 1 })
			if err != nil {
				t.Fatal(err)
			}
			// Stock: a 3 of 6, b 3 of 5, new 7 of 14. Invoices ask for a 5 and b 1; b 4; a 1; new 7; new 7.
			if diff := cmp.Diff(map[string]int64{"id-a": 1, "id-b": 1, "id-new": 7}, s.lines); diff != "" {
				t.Error(diff)
			}
			if r.OrdersPlaced != 3 || r.NothingLeft != 2 || r.RejectedAtCart+r.RejectedAtCheckout != 3 {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestRunTellsBrokenPromises(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		shop *badShop
		want string
		got  func(Report) int
	}{
		"another order for the same key": {&badShop{forgetsKeys: true}, "repeated requests got another answer", func(r Report) int { return r.RepeatedDifferently }},
		"orders that never end":          {&badShop{neverEnds: true}, "5 orders have not ended", func(r Report) int { return r.OrdersNotEnded }},
		"more than was asked for":        {&badShop{addsLine: true}, "5 orders are not what was asked for", func(r Report) int { return r.OrderedDifferently }},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := played(t, c.shop, func(o *Options) { o.BuyNow, o.Repeat, o.StockFactor = 1, 1, 3 })
			if err == nil || !strings.Contains(err.Error(), c.want) || c.got(r) != 5 {
				t.Errorf("got %v and %+v", err, r)
			}
		})
	}
}

func TestRunAbandonsAndTopsUp(t *testing.T) {
	t.Parallel()
	s := &badShop{}
	var options Options
	r, err := played(t, s, func(o *Options) {
		o.Abandon, o.ReportPath = 1, filepath.Join(t.TempDir(), "report.json")
		options = *o
	})
	if err != nil || r.Abandoned != 5 || r.OrdersPlaced != 0 || r.CartMS.Count != 6 {
		t.Fatalf("%v, %+v", err, r)
	}
	var written Report
	body, err := os.ReadFile(options.ReportPath)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &written); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, written); diff != "" {
		t.Error(diff)
	}
	s.stock["id-a"], s.stock["id-b"] = 2, 50
	if _, err := Run(t.Context(), options, io.Discard); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int64{"id-a": 6, "id-b": 50, "id-z": 0, "id-new": 14}, s.stock); diff != "" {
		t.Error(diff)
	}
}

func TestRunRefusesWrongOptions(t *testing.T) {
	t.Parallel()
	o := Defaults()
	o.BaseURL, o.Products, o.Orders, o.Tokens = "http://localhost", "p", "o", func(string, bool) (string, error) { return "", nil }
	if err := o.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Options){
		"url": func(o *Options) { o.BaseURL = "" }, "key": func(o *Options) { o.Tokens = nil }, "concurrency": func(o *Options) { o.Concurrency = 0 },
		"share": func(o *Options) { o.Repeat = 1.1 }, "not a number": func(o *Options) { o.Decline = math.NaN() }, "limit": func(o *Options) { o.Limit = -1 },
		"rate": func(o *Options) { o.Rate = -1 }, "stock factor": func(o *Options) { o.StockFactor = math.NaN() },
	} {
		wrong := o
		change(&wrong)
		if wrong.Validate() == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
