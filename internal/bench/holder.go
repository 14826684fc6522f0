package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast-checkout/holdfast/internal/run"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

// holders is how many customers put something into their carts in turn: each comes back when all others have.
const holders = 10_000

// againAfter is the second that the server asks for when it has too much to do. Customers take it more or less exactly, or they would
// all come back at once.
const againAfter = time.Second

// holder puts products into carts over HTTP, with as little work of its own as can be: it shares the processors with what it
// measures. Each customer wants more and more of one product.
type holder struct {
	http    *fasthttp.HostClient
	base    string
	tokens  []string
	shop    *shop
	retried atomic.Int64
}

func newHolder(e *engine, s *shop) (*holder, error) {
	h := &holder{
		http: &fasthttp.HostClient{Addr: strings.TrimPrefix(e.url, "http://"), MaxConns: holdClients, ReadTimeout: patience, WriteTimeout: patience},
		base: e.url + "/api/v1/cart/items/", shop: s,
	}
	issuer := web.Tokens{Secret: e.secret}
	for i := range holders {
		token, err := issuer.Issue(fmt.Sprintf("holder-%d", i), false, tokenLife)
		if err != nil {
			return nil, err
		}
		h.tokens = append(h.tokens, "Bearer "+token)
	}
	return h, nil
}

// quantity that the n-th hold sets.
func quantity(n int) int { return 1 + n/holders }

// units that are held after the first n holds.
func (h *holder) units(n int) int64 {
	all, some := int64(n/holders), int64(n%holders)
	return all*holders + some
}

// run sets holds first to first+n-1, and waits for each to be answered as held.
func (h *holder) run(ctx context.Context, first, n int) (driven, error) {
	result := driven{took: make([]time.Duration, n)}
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for range holdClients {
		g.Go(func() error {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				began := time.Now()
				if err := h.put(ctx, first+i); err != nil {
					return fmt.Errorf("hold %d: %w", first+i, err)
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

var errNotHeld = errors.New("not answered as held")

// put sets one hold. An overloaded server says that it is, and the wait counts against it.
func (h *holder) put(ctx context.Context, n int) error {
	req, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(res)
	who := n % holders
	req.Header.SetMethod(http.MethodPut)
	req.SetRequestURI(h.base + h.shop.articles[who%len(h.shop.articles)].ID)
	req.Header.Set("Authorization", h.tokens[who])
	req.Header.SetContentType("application/json")
	req.SetBodyString(fmt.Sprintf(`{"quantity":%d}`, quantity(n)))
	for {
		if err := h.http.Do(req, res); err != nil {
			return err
		}
		switch {
		case res.StatusCode() == http.StatusServiceUnavailable:
			h.retried.Add(1)
		case res.StatusCode() != http.StatusOK || !bytes.Contains(res.Body(), []byte(`"held":true`)):
			return fmt.Errorf("%w: %d %s", errNotHeld, res.StatusCode(), res.Body()[:min(len(res.Body()), 300)])
		default:
			return nil
		}
		if err := run.Pause(ctx, againAfter/2+rand.N(againAfter)); err != nil {
			return err
		}
	}
}
