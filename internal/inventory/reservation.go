package inventory

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

// States of what inventory did for an order. OUT_OF_STOCK and RELEASED are ends: RELEASED may come before anything was asked
// for, and then nothing ever will be taken.
const (
	Reserved   = "RESERVED"
	OutOfStock = "OUT_OF_STOCK"
	Released   = "RELEASED"
)

// ask is a fact by which an order wants its units, or gives them up.
type ask struct {
	fact event.Fact
	event.Order
}

// asks reads facts of orders. Whatever they say, their shapes share the names of hold_id, lines and the terms; what a fact
// does not carry is zero. Of several facts of one order the first counts.
func asks(facts []event.Fact) ([]ask, error) {
	seen := make(map[uuid.UUID]bool, len(facts))
	list := make([]ask, 0, len(facts))
	for _, f := range facts {
		if f.OrderID == uuid.Nil {
			return nil, fmt.Errorf("fact %s %s belongs to no order", f.Name, f.ID)
		}
		if seen[f.OrderID] {
			continue
		}
		seen[f.OrderID] = true
		order, err := event.Decode[event.Order](f)
		if err != nil {
			return nil, err
		}
		list = append(list, ask{fact: f, Order: order})
	}
	return list, nil
}

// settled says whether the lines of an order can be asked for: there are some, and each is of a product and of 1 unit or more.
func (a ask) settled() error {
	for _, l := range a.Lines {
		if l.ProductID == uuid.Nil || l.Quantity < 1 || l.Quantity > MaxStock {
			return fmt.Errorf("order %s: line of %d units of product %s", a.fact.OrderID, l.Quantity, l.ProductID)
		}
	}
	if len(a.Lines) == 0 {
		return fmt.Errorf("order %s has no lines", a.fact.OrderID)
	}
	return nil
}

// answer makes the fact that inventory says of the order. A list without lines is written as one, never as null.
func (a ask) answer(name event.Name, lines []event.StockLine) event.Fact {
	if lines == nil {
		lines = []event.StockLine{}
	}
	return a.fact.Answer(name, event.OrderStock{HoldID: a.HoldID, Lines: lines, Terms: a.Terms})
}
