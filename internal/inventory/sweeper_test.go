package inventory_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/inventory"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
	"github.com/holdfast-checkout/holdfast/lua"
)

// begin does what a sweeper does first: it marks what is due as its own.
func (s *shop) begin(p uuid.UUID) {
	s.t.Helper()
	mark := 4_500_000_000_000_000 + time.Now().UnixMilli()*1000
	taken, err := s.scripts.One(s.t.Context(), redisx.Call{Script: lua.Take, Keys: []string{s.keys.Due(p)}, Args: []any{100, mark, 0}})
	if err != nil || fmt.Sprint(taken) != fmt.Sprint([]any{p.String()}) {
		s.t.Fatalf("took %v, %v", taken, err)
	}
}

// expired makes a product with a hold of 2 that has expired.
func (s *shop) expired() uuid.UUID {
	s.t.Helper()
	p := s.sell(10)[0]
	s.holdBriefly([]uuid.UUID{uuid.New()}, line(p, 2))
	return p
}

func (s *shop) sweepEvery(every time.Duration) (dropped int64) {
	s.t.Helper()
	dropped, err := inventory.NewSweeper(s.redis, s.scripts, s.keys, every, s.env.Log).Sweep(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return dropped
}

// dueAt is where a product stands in the sweepers' index; 0: it is not there.
func (s *shop) dueAt(p uuid.UUID) int64 {
	return int64(s.redis.ZScore(s.t.Context(), s.keys.Due(p), p.String()).Val())
}

func TestWhatADeadSweeperLeftIsCleanedByAnother(t *testing.T) {
	s := newShop(t)
	p := s.expired()
	s.begin(p) // and dies before it has cleaned
	if n := s.sweepEvery(time.Hour); n != 0 {
		t.Errorf("%d entries were cleaned while their sweeper may be alive", n)
	}
	testkit.Eventually(t, 20*time.Second, func() bool { return s.sweepEvery(time.Millisecond) == 1 })
	if n, at := s.redis.HLen(t.Context(), s.keys.Product(p)[2]).Val(), s.dueAt(p); n != 0 || at != 0 {
		t.Errorf("%d entries are left, due at %d", n, at)
	}
	s.wantFree(p, 10)
}

func TestAHoldThatIsTakenWhileItsProductIsSweptIsNotForgotten(t *testing.T) {
	s := newShop(t)
	p := s.expired()
	s.begin(p)
	until := in(time.Minute)
	s.hold(uuid.New(), until, line(p, 3))
	if at := s.dueAt(p); at != until.UnixMilli() {
		t.Errorf("due at %d, want %d", at, until.UnixMilli())
	}
	s.sweepEvery(time.Millisecond)
	if at := s.dueAt(p); at != until.UnixMilli() {
		t.Errorf("after a sweep due at %d, want %d", at, until.UnixMilli())
	}
	s.wantFree(p, 7)
}

func TestADeadSweepersProductThatHasMoreComesBack(t *testing.T) {
	s := newShop(t)
	p := s.expired()
	until := in(time.Minute)
	s.hold(uuid.New(), until, line(p, 3))
	s.begin(p)
	if _, err := s.scripts.One(t.Context(), redisx.Call{Script: lua.Sweep, Keys: s.keys.Product(p)}); err != nil { // it dies after it has cleaned
		t.Fatal(err)
	}
	testkit.Eventually(t, 20*time.Second, func() bool {
		s.sweepEvery(time.Millisecond)
		return s.dueAt(p) == until.UnixMilli()
	})
}

// A part of the index that was lost, or that is no index any more, is noticed by the next sweep, and only then.
func TestALostPartOfTheIndexIsNoticed(t *testing.T) {
	onEach(t, func(t *testing.T, s *shop) {
		sweeper, doubts := inventory.NewSweeper(s.redis, s.scripts, s.keys, time.Hour, s.env.Log), 0
		sweeper.Doubt = func() { doubts++ }
		sweep := func(what string, want int) {
			t.Helper()
			doubts = 0
			if _, err := sweeper.Sweep(t.Context()); err != nil || doubts != want {
				t.Errorf("%s: %d doubts, %v, want %d", what, doubts, err, want)
			}
		}
		sweep("a new index", 1)
		sweep("a whole one", 0)
		s.redis.Del(t.Context(), s.keys.DueShard(7))
		sweep("a part is gone", 1)
		s.redis.Set(t.Context(), s.keys.DueShard(9), "x", 0)
		sweep("a part is no index", 1)
		sweep("whole again", 0)
	})
}

// Many holds are refreshed at once, each until its own time; of those that are gone only these count whose orders still wait.
func TestRefreshKeepsHoldsAndCountsWhatIsGone(t *testing.T) {
	onEach(t, func(t *testing.T, s *shop) {
		products := s.sell(10, 10, 10, 10)
		soon := in(time.Minute)
		var holds []inventory.LiveHold
		for i, p := range products {
			order := s.created(line(p, 2))
			h := inventory.LiveHold{HoldID: uuid.New(), OrderID: order.OrderID, ProductID: p, Quantity: 2, ExpiresAt: soon.Add(time.Duration(1+i) * time.Minute)}
			s.hold(h.HoldID, soon, line(p, 2))
			holds = append(holds, h)
			if i == 3 { // the books have decided
				s.reserve(order)
				s.settle(s.said(order.OrderID)...)
			}
		}
		gone, err := s.shelf.Refresh(t.Context(), holds)
		if err != nil || gone != 0 {
			t.Fatalf("%d gone, %v", gone, err)
		}
		for _, h := range holds {
			entry := s.redis.HGet(t.Context(), s.keys.Product(h.ProductID)[2], h.HoldID.String()).Val()
			if want := fmt.Sprintf("2:%d", h.ExpiresAt.UnixMilli()); entry != want {
				t.Errorf("the hold is %q, want %q", entry, want)
			}
		}
		for _, h := range holds[2:] {
			if err := s.shelf.Release(t.Context(), h.HoldID, []uuid.UUID{h.ProductID}); err != nil {
				t.Fatal(err)
			}
		}
		if gone, err = s.shelf.Refresh(t.Context(), holds); err != nil || gone != 1 {
			t.Errorf("%d gone, %v, want the one whose order waits", gone, err)
		}
	})
}
