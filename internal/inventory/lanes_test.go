package inventory_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
)

// laned is a shop with lanes, whose facts the test carries.
type laned struct {
	*shop
	heard map[uuid.UUID]bool
}

func newLaned(t *testing.T) *laned {
	t.Helper()
	s := newShop(t)
	s.books.Lanes = 4
	return &laned{shop: s, heard: map[uuid.UUID]bool{}}
}

// inLane sells a product of that stock that is in that lane.
func (s *laned) inLane(lane int, stock int64) uuid.UUID {
	s.t.Helper()
	for {
		if p := s.sell(stock)[0]; inventory.LaneOf(p, s.books.Lanes) == lane {
			return p
		}
	}
}

func (s *laned) do(verb func(context.Context, []event.Fact) error, facts ...event.Fact) {
	s.t.Helper()
	if err := verb(s.t.Context(), facts); err != nil {
		s.t.Fatal(err)
	}
}

// unheard gives what was said of an order under a name, each fact once.
func (s *laned) unheard(order event.Fact, of event.Name) []event.Fact {
	s.t.Helper()
	return slices.DeleteFunc(s.said(order.OrderID), func(f event.Fact) bool {
		known := f.Name != of || s.heard[f.ID]
		s.heard[f.ID] = s.heard[f.ID] || !known
		return known
	})
}

func (s *laned) state(order event.Fact) (state string) {
	s.t.Helper()
	if err := s.env.DB.QueryRow(s.t.Context(), `SELECT state FROM inventory.reservations WHERE order_id = $1`, order.OrderID).Scan(&state); err != nil {
		s.t.Fatal(err)
	}
	return state
}

func TestAnOrdersLinesAreGatheredFromTheirLanes(t *testing.T) {
	s := newLaned(t)
	a, b, c := s.inLane(0, 10), s.inLane(1, 5), s.inLane(1, 5)
	order := s.created(line(a, 1), line(b, 2), line(c, 3), line(a, 3))
	s.do(s.books.Split, order, order)
	requests := s.unheard(order, event.LaneReserveRequested)
	if len(requests) != 2 || requests[0].Part != "0" || requests[1].RoutingKey() != "optimistic.lane.reserve.requested.1" {
		t.Fatalf("asked %+v", requests)
	}
	s.do(s.books.LaneReserve, requests...)
	s.wantBooks(a, 6, 4)
	s.wantBooks(c, 2, 3)
	s.wantConserved() // also while the answers are on their way
	answers := s.unheard(order, event.LaneReserved)
	s.do(s.books.Gather, answers[1], answers[1])
	if state := s.state(order); state != inventory.Gathering {
		t.Fatalf("%s after one of two answers", state)
	}
	s.do(s.books.Gather, answers...)
	said := s.unheard(order, event.StockReserved)
	if len(said) != 1 || s.state(order) != inventory.Reserved {
		t.Fatalf("%s, said %v", s.state(order), names(said))
	}
	got, err := event.Decode[event.OrderStock](said[0])
	asked, _ := event.Decode[event.Order](order)
	if err != nil || len(got.Lines) != 3 || got.HoldID != asked.HoldID || got.Terms != asked.Terms {
		t.Errorf("said %+v of %+v, %v", got, asked, err)
	}
}

func TestWhatOneLaneCannotHaveTheOthersGiveBack(t *testing.T) {
	s := newLaned(t)
	a, b, c := s.inLane(0, 10), s.inLane(1, 5), s.inLane(2, 1)
	order := s.created(line(a, 4), line(b, 2), line(c, 2))
	s.do(s.books.Split, order)
	s.do(s.books.LaneReserve, s.unheard(order, event.LaneReserveRequested)...)
	s.do(s.books.Gather, s.unheard(order, event.LaneFailed)...)
	s.wantBooks(a, 6, 4) // nothing is asked back before all have answered
	s.do(s.books.Gather, s.unheard(order, event.LaneReserved)...)
	back := s.unheard(order, event.LaneReleaseRequested)
	if len(back) != 2 || len(s.unheard(order, event.StockFailed)) != 0 {
		t.Fatalf("asked back from %d lanes, and said %v", len(back), names(s.said(order.OrderID)))
	}
	s.do(s.books.LaneRelease, back[0])
	s.wantBooks(a, 10, 0)
	s.wantConserved()
	s.do(s.books.LaneRelease, back...)
	s.do(s.books.Gather, s.unheard(order, event.LaneReleased)...)
	failed := s.unheard(order, event.StockFailed)
	if len(failed) != 1 || s.state(order) != inventory.OutOfStock {
		t.Fatalf("%s, said %v", s.state(order), names(s.said(order.OrderID)))
	}
	got, _ := event.Decode[event.OrderStock](failed[0])
	if want := (event.StockLine{ProductID: c, Quantity: 2, Available: 1, Version: 2}); len(got.Lines) != 1 || got.Lines[0] != want {
		t.Errorf("could not have %+v, want %+v", got.Lines, want)
	}
	s.do(s.books.Recall, ending(order)) // it says so already
	if more := s.unheard(order, event.StockReleased); len(more) > 0 {
		t.Errorf("an order that is out of stock has given back %v", more)
	}
	s.wantBooks(b, 5, 0)
	s.wantConserved()
}

// Whenever an order is given up, what lanes take for it before or later goes back, and a late copy of anything does nothing.
func TestAnOrderInLanesIsGivenUpAtAnyMoment(t *testing.T) {
	s := newLaned(t)
	a, b := s.inLane(0, 100), s.inLane(3, 100)
	for moment := range 5 {
		order := s.created(line(a, 1), line(b, 2))
		stop := ending(order)
		asked, taken := []event.Fact(nil), []event.Fact(nil)
		steps := []func(){
			func() { s.do(s.books.Split, order); asked = s.unheard(order, event.LaneReserveRequested) },
			func() { s.do(s.books.LaneReserve, asked...); taken = s.unheard(order, event.LaneReserved) },
			func() { s.do(s.books.Gather, taken[:min(1, len(taken))]...) },
			func() { s.do(s.books.Gather, taken...) },
		}
		for i, step := range steps {
			if i == moment {
				s.do(s.books.Recall, stop)
			}
			step()
		}
		s.do(s.books.Recall, stop, ending(order))
		back := s.unheard(order, event.LaneReleaseRequested)
		s.do(s.books.LaneRelease, back...)
		s.do(s.books.Gather, s.unheard(order, event.LaneReleased)...)
		if released := s.unheard(order, event.StockReleased); len(released) != 1 || s.state(order) != inventory.Released {
			t.Errorf("given up at %d: %s, said %v", moment, s.state(order), names(s.said(order.OrderID)))
		}
		before := len(s.said(order.OrderID))
		s.do(s.books.LaneRelease, back...)
		s.do(s.books.LaneReserve, asked...)
		s.do(s.books.Split, order)
		s.do(s.books.Gather, taken...)
		if after := s.said(order.OrderID); len(after) != before {
			t.Errorf("given up at %d: late copies made it say %v", moment, names(after))
		}
	}
	s.wantBooks(a, 100, 0)
	s.wantBooks(b, 100, 0)
	s.wantConserved()
}

// A lane waits for nobody who is not on its own products: not for other lanes, and not for those who see to the orders.
func TestLanesDoNotWaitForOneAnother(t *testing.T) {
	s := newLaned(t)
	a, b := s.inLane(0, 10), s.inLane(1, 10)
	order := s.created(line(a, 1), line(b, 1))
	s.do(s.books.Split, order)
	requests := s.unheard(order, event.LaneReserveRequested)
	tx, err := s.env.DB.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	for sql, id := range map[string]uuid.UUID{ // another lane in the middle of its work, and a gatherer of this very order
		`SELECT FROM inventory.stock WHERE product_id = $1 FOR NO KEY UPDATE`:      b,
		`SELECT FROM inventory.reservations WHERE order_id = $1 FOR NO KEY UPDATE`: order.OrderID,
	} {
		if _, err := tx.Exec(t.Context(), sql, id); err != nil {
			t.Fatal(err)
		}
	}
	s.do(s.books.LaneReserve, requests[0]) // would wait for ever
	s.wantBooks(a, 9, 1)
}

// Consumers that believe to be the only one of a lane, an operator, and orders of another strategy move the same products at the
// same time: a single active consumer is no fence, and the books need none.
func TestLanesNeedNoFence(t *testing.T) {
	s := newLaned(t)
	a, b := s.inLane(0, 60), s.inLane(1, 60)
	var orders, requests, others []event.Fact
	for range 40 {
		orders = append(orders, s.created(line(a, 1), line(b, 1)))
		others = append(others, s.created(line(b, 1), line(a, 1)))
	}
	s.do(s.books.Split, orders...)
	for _, o := range orders {
		requests = append(requests, s.unheard(o, event.LaneReserveRequested)...)
	}
	var all errgroup.Group
	random := rand.New(rand.NewPCG(1, 1))
	for range 2 {
		mine := slices.Clone(requests)
		random.Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
		all.Go(func() error {
			for part := range slices.Chunk(mine, 7) {
				if err := s.books.LaneReserve(t.Context(), part); err != nil {
					return err
				}
			}
			return nil
		})
	}
	all.Go(func() error { return s.books.Reserve(t.Context(), others) })
	all.Go(func() error {
		for range 10 {
			if _, err := s.books.Restock(t.Context(), a, 1, "found"); err != nil {
				return err
			}
		}
		return nil
	})
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	s.wantConserved()
	if n := s.one(`SELECT count(*) FROM shared.outbox WHERE name IN ('lane.reserved', 'lane.failed')`); n != int64(len(requests)) {
		t.Errorf("%d answers to %d requests", n, len(requests))
	}
	if available, allocated := s.inBooks(a); available+allocated != 70 {
		t.Errorf("%d available and %d allocated of 70", available, allocated)
	}
}
