package inventory

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inbox"
)

// The verbs of an order whose lines are in lanes. Split, Gather and Recall see to orders, any number of them at once; LaneReserve
// and LaneRelease see to stock, one at a time in a lane. Nothing relies on that for its truth: the stock rows are locked as ever,
// only nobody else is there to wait for.

// Split hears facts by which orders want their units, and asks the lanes of their lines.
func (s *Service) Split(ctx context.Context, facts []event.Fact) error {
	return s.hear(ctx, "split", facts, func(tx pgx.Tx, fresh []event.Fact) error {
		wanted, err := s.wanted(ctx, tx, fresh)
		if err != nil {
			return err
		}
		asked := make(map[uuid.UUID]map[int][]event.OrderLine, len(wanted))
		for _, a := range wanted {
			asked[a.fact.OrderID] = inLanes(a.Lines, max(1, s.Lanes))
		}
		claimed, err := claimGathering(ctx, tx, wanted, asked)
		if err != nil {
			return err
		}
		var said []event.Fact
		for _, a := range wanted {
			if claimed[a.fact.OrderID] {
				said = append(said, a.askLanes(event.LaneReserveRequested, asked[a.fact.OrderID])...)
			}
		}
		return post(ctx, tx, openBooks(nil), posting{facts: said})
	})
}

// askLanes makes a request to each lane.
func (a ask) askLanes(name event.Name, parts map[int][]event.OrderLine) []event.Fact {
	requests := make([]event.Fact, 0, len(parts))
	for _, lane := range slices.Sorted(maps.Keys(parts)) {
		order := a.Order
		order.Lines = parts[lane]
		if order.Lines == nil {
			order.Lines = []event.OrderLine{}
		}
		request := a.fact.Answer(name, event.LaneOrder{Lane: lane, Order: order})
		request.Part = LanePart(lane)
		requests = append(requests, request)
	}
	return requests
}

// LaneReserve hears what lanes are asked to take. In the order in which they came, each order gets all of its lines in a lane
// (lane.reserved) or none (lane.failed).
func (s *Service) LaneReserve(ctx context.Context, facts []event.Fact) error {
	return s.hear(ctx, "reserve in lanes", facts, func(tx pgx.Tx, fresh []event.Fact) error {
		parts, err := laneAsks(fresh)
		if err != nil {
			return err
		}
		lists := make([][]event.OrderLine, len(parts))
		for i, p := range parts {
			lists[i] = p.Lines
		}
		books, err := lockBooks(ctx, tx, productsOf(lists...))
		if err != nil {
			return err
		}
		var done posting
		for _, p := range parts {
			if taken, short := books.take(p.fact.OrderID, p.fact.ID, p.Lines); short != nil {
				done.facts = append(done.facts, p.answer(event.LaneFailed, short))
			} else {
				done.inLanes = append(done.inLanes, p)
				done.facts = append(done.facts, p.answer(event.LaneReserved, taken))
			}
		}
		return post(ctx, tx, books, done)
	})
}

// errNotSeen says that a lane's part is not to be seen yet: a fact may be heard a moment before other transactions see the commit
// that it tells of. Trying again heals it.
var errNotSeen = errors.New("what a lane has taken is not to be seen yet")

// LaneRelease hears what lanes are asked to give back.
func (s *Service) LaneRelease(ctx context.Context, facts []event.Fact) error {
	return s.hear(ctx, "release in lanes", facts, func(tx pgx.Tx, fresh []event.Fact) error {
		parts, err := laneAsks(fresh)
		if err != nil {
			return err
		}
		held, err := returnLines(ctx, tx, parts)
		if err != nil {
			return err
		}
		books, err := lockBooks(ctx, tx, productsOf(slices.Collect(maps.Values(held))...))
		if err != nil {
			return err
		}
		var done posting
		for _, p := range parts {
			lines := held[p.key()]
			if len(lines) == 0 {
				return fmt.Errorf("lane %d of order %s: %w", p.Lane, p.fact.OrderID, errNotSeen)
			}
			done.facts = append(done.facts, p.answer(event.LaneReleased, books.giveBack(p.fact.OrderID, p.fact.ID, lines)))
		}
		return post(ctx, tx, books, done)
	})
}

// laneAsk is a fact by which an order wants its units in a lane, or gives them up.
type laneAsk struct {
	fact event.Fact
	event.LaneOrder
}

// laneKey is an order's part in a lane.
type laneKey struct {
	order uuid.UUID
	lane  int
}

func (p laneAsk) key() laneKey { return laneKey{p.fact.OrderID, p.Lane} }

func laneAsks(facts []event.Fact) ([]laneAsk, error) {
	list := make([]laneAsk, 0, len(facts))
	for _, f := range facts {
		part, err := event.Decode[event.LaneOrder](f)
		if err != nil {
			return nil, err
		}
		if f.Name == event.LaneReserveRequested {
			if err := (ask{fact: f, Order: part.Order}).settled(); err != nil {
				return nil, err
			}
		}
		list = append(list, laneAsk{f, part})
	}
	return list, nil
}

func (p laneAsk) answer(name event.Name, lines []event.StockLine) event.Fact {
	return p.fact.Answer(name, event.LaneStock{Lane: p.Lane, OrderStock: event.OrderStock{HoldID: p.HoldID, Lines: lines, Terms: p.Terms}})
}

// hear is the story of a verb: what was heard before is dropped, in the transaction of the effects.
func (s *Service) hear(ctx context.Context, what string, facts []event.Fact, do func(pgx.Tx, []event.Fact) error) error {
	err := s.db.InTx(ctx, func(tx pgx.Tx) error {
		fresh, err := inbox.Fresh(ctx, tx, Module, facts)
		if err != nil || len(fresh) == 0 {
			return err
		}
		return do(tx, fresh)
	})
	if err != nil {
		return fmt.Errorf("%s for %d facts: %w", what, len(facts), err)
	}
	return nil
}
