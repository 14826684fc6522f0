package inventory_test

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/inventory"
)

// holders is what carts and orders have in their rows.
type holders struct {
	mu    sync.Mutex
	live  map[[2]uuid.UUID]inventory.LiveHold
	read  func() // called when a page of rows has been read
	pages int    // of carts' rows that were read

	orders *orders
}

func (h *holders) set(hold inventory.LiveHold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.live == nil {
		h.live = map[[2]uuid.UUID]inventory.LiveHold{}
	}
	key := [2]uuid.UUID{hold.HoldID, hold.ProductID}
	if h.live[key] = hold; hold.Quantity == 0 {
		delete(h.live, key)
	}
}

// sorted gives the holds that are wanted, by the id that is their place.
func (h *holders) sorted(of func(inventory.LiveHold) uuid.UUID, wanted func(inventory.LiveHold) bool) []inventory.LiveHold {
	h.mu.Lock()
	defer h.mu.Unlock()
	var found []inventory.LiveHold
	for _, hold := range h.live {
		if hold.ExpiresAt.After(time.Now()) && wanted(hold) {
			found = append(found, hold)
		}
	}
	slices.SortFunc(found, func(a, b inventory.LiveHold) int {
		one, other := of(a), of(b)
		return bytes.Compare(one[:], other[:])
	})
	return found
}

func (h *holders) InCarts(_ context.Context, products, after []uuid.UUID, most int) ([]inventory.LiveHold, map[uuid.UUID]uuid.UUID, error) {
	var page []inventory.LiveHold
	ends := map[uuid.UUID]uuid.UUID{}
	for i, p := range products {
		found := h.sorted(byHold, func(l inventory.LiveHold) bool {
			return l.OrderID == uuid.Nil && l.ProductID == p && bytes.Compare(l.HoldID[:], after[i][:]) > 0
		})
		if len(found) >= most {
			found = found[:most]
			ends[p] = found[most-1].HoldID
		}
		page = append(page, found...)
	}
	h.mu.Lock()
	h.pages++
	h.mu.Unlock()
	h.wasRead()
	return page, ends, nil
}

func (h *holders) OnOrder(_ context.Context, products []uuid.UUID, after uuid.UUID, most int) ([]inventory.LiveHold, uuid.UUID, bool, error) {
	found := h.sorted(byOrder, func(l inventory.LiveHold) bool {
		return l.OrderID != uuid.Nil && slices.Contains(products, l.ProductID) && bytes.Compare(l.OrderID[:], after[:]) > 0
	})
	more := len(found) >= most
	if more {
		found = found[:most]
		after = found[most-1].OrderID
	}
	h.wasRead()
	return found, after, more, nil
}

func (h *holders) Of(_ context.Context, hold uuid.UUID, products []uuid.UUID) ([]inventory.LiveHold, error) {
	return h.sorted(byHold, func(l inventory.LiveHold) bool { return l.HoldID == hold && slices.Contains(products, l.ProductID) }), nil
}

func (h *holders) HoldsOf(_ context.Context, ids []uuid.UUID) (map[uuid.UUID]uuid.UUID, error) {
	orders, err := h.orders.Lines(context.Background(), nil, ids)
	found := map[uuid.UUID]uuid.UUID{}
	for id, order := range orders {
		found[id] = order.HoldID
	}
	return found, err
}

func byHold(l inventory.LiveHold) uuid.UUID  { return l.HoldID }
func byOrder(l inventory.LiveHold) uuid.UUID { return l.OrderID }

func (h *holders) wasRead() {
	h.mu.Lock()
	read := h.read
	h.mu.Unlock()
	if read != nil {
		read()
	}
}
