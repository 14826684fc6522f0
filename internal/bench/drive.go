package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast-checkout/holdfast/internal/web"
)

const (
	customers = 2000            // who buy in turn
	tokenLife = 2 * time.Hour   // longer than any run
	pageSize  = 200             // products per request
	patience  = 2 * time.Minute // for one order
	pollPause = 20 * time.Millisecond
	// againAfter is the second that the server asks for when it has too much to do. Customers take it more or less exactly,
	// or they would all come back at once.
	againAfter = time.Second
)

// driver buys over HTTP.
type driver struct {
	base     string // with /api/v1
	http     *http.Client
	strategy string
	tokens   []string // by customer
	operator string
	run      string // makes Idempotency-Keys of their own
	retried  atomic.Int64
}

func newDriver(base, strategy, run string, secret []byte, concurrency int) (*driver, error) {
	d := &driver{
		base: base + "/api/v1", strategy: strategy, run: run,
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: concurrency, DisableCompression: true}, Timeout: patience},
	}
	issuer := web.Tokens{Secret: secret}
	for i := range customers {
		token, err := issuer.Issue(fmt.Sprintf("bench-%d", i), false, tokenLife)
		if err != nil {
			return nil, err
		}
		d.tokens = append(d.tokens, token)
	}
	var err error
	d.operator, err = issuer.Issue("bench", true, tokenLife)
	return d, err
}

// send gives status and body of one request.
func (d *driver) send(ctx context.Context, method, path, token, key string, body []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, d.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
		req.Header.Set("Prefer", "wait=30")
	}
	res, err := d.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	return res.StatusCode, answer, err
}

// fill makes the catalogue and learns the ids that the server gives.
func (d *driver) fill(ctx context.Context, s *shop) error {
	bySKU := make(map[string]*article, len(s.articles))
	for from := 0; from < len(s.articles); from += pageSize {
		page := s.articles[from:min(from+pageSize, len(s.articles))]
		list := make([]map[string]any, len(page))
		for i, a := range page {
			list[i] = map[string]any{"sku": a.SKU, "name": a.Name, "unit_price_minor": a.Price, "currency": "GBP", "stock": openingStock}
			bySKU[a.SKU] = &page[i]
		}
		if err := d.upsert(ctx, list, bySKU); err != nil {
			return err
		}
	}
	return nil
}

func (d *driver) upsert(ctx context.Context, list []map[string]any, bySKU map[string]*article) error {
	body, err := json.Marshal(map[string]any{"products": list})
	if err != nil {
		return err
	}
	status, answer, err := d.send(ctx, http.MethodPost, "/admin/products", d.operator, "", body)
	if err != nil {
		return err
	}
	var made struct{ Products []article }
	if err := json.Unmarshal(answer, &made); status >= 300 || err != nil || len(made.Products) != len(list) {
		return fmt.Errorf("make the catalogue: %d %s", status, answer[:min(len(answer), 300)])
	}
	for _, a := range made.Products {
		bySKU[a.SKU].ID = a.ID
	}
	return nil
}

// driven is what a run of sagas came to.
type driven struct {
	seconds float64
	took    []time.Duration // of each saga, from its POST until it was known to be final
}

// buy buys orders first to first+n-1, so many at a time, and waits for the end of each.
func (d *driver) buy(ctx context.Context, s *shop, first, n, concurrency int) (driven, error) {
	bodies := make([][]byte, n)
	for i := range bodies {
		var err error
		if bodies[i], err = d.body(s.order(first + i)); err != nil {
			return driven{}, err
		}
	}
	result := driven{took: make([]time.Duration, n)}
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for range concurrency {
		g.Go(func() error {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				began := time.Now()
				if err := d.saga(ctx, first+i, bodies[i]); err != nil {
					return fmt.Errorf("order %d: %w", first+i, err)
				}
				result.took[i] = time.Since(began)
			}
			return nil
		})
	}
	err := g.Wait()
	result.seconds = time.Since(began).Seconds()
	return result, err
}

func (d *driver) body(lines []bought) ([]byte, error) {
	items := make([]map[string]any, len(lines))
	for i, l := range lines {
		items[i] = map[string]any{"product_id": l.ID, "quantity": l.Quantity}
	}
	return json.Marshal(map[string]any{"payment_method": "pm_ok", "strategy": d.strategy, "items": items})
}

var errNotCompleted = errors.New("did not complete")

// place sends a purchase until it is answered otherwise than with "try again": an overloaded server says so, and it counts
// against it.
func (d *driver) place(ctx context.Context, token, key string, body []byte) (int, []byte, error) {
	for {
		status, answer, err := d.send(ctx, http.MethodPost, "/orders", token, key, body)
		if err != nil || !bytes.Contains(answer, []byte(`"retry_after_seconds"`)) {
			return status, answer, err
		}
		d.retried.Add(1)
		select {
		case <-ctx.Done():
			return 0, nil, ctx.Err()
		case <-time.After(againAfter/2 + rand.N(againAfter)):
		}
	}
}

// saga buys and waits for the end, which has to be COMPLETED. The answer is held back until then; what takes longer than
// that is asked for.
func (d *driver) saga(ctx context.Context, n int, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	token := d.tokens[n%customers]
	status, answer, err := d.place(ctx, token, fmt.Sprintf("bench-%s-%d", d.run, n), body)
	for {
		if err != nil {
			return err
		}
		var order struct{ ID, Status string }
		if err := json.Unmarshal(answer, &order); status > http.StatusAccepted || err != nil {
			return fmt.Errorf("answered %d %s", status, answer[:min(len(answer), 300)])
		}
		switch order.Status {
		case "COMPLETED":
			return nil
		case "FAILED", "CANCELLED":
			return fmt.Errorf("%w: %s", errNotCompleted, answer[:min(len(answer), 300)])
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollPause):
		}
		status, answer, err = d.send(ctx, http.MethodGet, "/orders/"+order.ID, token, "", nil)
	}
}
