// Package replay drives a running server through its HTTP API with a real shop's orders, as the shop's customers would:
// it makes the catalogue, fills carts line by line or buys at once, repeats requests, abandons carts, has payments
// declined, and waits until every order has ended. It survives the server being killed and started again underneath it.
//
// Every choice is made from the seed and the invoice, never from a clock or the order of goroutines, so that a run can
// be repeated. It knows the server by its public contract alone and shares no code with it.
package replay

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Tokens gives a bearer token for a customer, or for an operator. It is asked again when the server refuses the last one.
type Tokens func(sub string, admin bool) (string, error)

// Options say what to play, and how. Shares are from 0 to 1.
type Options struct {
	BaseURL string // of the server, without /api/v1
	Tokens  Tokens

	Products string // file of products, gzip or plain CSV; header: sku, name, unit_price_minor
	Orders   string // file of order lines, gzip or plain CSV; header: invoice, customer, ts, sku, quantity
	Limit    int    // the first so many invoices, by time; 0: all

	Concurrency int     // customers at the same time
	Rate        float64 // invoices begun per second; 0: as fast as it goes
	Seed        uint64
	StockFactor float64 // opening stock of a product as a share of what the invoices ask for
	Decline     float64 // share of invoices that are paid with a method that is declined
	Repeat      float64 // share of checkouts that are sent twice
	Abandon     float64 // share of invoices whose cart is filled and left
	BuyNow      float64 // share of invoices that are bought without a cart
	Strategy    string  // asked for with each order; empty: the server's own
	ReportPath  string  // JSON report; empty: none

	RequestTimeout time.Duration // of one attempt of one request
	Patience       time.Duration // how long a request is tried again before the run fails
	EndWait        time.Duration // how long to wait at the end without any order ending
}

// Defaults are the options of a run that nobody steered.
func Defaults() Options {
	return Options{
		Concurrency: 32, Seed: 1, StockFactor: 0.9, Decline: 0.03, Repeat: 0.05, Abandon: 0.05, BuyNow: 0.2,
		RequestTimeout: 15 * time.Second, Patience: 2 * time.Minute, EndWait: 5 * time.Minute,
	}
}

// Validate says what is wrong with the options, all of it at once.
func (o Options) Validate() error {
	var errs []error
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	refuse(o.BaseURL == "", "no URL of a server")
	refuse(o.Tokens == nil, "no key to make tokens with")
	refuse(o.Products == "", "no file of products")
	refuse(o.Orders == "", "no file of orders")
	refuse(o.Limit < 0, "limit %d is below 0", o.Limit)
	refuse(o.Concurrency < 1, "concurrency %d is below 1", o.Concurrency)
	refuse(!(o.Rate >= 0), "rate %g is below 0", o.Rate)
	refuse(!(o.StockFactor >= 0 && o.StockFactor <= 1000), "stock factor %g is not between 0 and 1000", o.StockFactor)
	share := func(name string, p float64) {
		refuse(!(p >= 0 && p <= 1), "%s %g is not a share between 0 and 1", name, p)
	}
	share("decline", o.Decline)
	share("repeat", o.Repeat)
	share("abandon", o.Abandon)
	share("buy-now", o.BuyNow)
	refuse(o.RequestTimeout <= 0 || o.Patience <= 0 || o.EndWait <= 0, "a time-out must be above 0")
	return errors.Join(errs...)
}

// Run plays the orders and waits until they have ended. The report is given, printed and written as far as the run came,
// also when it fails. It fails when an order has not ended, when a repeated request got another answer, when an order is
// not what was asked for, and when the server stayed away for longer than the patience.
func Run(ctx context.Context, o Options, out io.Writer) (Report, error) {
	if err := o.Validate(); err != nil {
		return Report{}, err
	}
	shop, err := load(o)
	if err != nil {
		return Report{}, err
	}
	t := newTally(o, rand.Text()[:10], shop)
	err = play(ctx, o, t, shop, out)
	report := t.report()
	if !t.began.IsZero() {
		report.print(out)
	}
	if o.ReportPath != "" {
		err = errors.Join(err, report.write(o.ReportPath))
	}
	return report, errors.Join(err, report.verdict())
}

// play plays with a progress display beside it.
func play(ctx context.Context, o Options, t *tally, shop shop, out io.Writer) error {
	show := newProgress(out, t)
	showing, stop := context.WithCancel(ctx)
	var display sync.WaitGroup
	display.Go(func() { show.run(showing) })
	defer func() {
		stop()
		display.Wait()
	}()
	p := newPlayer(o, t)
	defer p.client.Close()
	return p.run(ctx, shop, show)
}

// run makes the catalogue, plays every invoice, and waits for the ends.
func (p *player) run(ctx context.Context, shop shop, show *progress) error {
	show.stage("catalogue", len(shop.products))
	ids, err := p.stock(ctx, shop.products)
	if err != nil {
		return fmt.Errorf("make the catalogue: %w", err)
	}
	p.products = ids
	show.stage("invoices", len(shop.invoices))
	p.tally.begin()
	defer p.tally.end()
	playing := p.playAll(ctx, shop.invoices)
	show.stage("endings", p.tally.placed())
	if ctx.Err() != nil {
		return playing
	}
	return errors.Join(playing, p.settle(ctx))
}
