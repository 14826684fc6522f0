package inventory_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
)

// buyer takes one unit after the other through all that a unit goes through: held by a cart, extended at checkout, reserved
// in the books, settled on the shelf, with the facts late, twice and in any order. Some carts are given back.
type buyer struct {
	*shop
	product uuid.UUID
	sold    *atomic.Int64
	late    []event.Fact // of its orders, not yet heard by the shelf
}

// buy says whether there may be more to buy.
func (b *buyer) buy(ctx context.Context) bool {
	cart, until := uuid.Must(uuid.NewV7()), in(time.Minute)
	answers, err := b.shelf.Hold(ctx, cart, []event.OrderLine{line(b.product, 1)}, until)
	if err != nil {
		b.t.Error(err)
		return false
	}
	if !answers[0].Held {
		return false
	}
	row := inventory.LiveHold{HoldID: cart, ProductID: b.product, Quantity: 1, ExpiresAt: until}
	b.holders.set(row)
	if rand.IntN(4) == 0 { // the row goes first
		row.Quantity = 0
		b.holders.set(row)
		if err := b.shelf.Release(ctx, cart, []uuid.UUID{b.product}); err != nil {
			b.t.Error(err)
		}
		return true
	}
	extended, err := b.shelf.Extend(ctx, cart, []uuid.UUID{b.product}, until.Add(time.Minute))
	if err != nil || extended[0].Outcome != inventory.Extended {
		b.t.Errorf("at checkout the hold was %+v, %v", extended, err)
		return false
	}
	b.order(ctx, row)
	return true
}

// order is sure to get its unit, because it was held.
func (b *buyer) order(ctx context.Context, row inventory.LiveHold) {
	order := event.New(event.OrderCreated, "optimistic", uuid.Must(uuid.NewV7()), event.Order{HoldID: row.HoldID, Lines: []event.OrderLine{line(b.product, 1)}})
	row.OrderID = order.OrderID
	b.holders.set(row)
	if err := b.books.Reserve(ctx, []event.Fact{order}); err != nil {
		b.t.Error(err)
		return
	}
	said := b.said(order.OrderID)
	if len(said) != 1 || said[0].Name != event.StockReserved {
		b.t.Errorf("an order with a hold was told %v", names(said))
		return
	}
	b.sold.Add(1)
	b.late = append(b.late, said...)
	if rand.IntN(3) == 0 {
		b.deliver(ctx)
	}
	row.Quantity = 0 // order has heard
	b.holders.set(row)
}

// deliver lets the shelf hear what is late, some of it twice.
func (b *buyer) deliver(ctx context.Context) {
	batch := append(append([]event.Fact{}, b.late...), b.late[:rand.IntN(len(b.late)+1)]...)
	rand.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
	if err := b.shelf.Settle(ctx, batch); err != nil {
		b.t.Error(err)
	}
	if rand.IntN(2) == 0 {
		b.late = nil
	}
}

// There is no moment in which a unit that somebody holds is free: if there were, more would hold than there are units, and
// one of them would be told that it is out of stock. Meanwhile the stock is thrown off the shelf and loaded again and again.
func TestNobodyWhoHoldsIsOutOfStock(t *testing.T) {
	onEach(t, func(t *testing.T, s *shop) {
		const units = 120
		p := s.sell(units)[0]
		var sold atomic.Int64
		ctx, stop := context.WithCancel(t.Context())
		var buyers, chaos sync.WaitGroup
		chaos.Go(func() {
			for ctx.Err() == nil {
				s.redis.Del(ctx, s.keys.Product(p)[0])
				if _, err := s.shelf.Available(ctx, []uuid.UUID{p}); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
		all := make([]*buyer, 8)
		for i := range all {
			all[i] = &buyer{shop: s, product: p, sold: &sold}
			buyers.Go(func() {
				for !t.Failed() && all[i].buy(ctx) {
				}
			})
		}
		buyers.Wait()
		stop()
		chaos.Wait()
		for _, b := range all {
			b.deliver(t.Context())
		}
		// a buyer may have been refused while another held a unit that it gave back: what is left can be had
		last := &buyer{shop: s, product: p, sold: &sold}
		for !t.Failed() && last.buy(t.Context()) {
		}
		last.deliver(t.Context())
		s.wantFree(p, 0)
		s.wantBooks(p, 0, units)
		s.wantConserved()
		if n := sold.Load(); n != units {
			t.Errorf("%d of %d units were sold", n, units)
		}
		if n := s.redis.HLen(t.Context(), s.keys.Product(p)[2]).Val(); n != 0 {
			t.Errorf("%d holds are left", n)
		}
	})
}
