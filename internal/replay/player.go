package replay

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// player plays the invoices of one run.
type player struct {
	options  Options
	client   *retrying
	tally    *tally
	products map[string]string // id by sku
}

func newPlayer(o Options, t *tally) *player {
	return &player{options: o, client: newClient(o, t.retry), tally: t}
}

// playAll plays every invoice, those of one customer one after another.
func (p *player) playAll(ctx context.Context, invoices []invoice) error {
	g, ctx := errgroup.WithContext(ctx)
	work, done := make(chan int), make(chan int)
	for range p.options.Concurrency {
		g.Go(func() error {
			for i := range work {
				if err := p.play(ctx, invoices[i], i); err != nil {
					return fmt.Errorf("invoice %s: %w", invoices[i].number, err)
				}
				p.tally.playedOne()
				select {
				case done <- i:
				case <-ctx.Done():
					return nil // the group keeps the error that ended it
				}
			}
			return nil
		})
	}
	g.Go(func() error { return p.dispatch(ctx, newQueue(invoices), work, done) })
	return g.Wait()
}

// dispatch hands the invoices out in their order, no faster than the rate, and closes work when all are played.
func (p *player) dispatch(ctx context.Context, q *queue, work chan<- int, done <-chan int) error {
	defer close(work)
	began, sent := time.Now(), 0
	due := time.NewTimer(0)
	defer due.Stop()
	ready, next, have := false, 0, false
	for q.left > 0 {
		if !have {
			next, have = q.take()
		}
		var out chan<- int
		if have && ready {
			out = work
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case i := <-done:
			q.finish(i)
		case <-due.C:
			ready = true
		case out <- next:
			have = false
			sent++
			if p.options.Rate > 0 {
				ready = false
				due.Reset(time.Until(began.Add(time.Duration(float64(sent) / p.options.Rate * float64(time.Second)))))
			}
		}
	}
	return nil
}

// play is one visit of one customer.
func (p *player) play(ctx context.Context, inv invoice, index int) error {
	v := p.newVisit(inv, index)
	if inv.plan.clear {
		if err := v.emptyCart(ctx); err != nil {
			return err
		}
	}
	if inv.plan.abandon {
		p.tally.abandon()
		return v.fill(ctx)
	}
	return v.buy(ctx)
}

// queue hands out invoices in their order, but no two of one customer at once. Guests are never the same customer.
type queue struct {
	invoices []invoice
	next     int              // the first that was not looked at
	busy     map[string]bool  // customers with an invoice handed out
	parked   map[string][]int // invoices whose customer was busy when they were looked at
	released []int            // parked ones whose customer is free again
	left     int              // not finished
}

func newQueue(invoices []invoice) *queue {
	return &queue{invoices: invoices, busy: map[string]bool{}, parked: map[string][]int{}, left: len(invoices)}
}

// take gives the next invoice that can be played now, if there is one.
func (q *queue) take() (int, bool) {
	if len(q.released) > 0 {
		i := q.released[0]
		q.released = q.released[1:]
		return i, true
	}
	for q.next < len(q.invoices) {
		i := q.next
		q.next++
		customer := q.invoices[i].customer
		if customer == "" {
			return i, true
		}
		if !q.busy[customer] {
			q.busy[customer] = true
			return i, true
		}
		q.parked[customer] = append(q.parked[customer], i)
	}
	return 0, false
}

// finish is told when an invoice was played.
func (q *queue) finish(i int) {
	q.left--
	customer := q.invoices[i].customer
	if customer == "" {
		return
	}
	waiting := q.parked[customer]
	if len(waiting) == 0 {
		q.busy[customer] = false
		return
	}
	q.parked[customer] = waiting[1:]
	q.released = append(q.released, waiting[0])
}
