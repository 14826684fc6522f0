package compare

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/run"
)

const (
	pageSize  = 200             // products per request
	patience  = 3 * time.Minute // with one order
	pollPause = 20 * time.Millisecond
	price     = 250
)

// shop is a server as the customers of one cell reach it.
type shop struct {
	cell     cell
	http     *http.Client
	base     string // with /api/v1
	prefix   string // of the skus
	token    func(sub string, admin bool) (string, error)
	operator string
	ids      map[string]string // of products, by the rest of their sku
}

func newShop(server *Server, c cell) (*shop, error) {
	s := &shop{cell: c, base: server.URL + "/api/v1", prefix: c.name + "-", token: server.Token, ids: map[string]string{}}
	s.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: c.customers, DisableCompression: true}, Timeout: patience}
	var err error
	s.operator, err = server.Token("compare", true)
	return s, err
}

// stock makes the products.
func (s *shop) stock(ctx context.Context, units map[string]int64) error {
	for page := range slices.Chunk(slices.Sorted(maps.Keys(units)), pageSize) {
		list := make([]map[string]any, len(page))
		for i, sku := range page {
			list[i] = map[string]any{"sku": s.prefix + sku, "name": "Article " + sku, "unit_price_minor": price, "currency": "GBP", "stock": units[sku]}
		}
		body, err := json.Marshal(map[string]any{"products": list})
		if err != nil {
			return err
		}
		a, err := s.send(ctx, http.MethodPost, "/admin/products", s.operator, "", body)
		if err != nil {
			return err
		}
		var made struct{ Products []struct{ ID, SKU string } }
		if err := json.Unmarshal(a.body, &made); a.status >= 300 || err != nil || len(made.Products) != len(page) {
			return fmt.Errorf("make products: %s", a)
		}
		for _, p := range made.Products {
			s.ids[p.SKU[len(s.prefix):]] = p.ID
		}
	}
	return nil
}

// answer is what the server said.
type answer struct {
	status int
	after  string // Retry-After
	body   []byte
}

// String is for a person.
func (a answer) String() string {
	return fmt.Sprintf("%d %s", a.status, a.body[:min(len(a.body), 300)])
}

func (s *shop) send(ctx context.Context, method, path, token, key string, body []byte) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
		req.Header.Set("Prefer", "wait=30")
	}
	res, err := s.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	a := answer{status: res.StatusCode, after: res.Header.Get("Retry-After")}
	a.body, err = io.ReadAll(res.Body)
	return a, err
}

// ending is how an order ended, or that there was none because it was refused for want of stock.
type ending struct {
	ID            string
	Status        string
	FailureReason string `json:"failure_reason"`
	refused       bool
}

func (e ending) final() bool {
	return e.refused || e.Status == "COMPLETED" || e.Status == "FAILED" || e.Status == "CANCELLED"
}

func (e ending) reason() string {
	if e.FailureReason != "" {
		return e.FailureReason
	}
	return e.Status
}

// buy buys the n-th order at once, and waits for its end. The answer is held back until then; what takes longer is asked for.
func (s *shop) buy(ctx context.Context, n int, again *atomic.Int64) (ending, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	token, err := s.token(fmt.Sprintf("%s-%d", s.cell.name, n), false)
	if err != nil {
		return ending{}, err
	}
	body, err := s.body(s.cell.orders[n])
	if err != nil {
		return ending{}, err
	}
	a, err := s.place(ctx, token, uuid.NewString(), body, again)
	for {
		if err != nil {
			return ending{}, fmt.Errorf("order %d: %w", n, err)
		}
		end, err := a.ending()
		if err != nil || end.final() {
			return end, err
		}
		if err := run.Pause(ctx, pollPause); err != nil {
			return ending{}, fmt.Errorf("order %s has not ended: %w", end.ID, err)
		}
		a, err = s.send(ctx, http.MethodGet, "/orders/"+end.ID, token, "", nil)
		if err != nil {
			return ending{}, err
		}
	}
}

func (s *shop) body(o order) ([]byte, error) {
	items := make([]map[string]any, len(o.lines))
	for i, l := range o.lines {
		items[i] = map[string]any{"product_id": s.ids[l.SKU], "quantity": l.Quantity}
	}
	method := "pm_ok"
	if o.declined {
		method = "pm_declined"
	}
	return json.Marshal(map[string]any{"payment_method": method, "strategy": s.cell.strategy, "items": items})
}

// place sends a purchase until it is answered otherwise than with "try again". Customers take the wait that is asked for more or less
// exactly, or they would all come back at once.
func (s *shop) place(ctx context.Context, token, key string, body []byte, again *atomic.Int64) (answer, error) {
	for {
		a, err := s.send(ctx, http.MethodPost, "/orders", token, key, body)
		seconds, none := strconv.Atoi(a.after)
		if err != nil || a.status < 400 || none != nil {
			return a, err
		}
		again.Add(1)
		wait := time.Duration(max(seconds, 1)) * time.Second
		if err := run.Pause(ctx, wait/2+rand.N(wait)); err != nil {
			return a, err
		}
	}
}

// ending reads an order, or its refusal.
func (a answer) ending() (ending, error) {
	if a.status == http.StatusConflict && bytes.Contains(a.body, []byte("/problems/out-of-stock")) {
		return ending{refused: true}, nil
	}
	var end ending
	if err := json.Unmarshal(a.body, &end); a.status >= 300 || err != nil {
		return end, fmt.Errorf("answered %s", a)
	}
	return end, nil
}
