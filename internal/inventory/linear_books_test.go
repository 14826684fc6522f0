package inventory_test

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
)

// checkout buys the basket: its holds are extended, the books take the units, and the shelf hears of it. Whoever holds is
// never told that the books have too little, but where units were taken away.
func (c *client) checkout(ctx context.Context) error {
	got, err := c.extend(ctx, inventory.Holder{HoldID: c.cart, Checkout: "checkout"}, c.basket, in(2*time.Hour))
	if err != nil {
		return err
	}
	var facts []event.Fact
	var failed []*book
	for i, a := range got {
		if a.Outcome != inventory.Extended {
			continue
		}
		if taken, fact := c.take(c.basket[i], a.Quantity); taken {
			facts = append(facts, fact)
		} else {
			failed = append(failed, c.basket[i])
		}
	}
	c.basket = nil
	if len(failed) > 0 {
		if err := c.release(ctx, c.cart, failed); err != nil {
			return err
		}
	}
	return c.settle(ctx, facts)
}

// take takes units from the books, and is what they say of it.
func (c *client) take(b *book, units int64) (bool, event.Fact) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stock < units {
		if !b.cut {
			c.t.Errorf("somebody who held %d units of %s found %d in the books", units, b.product, b.stock)
		}
		return false, event.Fact{}
	}
	b.stock, b.version = b.stock-units, b.version+1
	now := event.StockLine{ProductID: b.product, Quantity: units, Available: b.stock, Version: b.version}
	return true, event.New(event.StockReserved, "optimistic", uuid.Must(uuid.NewV7()), event.OrderStock{HoldID: c.cart, Lines: []event.StockLine{now}})
}

// restock brings units, or takes some away.
func (c *client) restock(ctx context.Context, picked []*book) error {
	facts := make([]event.Fact, len(picked))
	for i, b := range picked {
		b.mu.Lock()
		moved := int64(3)
		if b.cut && b.stock >= 4 && c.random.IntN(2) == 0 {
			moved = -4
		}
		b.stock, b.version = b.stock+moved, b.version+1
		now := event.StockLine{ProductID: b.product, Quantity: max(moved, -moved), Available: b.stock, Version: b.version}
		b.mu.Unlock()
		facts[i] = event.New(event.StockAdjusted, event.Shop, uuid.Nil, event.Stock{Lines: []event.StockLine{now}})
	}
	return c.settle(ctx, facts)
}

// settle lets the shelf hear facts, each of another product, and keeps them for whoever delivers them late.
func (c *client) settle(ctx context.Context, facts []event.Fact) error {
	if len(facts) == 0 {
		return nil
	}
	c.late.Lock()
	c.said = append(c.said, facts...)
	if len(c.said) > 256 {
		c.said = c.said[len(c.said)-256:]
	}
	c.late.Unlock()
	acts := make([]act, len(facts))
	for i, f := range facts {
		said, err := event.Decode[event.OrderStock](f)
		if err != nil {
			return err
		}
		l := said.Lines[0]
		acts[i] = act{product: l.ProductID, verb: doSettle, quantity: l.Available, version: l.Version, ended: []uuid.UUID{said.HoldID}}
	}
	call := time.Now().UnixNano()
	err := c.shelf.Settle(ctx, facts)
	c.record(call, acts, make([]told, len(acts)))
	return err
}

// again delivers a fact that was said some time ago.
func (c *client) again(ctx context.Context) error {
	c.late.Lock()
	var facts []event.Fact
	if len(c.said) > 0 {
		facts = append(facts, c.said[c.random.IntN(len(c.said))])
	}
	c.late.Unlock()
	return c.settle(ctx, facts)
}
