package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/cart"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
	"github.com/holdfast-checkout/holdfast/internal/order"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
)

// The modules never see each other. What one needs of another it declares as a port; here each port is tied to the module
// that fills it, and one module's shapes are turned into the other's.

// catalogueForOrders gives order what an order keeps of a product.
type catalogueForOrders struct{ m *modules }

func (c catalogueForOrders) Products(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]order.Product, error) {
	found, err := c.m.inventory.Products(ctx, ids)
	if err != nil {
		return nil, err
	}
	products := make(map[uuid.UUID]order.Product, len(found))
	for id, p := range found {
		products[id] = order.Product{ID: id, SKU: p.SKU, Name: p.Name, UnitPriceMinor: p.UnitPriceMinor, Currency: p.Currency}
	}
	return products, nil
}

// catalogueForCarts gives cart what a cart shows of a product.
type catalogueForCarts struct{ m *modules }

func (c catalogueForCarts) Products(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]cart.Product, error) {
	found, err := c.m.inventory.Products(ctx, ids)
	if err != nil {
		return nil, err
	}
	products := make(map[uuid.UUID]cart.Product, len(found))
	for id, p := range found {
		products[id] = cart.Product{ID: id, SKU: p.SKU, Name: p.Name, UnitPriceMinor: p.UnitPriceMinor, Currency: p.Currency, CutAt: p.CutAt}
	}
	return products, nil
}

// cartsForOrders lets order buy carts.
type cartsForOrders struct{ m *modules }

func (c cartsForOrders) Checkout(ctx context.Context, customer string, version *int64, until time.Time) (order.Basket, error) {
	b, err := c.m.cart.Checkout(ctx, customer, version, until)
	if err != nil {
		return order.Basket{}, err
	}
	basket := order.Basket{CartID: b.CartID, Version: b.Version, Until: b.ExpiresAt, Checkout: b.Checkout, Items: itemsOf(b.Lines), Shown: make([]fault.Price, len(b.Shown))}
	for i, l := range b.Shown {
		basket.Shown[i] = fault.Price{UnitPriceMinor: l.UnitPriceMinor, Currency: l.Currency}
	}
	return basket, nil
}

func (c cartsForOrders) ShowPrices(ctx context.Context, cartID uuid.UUID, lines []order.Line, currency string) error {
	shown := make([]cart.Line, len(lines))
	for i, l := range lines {
		shown[i] = cart.Line{ProductID: l.ProductID, UnitPriceMinor: l.UnitPriceMinor, Currency: currency}
	}
	return c.m.cart.ShowPrices(ctx, cartID, shown)
}

func (c cartsForOrders) Take(ctx context.Context, tx pgx.Tx, b order.Basket, orderID uuid.UUID) error {
	return c.m.cart.Take(ctx, tx, b.CartID, b.Version, orderID)
}

func (c cartsForOrders) GiveUp(ctx context.Context, b order.Basket) {
	products := make([]uuid.UUID, len(b.Items))
	for i, item := range b.Items {
		products[i] = item.ProductID
	}
	c.m.cart.GiveUp(ctx, b.CartID, b.Checkout, products)
}

func itemsOf(lines []event.OrderLine) []order.Item {
	items := make([]order.Item, len(lines))
	for i, l := range lines {
		items[i] = order.Item{ProductID: l.ProductID, Quantity: l.Quantity}
	}
	return items
}

// linesForInventory lets inventory ask for the lines of orders whose facts carry none.
type linesForInventory struct{ m *modules }

func (l linesForInventory) Lines(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) (map[uuid.UUID]event.Order, error) {
	return l.m.order.Lines(ctx, tx, ids)
}

// liveHolds gives the shelf every hold that Postgres still counts as live, of carts and of orders under way, for a Redis that
// has to be filled again. An order whose units inventory has decided on holds nothing any more, even if order has not heard.
type liveHolds struct{ m *modules }

func (l liveHolds) InCarts(ctx context.Context, products, after []uuid.UUID, most int) ([]inventory.LiveHold, map[uuid.UUID]uuid.UUID, error) {
	carts, ends, err := l.m.cart.LiveHolds(ctx, products, after, most)
	return ofCarts(carts), ends, err
}

func (l liveHolds) OnOrder(ctx context.Context, products []uuid.UUID, after uuid.UUID, most int) ([]inventory.LiveHold, uuid.UUID, bool, error) {
	orders, end, more, err := l.m.order.LiveHolds(ctx, products, after, most)
	return ofOrders(orders), end, more, err
}

// Of reads the cart before the orders: one that is bought in between comes as both, and is not missed.
func (l liveHolds) Of(ctx context.Context, holdID uuid.UUID, products []uuid.UUID) ([]inventory.LiveHold, error) {
	inCart, err := l.m.cart.Holds(ctx, holdID, products)
	if err != nil {
		return nil, err
	}
	onOrder, err := l.m.order.Holds(ctx, holdID, products)
	return append(ofCarts(inCart), ofOrders(onOrder)...), err
}

func ofCarts(carts []cart.LiveHold) []inventory.LiveHold {
	holds := make([]inventory.LiveHold, len(carts))
	for i, h := range carts {
		holds[i] = inventory.LiveHold{HoldID: h.CartID, Customer: h.Customer, ProductID: h.ProductID, Quantity: h.Quantity, ExpiresAt: h.ExpiresAt}
	}
	return holds
}

func ofOrders(orders []order.Hold) []inventory.LiveHold {
	holds := make([]inventory.LiveHold, len(orders))
	for i, h := range orders {
		holds[i] = inventory.LiveHold{HoldID: h.HoldID, OrderID: h.OrderID, Customer: h.Customer, ProductID: h.ProductID, Quantity: h.Quantity, ExpiresAt: h.ExpiresAt}
	}
	return holds
}

func (l liveHolds) HoldsOf(ctx context.Context, orders []uuid.UUID) (map[uuid.UUID]uuid.UUID, error) {
	return l.m.order.HoldIDs(ctx, orders)
}

// purchasesForShelf tells the shelf what has become of a customer's orders.
type purchasesForShelf struct{ m *modules }

func (p purchasesForShelf) Over(ctx context.Context, customer string, holds, products []uuid.UUID) ([]uuid.UUID, map[uuid.UUID]time.Time, error) {
	return p.m.order.Over(ctx, customer, holds, products)
}

// holdsOf tells inventory what a customer's cart and orders hold of a product. The cart is read first: one that is bought in
// between comes twice, under one id.
func (m *modules) holdsOf(ctx context.Context, customer string, product uuid.UUID) ([]inventory.LiveHold, error) {
	inCart, err := m.cart.HoldOf(ctx, customer, product)
	if err != nil {
		return nil, err
	}
	onOrder, err := m.order.HoldsOf(ctx, customer, product)
	if err != nil {
		return nil, err
	}
	holds := ofOrders(onOrder)
	if inCart.Quantity > 0 {
		holds = append(ofCarts([]cart.LiveHold{inCart}), holds...)
	}
	return holds, nil
}

// shelfForCarts lets carts hold units.
type shelfForCarts struct{ shelf *inventory.Shelf }

func (s shelfForCarts) Hold(ctx context.Context, by cart.Holder, lines []event.OrderLine, until time.Time) (map[uuid.UUID]cart.Short, error) {
	answers, err := s.shelf.HoldFor(ctx, inventory.Holder{HoldID: by.CartID, Customer: by.Customer, Buying: by.Checkout != "", Checkout: by.Checkout, Back: by.Back}, lines, until)
	if errors.Is(err, inventory.ErrPast) {
		return nil, fmt.Errorf("%w: %w", cart.ErrPast, err)
	}
	if inventory.NothingHeld(err) {
		return nil, fmt.Errorf("%w: %w", cart.ErrNothingHeld, err)
	}
	if err != nil {
		return nil, err
	}
	short := make(map[uuid.UUID]cart.Short)
	for i, a := range answers {
		if !a.Held {
			short[lines[i].ProductID] = cart.Short{Available: a.Available, Limit: a.Limit}
		}
	}
	return short, nil
}

func (s shelfForCarts) Extend(ctx context.Context, by cart.Holder, lines []event.OrderLine, until time.Time) (cart.NotExtended, error) {
	products := make([]uuid.UUID, len(lines))
	for i, l := range lines {
		products[i] = l.ProductID
	}
	not := cart.NotExtended{Cut: map[uuid.UUID]cart.Short{}}
	answers, err := s.shelf.ExtendFor(ctx, inventory.Holder{HoldID: by.CartID, Checkout: by.Checkout}, products, until)
	for i, a := range answers {
		switch {
		case a.Outcome == inventory.Cut:
			not.Cut[products[i]] = cart.Short{Available: a.Quantity}
		case a.Outcome == inventory.Expired:
			not.Expired = append(not.Expired, products[i])
		case a.Outcome == inventory.Missing || a.Quantity < lines[i].Quantity:
			not.Lost = append(not.Lost, products[i])
		}
	}
	return not, err
}

func (s shelfForCarts) Covered(ctx context.Context, cartID uuid.UUID, products []uuid.UUID) (map[uuid.UUID]int64, error) {
	return s.shelf.Covered(ctx, cartID, products)
}

func (s shelfForCarts) UndoCheckout(ctx context.Context, cartID uuid.UUID, checkout string, products []uuid.UUID) error {
	return s.shelf.UndoCheckout(ctx, cartID, checkout, products)
}

func (s shelfForCarts) Release(ctx context.Context, cartID uuid.UUID, products []uuid.UUID) error {
	return s.shelf.Release(ctx, cartID, products)
}

func (s shelfForCarts) EndIfOver(ctx context.Context, cartID uuid.UUID, products []uuid.UUID) ([]uuid.UUID, error) {
	return s.shelf.EndIfOver(ctx, cartID, products)
}

// holdsForOrders lets orders that are bought without a cart hold their units.
type holdsForOrders struct{ shelf *inventory.Shelf }

func (h holdsForOrders) HoldAll(ctx context.Context, holdID uuid.UUID, customer string, items []order.Item, until time.Time) ([]order.Short, error) {
	lines := make([]event.OrderLine, len(items))
	for i, item := range items {
		lines[i] = event.OrderLine{ProductID: item.ProductID, Quantity: item.Quantity}
	}
	answers, all, err := h.shelf.HoldAllFor(ctx, inventory.Holder{HoldID: holdID, Customer: customer, Buying: true, Checkout: inventory.OrderMark}, lines, until)
	if inventory.NothingHeld(err) {
		err = fmt.Errorf("%w: %w", order.ErrNothingHeld, err)
	}
	if redisx.Unavailable(err) || errors.Is(err, inventory.ErrPast) { // the latter when a clock was moved just now
		f := fault.New(fault.Unavailable, "Nothing can be held at the moment; try again shortly.")
		f.RetryAfter = time.Second
		return nil, f.Because(err)
	}
	if err != nil || all {
		return nil, err
	}
	var short []order.Short
	for i, a := range answers {
		if !a.Held {
			short = append(short, order.Short{ProductID: items[i].ProductID, Available: a.Available, Limit: a.Limit})
		}
	}
	return short, nil
}

func (h holdsForOrders) Release(ctx context.Context, holdID uuid.UUID, products []uuid.UUID) error {
	return h.shelf.Release(ctx, holdID, products)
}

func (h holdsForOrders) Refresh(ctx context.Context, holds []order.Hold) (int, error) {
	return h.shelf.Refresh(ctx, ofOrders(holds))
}

// courseOfOrders has facts of orders heard where they are made, which takes the modules that are made after order.
type courseOfOrders struct{ m *modules }

func (c courseOfOrders) Begin(ctx context.Context, created event.Fact) error {
	return c.m.course.Begin(ctx, created)
}

func (c courseOfOrders) Follow(ctx context.Context, strategy string, orderID uuid.UUID) <-chan struct{} {
	return c.m.course.Follow(ctx, strategy, orderID)
}
