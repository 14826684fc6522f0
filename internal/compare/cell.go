package compare

import (
	"context"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// cell is one strategy in one situation.
type cell struct {
	strategy  string
	hold      bool
	stock     string
	customers int
	name      string // makes its products and keys its own
	orders    []order
}

// play makes the cell's products, has its customers buy, waits for rest, and says what it came to.
func (o Options) play(ctx context.Context, server *Server, books *books, c cell) (Result, error) {
	shop, err := newShop(server, c)
	if err != nil {
		return Result{}, err
	}
	defer shop.Close()
	if err := shop.stock(ctx, o.openingStock(c.orders, c.stock)); err != nil {
		return Result{}, err
	}
	before, err := books.rest(ctx)
	if err != nil {
		return Result{}, err
	}
	t, err := shop.sell(ctx)
	if err != nil {
		return Result{}, err
	}
	after, err := books.rest(ctx)
	if err != nil {
		return Result{}, err
	}
	left, err := books.left(ctx, shop.prefix)
	if err != nil {
		return Result{}, err
	}
	return t.result(c, before, after, left), nil
}

// tally is what became of a cell's orders.
type tally struct {
	mu       sync.Mutex
	took     []time.Duration // of orders that were made, to their end
	complete int
	failed   map[string]int
	refused  int
	without  []order // that had no stock
	again    atomic.Int64
	seconds  float64
}

// sell has all orders bought, by so many customers at the same time.
func (s *shop) sell(ctx context.Context) (*tally, error) {
	t := &tally{failed: map[string]int{}}
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for range s.cell.customers {
		g.Go(func() error {
			for i := int(next.Add(1)) - 1; i < len(s.cell.orders); i = int(next.Add(1)) - 1 {
				began := time.Now()
				end, err := s.buy(ctx, i, func() { t.again.Add(1) })
				if err != nil {
					return err
				}
				t.count(s.cell.orders[i], end, time.Since(began))
			}
			return nil
		})
	}
	err := g.Wait()
	t.seconds = time.Since(began).Seconds()
	return t, err
}

// outOfStock is the reason of an order that failed for want of stock.
const outOfStock = "OUT_OF_STOCK"

func (t *tally) count(o order, end ending, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case end.refused:
		t.refused++
	case end.Status == "COMPLETED":
		t.complete++
	default:
		t.failed[end.reason()]++
	}
	if end.refused || end.FailureReason == outOfStock {
		t.without = append(t.without, o)
	}
	if !end.refused {
		t.took = append(t.took, took)
	}
}

func (t *tally) result(c cell, before, after counters, left map[string]int64) Result {
	made := float64(max(len(t.took), 1))
	per := func(after, before int64) float64 { return float64(after-before) / made }
	slices.Sort(t.took)
	return Result{
		Strategy: c.strategy, HoldOnOrder: c.hold, Stock: c.stock, Customers: c.customers,
		Orders: len(c.orders), Made: len(t.took), Completed: t.complete, Failed: maps.Clone(t.failed), Refused: t.refused, TryAgain: int(t.again.Load()),
		Seconds: rounded(t.seconds, 3), CompletedPerSecond: rounded(float64(t.complete)/t.seconds, 1),
		P50: quantile(t.took, 0.5), P99: quantile(t.took, 0.99),
		FactsPerOrder:        rounded(per(after.facts, before.facts), 2),
		TransactionsPerOrder: rounded(per(after.transactions, before.transactions), 2),
		WALBytesPerOrder:     rounded(per(after.wal, before.wal), 0),
		Compensations:        int(after.compensated - before.compensated), Refunds: int(after.refunded - before.refunded),
		TurnedAway: turnedAway(t.without, left),
	}
}

// quantile is the least of the sorted times that a share of them do not exceed, in milliseconds; 0 of none.
func quantile(sorted []time.Duration, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := max(int(math.Ceil(share*float64(len(sorted))))-1, 0)
	return rounded(sorted[at].Seconds()*1000, 1)
}

func rounded(x float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(x*scale) / scale
}
