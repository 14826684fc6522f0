package inventory

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

// Gather hears what lanes answer. An order whose lanes have all taken their lines has got its units (stock.reserved); if one of
// them could not, the others are asked to give back, and then it has got none (stock.failed). One that was given up meanwhile is
// given back by all (stock.released).
func (s *Service) Gather(ctx context.Context, facts []event.Fact) error {
	return s.hear(ctx, "gather", facts, func(tx pgx.Tx, fresh []event.Fact) error {
		orders, last, err := answers(ctx, tx, fresh)
		if err != nil {
			return err
		}
		return conclude(ctx, tx, orders, last, func(g *gathering, _ ask) next { return g.answered() })
	})
}

// answers lets gatherings hear what lanes answered, and gives them with the last fact of each.
func answers(ctx context.Context, tx pgx.Tx, facts []event.Fact) (map[uuid.UUID]*gathering, []ask, error) {
	newest := slices.Clone(facts)
	slices.Reverse(newest)
	last, err := asks(newest)
	if err != nil {
		return nil, nil, err
	}
	orders, err := lockGatherings(ctx, tx, last)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range facts {
		g := orders[f.OrderID]
		if g == nil {
			return nil, nil, fmt.Errorf("order %s: %w", f.OrderID, errNotSeen)
		}
		switch f.Name {
		case event.LaneReserved:
			g.took()
		case event.LaneFailed:
			said, err := event.Decode[event.LaneStock](f)
			if err != nil {
				return nil, nil, err
			}
			g.failed(said.Lines)
		default:
			g.returned()
		}
	}
	return orders, last, nil
}

// Recall hears facts by which orders whose lines are in lanes give up their units. Lanes that have taken give back, and once all
// have, stock.released is said; while some have not answered, that is waited for. Of an order that had not asked yet a mark is
// left, so that it never takes any.
func (s *Service) Recall(ctx context.Context, facts []event.Fact) error {
	return s.hear(ctx, "recall", facts, func(tx pgx.Tx, fresh []event.Fact) error {
		given, err := asks(fresh)
		if err != nil {
			return err
		}
		never, err := claim(ctx, tx, Released, given)
		if err != nil {
			return err
		}
		var said []event.Fact
		given = slices.DeleteFunc(given, func(a ask) bool {
			if never[a.fact.OrderID] {
				said = append(said, a.answer(event.StockReleased, nil))
			}
			return never[a.fact.OrderID]
		})
		if err := post(ctx, tx, openBooks(nil), posting{facts: said}); err != nil {
			return err
		}
		orders, err := lockGatherings(ctx, tx, given)
		if err != nil {
			return err
		}
		return conclude(ctx, tx, orders, given, func(g *gathering, a ask) next { return g.giveUp(a.fact.ID) })
	})
}

// conclude applies a rule to gatherings, writes what has changed and says what follows, of each in answer to its fact.
func conclude(ctx context.Context, tx pgx.Tx, orders map[uuid.UUID]*gathering, facts []ask, rule func(*gathering, ask) next) error {
	steps := make(map[uuid.UUID]next, len(facts))
	var to []uuid.UUID
	for _, a := range facts {
		if g := orders[a.fact.OrderID]; g != nil {
			if steps[a.fact.OrderID] = rule(g, a); steps[a.fact.OrderID] != wait {
				to = append(to, a.fact.OrderID)
			}
		}
	}
	lines, err := laneLines(ctx, tx, to)
	if err != nil {
		return err
	}
	var said []event.Fact
	for _, a := range facts {
		g, id := orders[a.fact.OrderID], a.fact.OrderID
		if g == nil || steps[id] == wait {
			continue
		}
		if g.Taken != lines[id].lanes() {
			return fmt.Errorf("order %s: %d lanes have taken, and %d are to be seen: %w", id, g.Taken, lines[id].lanes(), errNotSeen)
		}
		if steps[id] == fetch {
			said = append(said, a.askLanes(event.LaneReleaseRequested, lines[id].parts())...)
		} else if g.State == OutOfStock {
			said = append(said, a.answer(g.says(), g.Short))
		} else {
			said = append(said, a.answer(g.says(), lines[id].stock()))
		}
	}
	return saveGatherings(ctx, tx, orders, said)
}

// laneLine is a line that a lane has taken, with its product's stock.
type laneLine struct {
	lane int
	event.StockLine
}

type laneLinesOf []laneLine

func (l laneLinesOf) parts() map[int][]event.OrderLine {
	parts := make(map[int][]event.OrderLine)
	for _, line := range l {
		parts[line.lane] = nil
	}
	return parts
}

func (l laneLinesOf) lanes() int { return len(l.parts()) }

func (l laneLinesOf) stock() []event.StockLine {
	lines := make([]event.StockLine, len(l))
	for i, line := range l {
		lines[i] = line.StockLine
	}
	slices.SortFunc(lines, func(a, b event.StockLine) int { return compareIDs(a.ProductID, b.ProductID) })
	return lines
}
