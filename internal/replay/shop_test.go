package replay

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
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
