package inventory

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inbox"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// Orders knows the lines of orders, for facts that do not carry them.
type Orders interface {
	// Lines gives lines, hold id and terms of the orders by one query. An order that does not exist is left out.
	Lines(ctx context.Context, tx pgx.Tx, orderIDs []uuid.UUID) (map[uuid.UUID]event.Order, error)
}

// Service is the module's verbs on the books and the catalogue.
type Service struct {
	// HoldsOf gives, when set, what a customer's cart and orders under way hold of a product, as their rows say.
	HoldsOf func(ctx context.Context, customer string, productID uuid.UUID) ([]LiveHold, error)

	// Lanes is how many lanes stock is split over, for the verbs of lanes; 0 means 1.
	Lanes int

	db     *postgres.DB
	orders Orders
	shelf  *Shelf
	log    *slog.Logger
}

// New makes the module. The shelf answers what can be held now.
func New(db *postgres.DB, orders Orders, shelf *Shelf, log *slog.Logger) *Service {
	return &Service{db: db, orders: orders, shelf: shelf, log: log}
}

// Reserve hears facts by which orders want their units. In the order in which they came, each order gets all of its lines
// (stock.reserved) or none (stock.failed, with the lines that could not be had). An order that was decided or given up
// before gets nothing more, and nothing is said.
func (s *Service) Reserve(ctx context.Context, facts []event.Fact) error {
	err := s.db.InTx(ctx, func(tx pgx.Tx) error {
		fresh, err := inbox.Fresh(ctx, tx, Module, facts)
		if err != nil || len(fresh) == 0 {
			return err
		}
		wanted, err := s.wanted(ctx, tx, fresh)
		if err != nil {
			return err
		}
		return reserve(ctx, tx, wanted)
	})
	if err != nil {
		return fmt.Errorf("reserve for %d facts: %w", len(facts), err)
	}
	return nil
}

// wanted reads what orders ask for, from the facts, and the lines that these do not carry from the orders.
func (s *Service) wanted(ctx context.Context, tx pgx.Tx, facts []event.Fact) ([]ask, error) {
	list, err := asks(facts)
	if err != nil {
		return nil, err
	}
	var without []uuid.UUID
	for _, a := range list {
		if len(a.Lines) == 0 {
			without = append(without, a.fact.OrderID)
		}
	}
	if len(without) > 0 {
		orders, err := s.orders.Lines(ctx, tx, without)
		if err != nil {
			return nil, fmt.Errorf("lines of %d orders: %w", len(without), err)
		}
		for i := range list {
			if a := &list[i]; len(a.Lines) == 0 {
				order, found := orders[a.fact.OrderID]
				if !found {
					return nil, inbox.Unseen(ctx, tx, a.fact.OrderID)
				}
				a.Lines, a.HoldID, a.Terms = order.Lines, order.HoldID, cmp.Or(a.Terms, order.Terms)
			}
		}
	}
	for i := range list {
		list[i].Lines = merged(list[i].Lines)
		if err := list[i].settled(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// reserve decides and writes. An order is claimed before the stock is locked, so that whoever asks for the same order at
// the same time waits here, and everyone takes locks in one order: reservations, then stock, both by id.
func reserve(ctx context.Context, tx pgx.Tx, wanted []ask) error {
	claimed, err := claim(ctx, tx, Reserved, wanted)
	if err != nil {
		return err
	}
	wanted = slices.DeleteFunc(wanted, func(a ask) bool { return !claimed[a.fact.OrderID] })
	if len(wanted) == 0 {
		return nil
	}
	lists := make([][]event.OrderLine, len(wanted))
	for i, a := range wanted {
		lists[i] = a.Lines
	}
	books, err := lockBooks(ctx, tx, productsOf(lists...))
	if err != nil {
		return err
	}
	var done posting
	for _, a := range wanted {
		if taken, short := books.take(a.fact.OrderID, a.fact.ID, a.Lines); short != nil {
			done.failed = append(done.failed, a.fact.OrderID)
			done.facts = append(done.facts, a.answer(event.StockFailed, short))
		} else {
			done.taken = append(done.taken, a)
			done.facts = append(done.facts, a.answer(event.StockReserved, taken))
		}
	}
	return post(ctx, tx, books, done)
}

// Release hears facts by which orders give up their units. What an order had taken is given back; for one that had not
// asked yet a mark is left, so that it never takes any. Either way stock.released is said, once for each order, but for
// those that were out of stock: nothing was taken and stock.failed said so.
func (s *Service) Release(ctx context.Context, facts []event.Fact) error {
	err := s.db.InTx(ctx, func(tx pgx.Tx) error {
		fresh, err := inbox.Fresh(ctx, tx, Module, facts)
		if err != nil || len(fresh) == 0 {
			return err
		}
		given, err := asks(fresh)
		if err != nil {
			return err
		}
		return release(ctx, tx, given)
	})
	if err != nil {
		return fmt.Errorf("release for %d facts: %w", len(facts), err)
	}
	return nil
}

func release(ctx context.Context, tx pgx.Tx, given []ask) error {
	never, err := claim(ctx, tx, Released, given)
	if err != nil {
		return err
	}
	held, err := lockReserved(ctx, tx, given, never)
	if err != nil {
		return err
	}
	lists := make([][]event.OrderLine, 0, len(held))
	for _, lines := range held {
		lists = append(lists, lines)
	}
	books, err := lockBooks(ctx, tx, productsOf(lists...))
	if err != nil {
		return err
	}
	var done posting
	for _, a := range given {
		order := a.fact.OrderID
		lines, had := held[order]
		if had {
			done.returned = append(done.returned, a)
		}
		if had || never[order] {
			done.facts = append(done.facts, a.answer(event.StockReleased, books.giveBack(order, a.fact.ID, lines)))
		}
	}
	return post(ctx, tx, books, done)
}
