package bench

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast-checkout/holdfast/internal/client"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

const (
	customers = 2000            // who buy in turn
	tokenLife = 2 * time.Hour   // longer than any run
	patience  = 2 * time.Minute // for one order
)

// driver buys over HTTP.
type driver struct {
	*client.Client
	strategy string
	tokens   []string // by customer
	operator string
	run      string // makes Idempotency-Keys of their own
	retried  atomic.Int64
}

// newDriver makes a driver of the server at url, for so many requests at once that take timeout at most.
func newDriver(url, strategy, run string, secret []byte, atOnce int, timeout time.Duration) (*driver, error) {
	d := &driver{Client: client.New(url, atOnce, timeout), strategy: strategy, run: run}
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

// fill makes the catalogue and learns the ids that the server gives.
func (d *driver) fill(ctx context.Context, s *shop) error {
	products := make([]client.Product, len(s.articles))
	for i, a := range s.articles {
		products[i] = client.Product{SKU: a.SKU, Name: a.Name, Price: a.Price, Currency: "GBP", Stock: openingStock}
	}
	ids, err := d.Fill(ctx, d.operator, products)
	for i := range s.articles {
		s.articles[i].ID = ids[s.articles[i].SKU]
	}
	return err
}

// driven is what a run of sagas came to.
type driven struct {
	seconds float64
	took    []time.Duration // of each saga, from its POST until it was known to be final
}

// buy buys orders first to first+n-1, so many at a time, and waits for the end of each.
func (d *driver) buy(ctx context.Context, s *shop, first, n, concurrency int) (driven, error) {
	purchases := make([]client.Purchase, n)
	for i := range purchases {
		purchases[i] = d.purchase(first+i, s.order(first+i))
	}
	result := driven{took: make([]time.Duration, n)}
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for range concurrency {
		g.Go(func() error {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				began := time.Now()
				if err := d.saga(ctx, purchases[i]); err != nil {
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

func (d *driver) purchase(n int, lines []bought) client.Purchase {
	items := make([]client.Item, len(lines))
	for i, l := range lines {
		items[i] = client.Item{ProductID: l.ID, Quantity: l.Quantity}
	}
	return client.Purchase{
		Token: d.tokens[n%customers], Key: fmt.Sprintf("bench-%s-%d", d.run, n), Items: items, PaymentMethod: "pm_ok", Strategy: d.strategy,
	}
}

// saga buys and waits for the end, which has to be COMPLETED. Each time that the server asked to try again counts against it.
func (d *driver) saga(ctx context.Context, p client.Purchase) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	end, a, err := d.Buy(ctx, p, func() { d.retried.Add(1) })
	if err == nil && end.Status != "COMPLETED" {
		err = fmt.Errorf("did not complete: %s", a)
	}
	return err
}

// reconcile has everything compared.
func (d *driver) reconcile(ctx context.Context) (repairs, error) {
	a, err := d.Send(ctx, client.Request{Method: http.MethodPost, Path: "/admin/reconciliations", Token: d.operator, Body: []byte(`{"scope":"full"}`)})
	if err != nil {
		return repairs{}, err
	}
	var run repairs
	if err := a.Into(&run); err != nil {
		return repairs{}, err
	}
	if !run.Everything {
		return repairs{}, fmt.Errorf("not everything was compared: %s", a)
	}
	return run, nil
}
