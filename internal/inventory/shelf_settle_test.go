package inventory_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestSettleBringsTheBooksToTheShelf(t *testing.T) {
	onEach(t, func(t *testing.T, s *shop) {
		p := s.sell(10, 10)
		s.wantFree(p[0], 10)
		order := s.created(line(p[0], 4), line(p[1], 1))
		hold, _ := event.Decode[event.Order](order)
		s.hold(hold.HoldID, in(time.Minute), hold.Lines...)
		s.reserve(order)
		s.wantFree(p[0], 6) // held
		reserved := s.said(order.OrderID)[0]
		s.settle(reserved, reserved)
		s.wantFree(p[0], 6) // sold
		s.release(ending(order))
		released := s.said(order.OrderID)[1]
		s.settle(released)
		s.settle(reserved) // late
		s.wantFree(p[0], 10)
		s.wantFree(p[1], 10)
		if n := s.one(`SELECT count(*) FROM shared.inbox WHERE module = 'shelf'`); n != 2 {
			t.Errorf("%d facts in the shelf's inbox", n)
		}

		moved, err := s.books.Restock(t.Context(), p[0], 5, "delivery")
		if err != nil || moved.Balance != 15 {
			t.Fatalf("restocked to %d, %v", moved.Balance, err)
		}
		shop := s.said(uuid.Nil)
		s.settle(shop...)
		s.wantFree(p[0], 15)
	})
}

func TestSettleEndsTheHoldOfAnOrderThatFailed(t *testing.T) {
	onEach(t, func(t *testing.T, s *shop) {
		p := s.sell(10, 0)
		for _, end := range []event.Name{event.OrderFailed, event.OrderCancelled} {
			order := s.created(line(p[0], 4))
			hold, _ := event.Decode[event.Order](order)
			s.hold(hold.HoldID, in(time.Minute), hold.Lines...)
			s.settle(order.Answer(event.OrderCompleted, event.OrderState{}))
			s.wantFree(p[0], 6)
			s.settle(order.Answer(end, event.OrderState{}))
			s.wantFree(p[0], 10)
		}
	})
}

// A product that is off the shelf while it is sold comes back as the books have it.
func TestSettleOfWhatIsNotLoaded(t *testing.T) {
	onEach(t, func(t *testing.T, s *shop) {
		p := s.sell(10)
		order := s.created(line(p[0], 4))
		s.reserve(order)
		s.wipe()
		s.settle(s.said(order.OrderID)...)
		s.wantFree(p[0], 6)
	})
}

func TestSweeperCleansWhatHasExpired(t *testing.T) {
	onEach(t, func(t *testing.T, s *shop) {
		p := s.sell(10_000, 10_000, 10_000)
		s.hold(uuid.New(), in(time.Hour), line(p[1], 1), line(p[2], 1))
		many := make([]uuid.UUID, 130)
		for i := range many {
			many[i] = uuid.New()
		}
		soon := s.holdBriefly(many, line(p[0], 1), line(p[1], 1))
		sweepers := make([]*inventory.Sweeper, 3)
		var wg sync.WaitGroup
		for i := range sweepers {
			sweepers[i] = inventory.NewSweeper(s.redis, s.scripts, s.keys, time.Millisecond, s.env.Log)
		}
		ctx, stop := context.WithCancel(t.Context())
		for _, sweeper := range sweepers {
			wg.Go(func() {
				if err := sweeper.Run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		entries := func(p uuid.UUID) int64 { return s.redis.HLen(t.Context(), s.keys.Product(p)[2]).Val() }
		testkit.Eventually(t, 20*time.Second, func() bool { return entries(p[0]) == 0 && entries(p[1]) == 1 && entries(p[2]) == 1 })
		stop()
		wg.Wait()
		if n, err := sweepers[0].Sweep(t.Context()); n != 0 || err != nil {
			t.Errorf("swept %d more, %v", n, err)
		}
		for i, want := range []int64{10_000, 9_999, 9_999} {
			s.wantFree(p[i], want)
		}
		hint, err := s.redis.ZScore(t.Context(), s.keys.Due(p[1]), p[1].String()).Result()
		if err != nil || hint <= float64(soon.UnixMilli()) {
			t.Errorf("the product with a hold left is due at %v, %v", hint, err)
		}
	})
}
