package replay

import (
	"context"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast-checkout/holdfast/internal/run"
)

// Pauses between two rounds of reading the orders that have not ended.
const (
	firstRound = 100 * time.Millisecond
	lastRound  = 2 * time.Second
)

// settle reads every order until it has ended, and checks that it is still the one that was answered. It stops when no
// order has ended for as long as the options say; the tally knows what is left.
func (p *player) settle(ctx context.Context) error {
	left := p.tally.orders
	progress, wait := time.Now(), firstRound
	for {
		before := len(left)
		var err error
		if left, err = p.readAll(ctx, left); err != nil {
			return err
		}
		wait = min(2*wait, lastRound)
		if len(left) < before {
			progress, wait = time.Now(), firstRound
		}
		if len(left) == 0 || time.Since(progress) > p.options.EndWait {
			return nil
		}
		if err := run.Pause(ctx, wait); err != nil {
			return err
		}
	}
}

// readAll reads orders once and gives those that have not ended.
func (p *player) readAll(ctx context.Context, orders []placed) ([]placed, error) {
	var mu sync.Mutex
	var left []placed
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(p.options.Concurrency)
	for _, o := range orders {
		g.Go(func() error {
			ended, err := p.read(ctx, o)
			if err == nil && !ended {
				mu.Lock()
				defer mu.Unlock()
				left = append(left, o)
			}
			return err
		})
	}
	return left, g.Wait()
}

// read reads one order and says whether it has ended. An order that is not found has not.
func (p *player) read(ctx context.Context, o placed) (bool, error) {
	a, err := p.client.send(ctx, request{method: http.MethodGet, path: "/orders/" + o.id, sub: o.sub})
	if err != nil || a.Status == http.StatusNotFound {
		return false, err
	}
	if a.Status != http.StatusOK {
		return false, a.unexpected("read order " + o.id)
	}
	order, err := decode[orderJSON](a)
	if err != nil || !order.final() {
		return false, err
	}
	p.tally.finish(order, order.fingerprint() == o.fingerprint)
	return true, nil
}
