package order

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/failpoint"
	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// Purchase is a customer's wish to buy: the cart, or items at once.
type Purchase struct {
	Customer      string
	Key           string // Idempotency-Key
	Fingerprint   []byte
	PaymentMethod string
	Strategy      string // "": the configured one
	CartVersion   *int64 // nil: whatever the cart's version is
	Items         []Item // nil: buy the cart
	TraceParent   string
}

// Place makes an order of a purchase, once per customer and key, and gives its id. A repetition gives the same id and true.
func (s *Service) Place(ctx context.Context, p Purchase) (id uuid.UUID, replayed bool, err error) {
	id, at, err := orderOf(ctx, s.db, p.Customer, p.Key, p.Fingerprint)
	if err != nil || id != uuid.Nil {
		return id, id != uuid.Nil, err
	}
	unlock, taken, err := s.ports.Locks.Lock(ctx, p.Customer, p.Key)
	if err != nil {
		s.log.DebugContext(ctx, "idempotency lock", "error", err) // it only spares work: the key's row decides
	}
	// After a success the lock is left to end by itself: a twin that had looked up the key before there was an order does so again
	// then, instead of holding the units a second time when the order's own hold may have ended.
	defer func() {
		if err != nil || replayed {
			unlock()
		}
	}()
	if err == nil && !taken {
		return s.twin(ctx, p)
	}
	id, err = s.make(ctx, p, at.UTC())
	if err == nil {
		return id, false, nil
	}
	// A twin may have made the order since the key was looked up, and that may be why there is nothing to buy any more.
	if made, _, lost := orderOf(ctx, s.db, p.Customer, p.Key, p.Fingerprint); lost == nil && made != uuid.Nil {
		return made, true, nil
	}
	if errors.Is(err, errTwin) {
		return s.twin(ctx, p)
	}
	return uuid.Nil, false, err
}

// twin answers a request whose key another request is using: with that one's order if it is there by now.
func (s *Service) twin(ctx context.Context, p Purchase) (uuid.UUID, bool, error) {
	id, _, err := orderOf(ctx, s.db, p.Customer, p.Key, p.Fingerprint)
	if err != nil || id != uuid.Nil {
		return id, id != uuid.Nil, err
	}
	f := fault.New(fault.IdempotencyKeyInUse, "A request with this Idempotency-Key is still running.")
	f.RetryAfter = time.Second
	return uuid.Nil, false, f
}

func (s *Service) make(ctx context.Context, p Purchase, at time.Time) (uuid.UUID, error) {
	strategy, ok := s.ports.Strategies.Choose(p.Strategy)
	if !ok {
		return uuid.Nil, fault.Unprocessable("The strategy %q is not one that orders may ask for.", p.Strategy).
			With(fault.Line{Field: "strategy", Detail: "not allowed"})
	}
	o := &Order{
		ID: clock.NewID(), Customer: p.Customer, Strategy: strategy, Version: 1, CreatedAt: at,
		State: State{Status: Created, Payment: PaymentNotStarted, Inventory: InventoryNotStarted},
		Terms: event.Terms{PaymentMethod: p.PaymentMethod},
	}
	o.Deadline = o.CreatedAt.Add(s.limits.TimeOut)
	if s.ports.Strategies.PaysFirst(strategy) {
		o.Payment = PaymentPending
	}
	if p.Items == nil {
		return o.ID, s.buyCart(ctx, o, p)
	}
	return o.ID, s.buyNow(ctx, o, p)
}

// buyCart commits an order of the cart, whose units are held already: the cart's id stays their hold.
func (s *Service) buyCart(ctx context.Context, o *Order, p Purchase) (err error) {
	until := o.Deadline.Add(holdMargin)
	basket, err := s.ports.Carts.Checkout(ctx, p.Customer, p.CartVersion, until)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.ports.Carts.GiveUp(ctx, basket)
		}
	}()
	if err := s.price(ctx, o, basket.Items); err != nil {
		return err
	}
	if err := s.keepPromise(ctx, o, basket); err != nil {
		return err
	}
	o.CartID, o.HoldID = basket.CartID, basket.CartID
	if !s.limits.HoldOnOrder {
		o.HoldID = uuid.Nil
	}
	if err := s.commit(ctx, o, p, &basket); err != nil {
		return err
	}
	switch {
	case o.HoldID == uuid.Nil:
		s.giveBack(ctx, basket.CartID, o)
	case basket.Until.Before(until): // the comparison gives it the rest
		s.doubt()
	}
	return nil
}

// buyNow holds the units first, under an id that every repetition of the request has too. When the order does not come to be
// they are given back. They are not when it is not known whether it did (the commit's answer was lost), nor when a twin has made it
// in spite of the lock: the hold is that order's, unless it had ended already and was taken anew. The comparison of holds and rows finds out.
func (s *Service) buyNow(ctx context.Context, o *Order, p Purchase) error {
	items, err := merge(p.Items, s.limits)
	if err != nil {
		return err
	}
	if err := s.price(ctx, o, items); err != nil {
		return err
	}
	if s.limits.HoldOnOrder {
		o.HoldID = holdIDOf(p)
		short, err := s.ports.Holds.HoldAll(ctx, o.HoldID, o.Customer, items, o.Deadline.Add(holdMargin))
		if err != nil && !errors.Is(err, ErrNothingHeld) {
			s.doubt()
		}
		if err != nil {
			return err
		}
		if len(short) > 0 {
			return outOfStock(o, items, short)
		}
	}
	err = s.commit(ctx, o, p, nil)
	switch {
	case err == nil || o.HoldID == uuid.Nil:
	case postgres.Unavailable(err), errors.Is(err, errTwin):
		s.doubt()
	default:
		s.giveBack(ctx, o.HoldID, o)
	}
	return err
}

// holdIDOf names the hold of a purchase without a cart after its customer, key and contents, so that an attempt whose answer was
// lost and the one that follows it hold the units once.
func holdIDOf(p Purchase) uuid.UUID {
	name := fmt.Appendf(nil, "%q %q ", p.Customer, p.Key)
	return uuid.NewHash(sha256.New(), uuid.Nil, append(name, p.Fingerprint...), 8)
}

func (s *Service) commit(ctx context.Context, o *Order, p Purchase, basket *Basket) error {
	key := idempotencyKey{key: p.Key, fingerprint: p.Fingerprint, life: s.limits.KeyLife}
	created := o.created(p.TraceParent)
	err := s.db.Together(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if basket != nil {
			if err := s.ports.Carts.Take(ctx, tx, *basket, o.ID); err != nil {
				return err
			}
		}
		err := insert(ctx, tx, o, created, key)
		if err == nil {
			err = s.ports.Course.Begin(ctx, created)
		}
		failpoint.Reach("placing")
		return err
	})
	failpoint.Reach("placed")
	if errors.Is(err, errCartBought) {
		return fault.New(fault.CartChanged, "The cart was bought by another request.")
	}
	return err
}

// patience is how long a request that asks for no wait goes on with its order, where the strategy has that done in the request.
const patience = 10 * time.Second

// Follow goes on with an order that Place has just made under the strategy that was asked for, where that is done in the request:
// until all is done that can be done here, the caller's wait is over, or, when there is none, its patience. It gives what is left
// of the wait. What is under way then goes on.
func (s *Service) Follow(ctx context.Context, asked string, id uuid.UUID, wait time.Duration) time.Duration {
	strategy, _ := s.ports.Strategies.Choose(asked)
	over := s.ports.Course.Follow(ctx, strategy, id)
	if over == nil {
		return wait
	}
	began, timer := time.Now(), time.NewTimer(cmp.Or(wait, patience))
	defer timer.Stop()
	select {
	case <-over:
	case <-timer.C:
	case <-ctx.Done():
	}
	return max(wait-time.Since(began), 0)
}

// giveBack ends a hold that no order needs. If Redis cannot be reached the hold ends by its expiry.
func (s *Service) giveBack(ctx context.Context, holdID uuid.UUID, o *Order) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	products := make([]uuid.UUID, len(o.Lines))
	for i, l := range o.Lines {
		products[i] = l.ProductID
	}
	if err := s.ports.Holds.Release(ctx, holdID, products); err != nil {
		s.doubt()
		s.log.WarnContext(ctx, "hold left to its expiry", "hold", holdID, "error", err)
	}
}

// created is the fact that the order was made.
func (o *Order) created(traceParent string) event.Fact {
	lines := make([]event.OrderLine, len(o.Lines))
	for i, l := range o.Lines {
		lines[i] = event.OrderLine{ProductID: l.ProductID, Quantity: l.Quantity}
	}
	f := event.New(event.OrderCreated, o.Strategy, o.ID,
		event.Order{Customer: o.Customer, HoldID: o.HoldID, Lines: lines, Terms: o.Terms})
	f.TraceParent = traceParent
	return f
}

// merge makes one line of the same product in several, in the order in which products first come.
func merge(items []Item, limits Limits) ([]Item, error) {
	merged := make([]Item, 0, len(items))
	place := make(map[uuid.UUID]int, len(items))
	var units int64 // at most so many lines of so many units each, which is far from the end of an int64
	for i, item := range items {
		at, seen := place[item.ProductID]
		if !seen {
			at = len(merged)
			place[item.ProductID] = at
			merged = append(merged, Item{ProductID: item.ProductID})
		}
		if item.Quantity < 1 {
			return nil, fault.Unprocessable("A quantity must be 1 or more.").With(wrongLine(i, item, "quantity below 1"))
		}
		if item.Quantity > limits.MaxQuantity-merged[at].Quantity {
			return nil, fault.Exceeded(fault.Limit{Name: fault.MaxQuantity, Allowed: limits.MaxQuantity},
				"An order has at most %d units of a product.", limits.MaxQuantity).With(wrongLine(i, item, "too many units"))
		}
		merged[at].Quantity += item.Quantity
		if units += item.Quantity; limits.MaxUnits > 0 && units > limits.MaxUnits {
			return nil, fault.Exceeded(fault.Limit{Name: fault.MaxCartUnits, Allowed: limits.MaxUnits},
				"An order has at most %d units.", limits.MaxUnits).With(wrongLine(i, item, "too many units in all"))
		}
	}
	if len(merged) == 0 {
		return nil, fault.New(fault.CartEmpty, "There are no items to buy.")
	}
	if len(merged) > limits.MaxLines {
		return nil, fault.Exceeded(fault.Limit{Name: fault.MaxLines, Allowed: int64(limits.MaxLines)}, "An order has at most %d lines.", limits.MaxLines)
	}
	return merged, nil
}

func outOfStock(o *Order, items []Item, short []Short) error {
	f := fault.New(fault.OutOfStock, "Some of it cannot be had in these quantities.")
	for _, missing := range short {
		if missing.Limit != nil {
			f = fault.Exceeded(*missing.Limit, "Some of it is more than one customer may have at once.")
			break
		}
	}
	for _, missing := range short {
		at := slices.IndexFunc(items, func(i Item) bool { return i.ProductID == missing.ProductID })
		line := wrongLine(at, items[at], "not enough in stock")
		if missing.Limit != nil {
			line.Detail, line.Limit, line.Allowed = "over a limit", missing.Limit.Name, &missing.Limit.Allowed
		}
		line.SKU, line.Requested, line.Available = o.Lines[at].SKU, &items[at].Quantity, &missing.Available
		f = f.With(line)
	}
	if len(short) == 1 {
		f.Available = &short[0].Available
	}
	return f
}

func wrongLine(i int, item Item, detail string) fault.Line {
	return fault.Line{Field: fmt.Sprintf("items[%d]", i), ProductID: item.ProductID.String(), Detail: detail}
}
