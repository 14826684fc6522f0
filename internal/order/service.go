package order

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/inbox"
	"github.com/holdfast-checkout/holdfast/internal/outbox"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// Module names of the two inboxes that this package keeps.
const (
	Module     = "order"
	ViewModule = "view"
)

// Product is what an order keeps of a product at the moment in which it is made.
type Product struct {
	ID             uuid.UUID
	SKU            string
	Name           string
	UnitPriceMinor int64
	Currency       string
}

// Item is a wish for units of a product.
type Item struct {
	ProductID uuid.UUID
	Quantity  int64
}

// Basket is a cart on its way into an order, its units held.
type Basket struct {
	CartID   uuid.UUID
	Version  int64
	Until    time.Time // until when its units are held; sooner than was asked for when only the cart's rows could say
	Items    []Item
	Checkout string        // what the cart knows this checkout by
	Shown    []fault.Price // what the customer was last shown of each item
}

// Short is a line that could not be held.
type Short struct {
	ProductID uuid.UUID
	Available int64        // units that could be had
	Limit     *fault.Limit // the limit that it met; nil: there are not enough
}

// Catalogue knows names and prices. Products that are not known are left out of the answer.
type Catalogue interface {
	Products(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]Product, error)
}

// Carts gives a customer's cart for buying.
type Carts interface {
	// Checkout reads the cart and keeps its units held until then. The version wanted, if any, must be the current one.
	Checkout(ctx context.Context, customer string, version *int64, until time.Time) (Basket, error)
	// GiveUp leaves what is held as a checkout found it that no order has come of, or of which that is not known.
	GiveUp(ctx context.Context, basket Basket)
	// ShowPrices remembers that the customer is told these lines' prices from now on.
	ShowPrices(ctx context.Context, cartID uuid.UUID, lines []Line, currency string) error
	// Take marks the cart as bought, in the order's transaction.
	Take(ctx context.Context, tx pgx.Tx, basket Basket, orderID uuid.UUID) error
}

// ErrNothingHeld says of a call that it has held nothing, for sure.
var ErrNothingHeld = errors.New("nothing was held")

// Holds keeps units for an order that is bought without a cart.
type Holds interface {
	// HoldAll holds every item or none; those that could not be had are the answer. After an error other than ErrNothingHeld
	// it is not known what is held.
	HoldAll(ctx context.Context, holdID uuid.UUID, customer string, items []Item, until time.Time) ([]Short, error)
	Release(ctx context.Context, holdID uuid.UUID, products []uuid.UUID) error
	// Refresh moves the expiry of each hold to the one that it comes with, unless it is later already, and says how many of
	// them are held no more though the stock of their orders has not been decided on.
	Refresh(ctx context.Context, holds []Hold) (gone int, err error)
}

// Locks spares the work of twins: of two requests under one key at once, one is let through.
type Locks interface {
	// Lock says whether it was taken; unlock is never nil. An error means that nobody can say: go on without.
	Lock(ctx context.Context, customer, key string) (unlock func(), taken bool, err error)
}

// Strategies are the ways in which an order can go.
type Strategies interface {
	// Choose gives the strategy of a new order: the one asked for if it may be asked for, else the configured one.
	Choose(asked string) (name string, ok bool)
	// PaysFirst says whether payment is asked for as soon as the order is made.
	PaysFirst(name string) bool
}

// Course has the facts of an order heard in this process, where its strategy asks for that.
type Course interface {
	// Begin has them heard that follow from making the order, in the transaction of ctx.
	Begin(ctx context.Context, created event.Fact) error
	// Follow has the rest heard after the commit, and gives a channel that is closed when that is over; nil: nothing is to be done.
	Follow(ctx context.Context, strategy string, orderID uuid.UUID) <-chan struct{}
}

// Limits of what one order may be.
type Limits struct {
	MaxLines    int           // distinct products in an order
	MaxQuantity int64         // units in a line
	MaxUnits    int64         // units in an order; 0: any number
	TimeOut     time.Duration // an order that has not ended by then is ended
	HoldOnOrder bool          // an order keeps its units held in Redis until its stock is taken
	KeyLife     time.Duration // how long an Idempotency-Key is remembered
}

// Ports are what order needs of others.
type Ports struct {
	Catalogue  Catalogue
	Carts      Carts
	Holds      Holds
	Locks      Locks
	Strategies Strategies
	Course     Course // nil: no strategy asks for it
}

// queues is the course of orders whose facts are heard from queues alone.
type queues struct{}

func (queues) Begin(context.Context, event.Fact) error                   { return nil }
func (queues) Follow(context.Context, string, uuid.UUID) <-chan struct{} { return nil }

// Service is the module's verbs.
type Service struct {
	// Doubt is called, when set, when a hold may be left that no order needs: holds and rows are to be compared.
	Doubt func()

	db       *postgres.DB
	ports    Ports
	limits   Limits
	log      *slog.Logger
	watchers *watchers
}

// New makes the module. Its long-lived part is Run.
func New(db *postgres.DB, ports Ports, limits Limits, log *slog.Logger) *Service {
	if ports.Course == nil {
		ports.Course = queues{}
	}
	return &Service{db: db, ports: ports, limits: limits, log: log, watchers: newWatchers()}
}

// Advance hears stock.reserved, payment.processed and payment.unknown.
func (s *Service) Advance(ctx context.Context, facts []event.Fact) error {
	return s.hear(ctx, facts, (*State).Advance)
}

// Fail hears that a step failed before anything was held.
func (s *Service) Fail(ctx context.Context, facts []event.Fact) error {
	return s.hear(ctx, facts, (*State).Fail)
}

// Unwind hears that a step failed while the other side holds something.
func (s *Service) Unwind(ctx context.Context, facts []event.Fact) error {
	return s.hear(ctx, facts, (*State).Unwind)
}

// Settle hears stock.released, payment.refunded and payment.voided.
func (s *Service) Settle(ctx context.Context, facts []event.Fact) error {
	return s.hear(ctx, facts, (*State).Settle)
}

// Orchestrate hears what begins and ends an order, and every answer, and asks for what comes next.
func (s *Service) Orchestrate(ctx context.Context, facts []event.Fact) error {
	return s.hear(ctx, facts, (*State).Orchestrate)
}

// hear applies a rule to the orders of facts: one transaction, one row change and one fact per order that changed, and what the
// rule asks for.
func (s *Service) hear(ctx context.Context, facts []event.Fact, rule func(*State, event.Name)) error {
	return s.db.InTx(ctx, func(tx pgx.Tx) error {
		fresh, err := inbox.Fresh(ctx, tx, Module, facts)
		if err != nil || len(fresh) == 0 {
			return err
		}
		orders, err := lock(ctx, tx, orderIDs(fresh))
		if err != nil {
			return err
		}
		changed := make(map[uuid.UUID]event.Fact, len(orders))
		var requests []event.Fact
		for _, f := range fresh {
			o := orders[f.OrderID]
			before := o.State
			rule(&o.State, f.Name)
			if o.State != before {
				changed[o.ID] = f
			}
			if o.Asked != before.Asked {
				requests = append(requests, o.request(f))
			}
		}
		return save(ctx, tx, orders, changed, requests)
	})
}

// TimeOut ends up to limit orders whose deadline has passed and says how many. Any number of instances may do so at once.
func (s *Service) TimeOut(ctx context.Context, limit int) (int, error) {
	ended := 0
	err := s.db.InTx(ctx, func(tx pgx.Tx) error {
		orders, err := lockOverdue(ctx, tx, limit)
		if err != nil || len(orders) == 0 {
			return err
		}
		ended = len(orders)
		facts := make([]event.Fact, 0, len(orders))
		for _, o := range orders {
			o.TimeOut()
			o.advanced(clock.Now())
		}
		if err := update(ctx, tx, orders, nil); err != nil {
			return err
		}
		for _, o := range orders {
			facts = append(facts, event.New(o.SaysEnding(), o.Strategy, o.ID, o.news()))
		}
		return outbox.Append(ctx, tx, facts...)
	})
	return ended, err
}

// Lines gives what the orders are of, for inventory, which hears of some orders through facts without lines.
func (s *Service) Lines(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) (map[uuid.UUID]event.Order, error) {
	return linesOf(ctx, tx, ids)
}

// Hold is a line of an order under way whose units are still held in Redis, as far as order has heard.
type Hold struct {
	OrderID   uuid.UUID
	Customer  string
	HoldID    uuid.UUID
	ProductID uuid.UUID
	Quantity  int64
	ExpiresAt time.Time
}

// LiveHolds gives what the next orders under way, those whose ids follow the one given, hold of these products, for a Redis that has
// to be filled again. It looks at so many orders; end is the last of them, and more says that others follow.
func (s *Service) LiveHolds(ctx context.Context, products []uuid.UUID, after uuid.UUID, most int) (holds []Hold, end uuid.UUID, more bool, err error) {
	return liveHolds(ctx, s.db, products, after, most)
}

// Holds gives what orders under way hold of products under one id.
func (s *Service) Holds(ctx context.Context, holdID uuid.UUID, products []uuid.UUID) ([]Hold, error) {
	return holdsOfOne(ctx, s.db, holdID, products)
}

// HoldIDs gives the ids of the holds that orders have, or had, by order.
func (s *Service) HoldIDs(ctx context.Context, orders []uuid.UUID) (map[uuid.UUID]uuid.UUID, error) {
	return holdsOf(ctx, s.db, orders)
}

// UnderWay counts the orders that have not ended: all, those that are ending, and those whose payment is unknown.
func (s *Service) UnderWay(ctx context.Context) (all, ending, unknown int64, err error) {
	return countUnderWay(ctx, s.db)
}

func (s *Service) doubt() {
	if s.Doubt != nil {
		s.Doubt()
	}
}

func orderIDs(facts []event.Fact) []uuid.UUID {
	seen := make(map[uuid.UUID]bool, len(facts))
	ids := make([]uuid.UUID, 0, len(facts))
	for _, f := range facts {
		if !seen[f.OrderID] {
			seen[f.OrderID] = true
			ids = append(ids, f.OrderID)
		}
	}
	return ids
}
