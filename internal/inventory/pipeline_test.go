package inventory_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

// trips counts what is sent to Redis: pipelines, and commands on their own.
type trips struct{ pipelines, alone atomic.Int64 }

func (t *trips) DialHook(next redis.DialHook) redis.DialHook { return next }

func (t *trips) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		t.alone.Add(1)
		return next(ctx, cmd)
	}
}

func (t *trips) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		t.pipelines.Add(1)
		return next(ctx, cmds)
	}
}

func TestManyProductsAreOnePipeline(t *testing.T) {
	onEach(t, func(t *testing.T, s *shop) {
		stock := make([]int64, 120)
		for i := range stock {
			stock[i] = 10
		}
		products, cart, ctx := s.sell(stock...), uuid.New(), t.Context()
		lines := make([]event.OrderLine, len(products))
		for i, p := range products {
			lines[i] = line(p, 2)
		}
		s.hold(uuid.New(), in(time.Minute), lines...) // loads them, and the scripts
		counted := &trips{}
		s.redis.AddHook(counted)
		for name, call := range map[string]func() error{
			"hold":      func() error { _, err := s.shelf.Hold(ctx, cart, lines, in(time.Minute)); return err },
			"extend":    func() error { _, err := s.shelf.Extend(ctx, cart, products, in(time.Hour)); return err },
			"available": func() error { _, err := s.shelf.Available(ctx, products); return err },
			"release":   func() error { return s.shelf.Release(ctx, cart, products) },
			"settle": func() error {
				order := event.New(event.StockReserved, "optimistic", uuid.Must(uuid.NewV7()), event.OrderStock{HoldID: cart, Lines: sold(products)})
				return s.shelf.Settle(ctx, []event.Fact{order})
			},
		} {
			for range 2 { // the first may bring a script that was not known
				counted.pipelines.Store(0)
				counted.alone.Store(0)
				if err := call(); err != nil {
					t.Fatal(err)
				}
			}
			if p, a := counted.pipelines.Load(), counted.alone.Load(); p != 1 || a != 0 {
				t.Errorf("%s of %d products: %d pipelines and %d single commands", name, len(products), p, a)
			}
		}
	})
}

func sold(products []uuid.UUID) []event.StockLine {
	lines := make([]event.StockLine, len(products))
	for i, p := range products {
		lines[i] = event.StockLine{ProductID: p, Quantity: 2, Available: 8, Version: 50}
	}
	return lines
}
