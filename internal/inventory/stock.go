package inventory

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/event"
)

// Kinds of movement. The quantity of a movement is what it adds to the units that are available.
const (
	Opening     = "opening" // > 0, with a new product
	Restock     = "restock" // > 0, by an operator
	Adjust      = "adjust"  // < 0, by an operator
	ReserveKind = "reserve" // < 0, for an order
	ReleaseKind = "release" // > 0, what an order gives back
)

// Movement is one entry of the ledger of a product.
type Movement struct {
	ID        uuid.UUID
	ProductID uuid.UUID
	Kind      string
	Quantity  int64
	Balance   int64     // units available after it
	OrderID   uuid.UUID // zero but for reserve and release
	FactID    uuid.UUID // the fact that caused it; for the others the one that says it
	Reason    string
	At        time.Time
	Visible   bool   `db:"-"` // buyers are decided by it already; known to the restock that made it only
	OverHeld  *int64 `db:"-"` // units that are held beyond the stock after it, or nil; known likewise
}

// Stock is a product's stock row.
type Stock struct {
	ProductID uuid.UUID
	Available int64 // units that an order can still take
	Allocated int64 // units that orders have taken and not given back
	Version   int64
}

// Books are the stock rows that one transaction has locked, and what it does to them, in order.
type Books struct {
	stock     map[uuid.UUID]*Stock
	opened    map[uuid.UUID]int64 // version of each row as it was read
	movements []Movement
}

func openBooks(rows []Stock) *Books {
	b := &Books{stock: make(map[uuid.UUID]*Stock, len(rows)), opened: make(map[uuid.UUID]int64, len(rows))}
	for _, row := range rows {
		b.stock[row.ProductID] = &row
		b.opened[row.ProductID] = row.Version
	}
	return b
}

// take takes all lines for an order, or none: then the lines that could not be had are the answer. Each change counts the
// version on, so that every fact has a version of its own.
func (b *Books) take(orderID, factID uuid.UUID, lines []event.OrderLine) (taken, short []event.StockLine) {
	for _, l := range lines {
		s := b.stock[l.ProductID]
		if s == nil {
			short = append(short, event.StockLine{ProductID: l.ProductID, Quantity: l.Quantity})
		} else if s.Available < l.Quantity {
			short = append(short, event.StockLine{ProductID: l.ProductID, Quantity: l.Quantity, Available: s.Available, Version: s.Version})
		}
	}
	if short != nil {
		return nil, short
	}
	for _, l := range lines {
		s := b.stock[l.ProductID]
		s.Allocated += l.Quantity
		taken = append(taken, b.move(s, ReserveKind, -l.Quantity, orderID, factID, ""))
	}
	return taken, nil
}

// giveBack undoes take.
func (b *Books) giveBack(orderID, factID uuid.UUID, lines []event.OrderLine) []event.StockLine {
	moved := make([]event.StockLine, 0, len(lines))
	for _, l := range lines {
		s := b.stock[l.ProductID]
		s.Allocated -= l.Quantity
		moved = append(moved, b.move(s, ReleaseKind, l.Quantity, orderID, factID, ""))
	}
	return moved
}

// open gives a new product its first units, if there are any.
func (b *Books) open(productID, factID uuid.UUID, quantity int64) event.StockLine {
	s := b.stock[productID]
	if quantity == 0 {
		return event.StockLine{ProductID: productID, Version: s.Version}
	}
	return b.move(s, Opening, quantity, uuid.Nil, factID, "")
}

// adjust adds or takes away units by an operator's word, never below zero nor above MaxStock.
func (b *Books) adjust(productID, factID uuid.UUID, quantity int64, reason string) (event.StockLine, error) {
	s := b.stock[productID]
	switch {
	case s.Available+quantity < 0:
		return event.StockLine{}, errBelowZero
	case s.Available+quantity > MaxStock:
		return event.StockLine{}, errTooMuch
	}
	kind := Restock
	if quantity < 0 {
		kind = Adjust
	}
	line := b.move(s, kind, quantity, uuid.Nil, factID, reason)
	line.Quantity = quantity
	return line, nil
}

var (
	errBelowZero = errors.New("the stock would be below zero")
	errTooMuch   = errors.New("the stock would be more than a product can have")
)

// move changes what is available, in the row and in the ledger. The line says how many units moved, without a sign.
func (b *Books) move(s *Stock, kind string, quantity int64, orderID, factID uuid.UUID, reason string) event.StockLine {
	s.Available += quantity
	s.Version++
	b.movements = append(b.movements, Movement{
		ID: clock.NewID(), ProductID: s.ProductID, Kind: kind, Quantity: quantity, Balance: s.Available,
		OrderID: orderID, FactID: factID, Reason: reason,
	})
	return event.StockLine{ProductID: s.ProductID, Quantity: max(quantity, -quantity), Available: s.Available, Version: s.Version}
}

// changed gives the rows that are to be written, by product.
func (b *Books) changed() []*Stock {
	var rows []*Stock
	for _, id := range slices.SortedFunc(maps.Keys(b.stock), compareIDs) {
		if s := b.stock[id]; s.Version != b.opened[id] {
			rows = append(rows, s)
		}
	}
	return rows
}

func compareIDs(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }

// merged gives each product once, in the order in which they first come.
func merged(lines []event.OrderLine) []event.OrderLine {
	at := make(map[uuid.UUID]int, len(lines))
	one := make([]event.OrderLine, 0, len(lines))
	for _, l := range lines {
		if i, there := at[l.ProductID]; there {
			one[i].Quantity += l.Quantity
			continue
		}
		at[l.ProductID] = len(one)
		one = append(one, l)
	}
	return one
}

// productsOf gives the distinct products of several lists of lines, sorted, so that everyone locks them in one order.
func productsOf(lists ...[]event.OrderLine) []uuid.UUID {
	var ids []uuid.UUID
	for _, lines := range lists {
		for _, l := range lines {
			ids = append(ids, l.ProductID)
		}
	}
	slices.SortFunc(ids, compareIDs)
	return slices.Compact(ids)
}
