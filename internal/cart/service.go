package cart

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
)

// Shelf keeps units for carts in Redis. Each call is one pipeline. An error means that the outcome is not known.
type Shelf interface {
	// Hold sets, absolutely, what a cart holds of each product and until when. A cart's own units count as free for it. The
	// answer has the products of which there were not enough, with the units that could be had; what was held of those stays.
	// An expiry that is over by the shelf's clock is ErrPast.
	Hold(ctx context.Context, by Holder, lines []event.OrderLine, until time.Time) (short map[uuid.UUID]Short, err error)
	// Extend moves the end of what is held, never to an earlier time. The answer has the products of which it could not.
	Extend(ctx context.Context, by Holder, lines []event.OrderLine, until time.Time) (NotExtended, error)
	// Covered gives the units of each product that a checkout would get at this moment: what the cart holds, or less where the
	// stock does not cover all that is held.
	Covered(ctx context.Context, cartID uuid.UUID, productIDs []uuid.UUID) (map[uuid.UUID]int64, error)
	// EndIfOver gives back what is held of the products by a cart that was bought, where its order needs it no more, and says
	// of which. It never gives back what an order is still to take.
	EndIfOver(ctx context.Context, cartID uuid.UUID, productIDs []uuid.UUID) (over []uuid.UUID, err error)
	// UndoCheckout takes back what a checkout has done to what is held of the products, and to nothing else.
	UndoCheckout(ctx context.Context, cartID uuid.UUID, checkout string, productIDs []uuid.UUID) error
	// Release gives back whatever is held of the products.
	Release(ctx context.Context, cartID uuid.UUID, productIDs []uuid.UUID) error
}

// Holder is who holds.
type Holder struct {
	CartID   uuid.UUID
	Customer string
	Checkout string // of a cart on its way into an order: how old its holds are does not matter, and it can be undone by this token
	// Back is until when a checkout's products are held if it comes to nothing. Those that are not there end with it.
	Back map[uuid.UUID]time.Time
}

// NotExtended are the products of which nothing is held, or less than the line says: because the hold has expired, or because
// it was lost. Cut ones are held, but the stock does not cover them: others have checked out before.
type NotExtended struct {
	Expired, Lost []uuid.UUID
	Cut           map[uuid.UUID]Short
}

// Short is what there is to say of a product that cannot be held.
type Short struct {
	Available int64        // units that could be had
	Limit     *fault.Limit // the limit that was met; nil: there are not enough
}

// ErrPast says that units were to be held until a time that is over, ErrNothingHeld that a call has held nothing, for sure.
var (
	ErrPast        = errors.New("the expiry is over")
	ErrNothingHeld = errors.New("nothing was held")
)

// Catalogue knows names and prices. Products that are not known are left out of the answer.
type Catalogue interface {
	Products(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]Product, error)
}

// Service is the module's verbs.
type Service struct {
	// Doubt is called, when set, when rows and shelf may have parted and could not be put right: they are to be compared.
	Doubt func()

	db     *postgres.DB
	shelf  Shelf
	crowd  *crowd
	copies copies
	rules  Rules
	log    *slog.Logger
	turns  *turnstile
	closed bell // rung when a cart is bought
}

// New makes the module. Its long-lived part is the Sweeper.
func New(db *postgres.DB, scripts *redisx.Scripts, keys redisx.Keys, shelf Shelf, catalogue Catalogue, rules Rules, log *slog.Logger) *Service {
	return &Service{
		db: db, shelf: shelf, crowd: newCrowd(db, catalogue), copies: copies{scripts: scripts, keys: keys}, rules: rules, log: log,
		turns: newTurnstile(), closed: make(bell, 1),
	}
}

// Get shows the customer's cart, an empty one to a customer who has none.
func (s *Service) Get(ctx context.Context, customer string) (View, error) {
	m, err := s.crowd.read(ctx, question{customer: customer, priced: true})
	if err != nil {
		return View{}, err
	}
	return s.show(ctx, m)
}

// Put sets the line of a product to quantity, absolutely: the same call twice changes nothing. 0 removes the line. Without an
// error the units are held and the rows say so.
func (s *Service) Put(ctx context.Context, customer string, productID uuid.UUID, quantity int64) (View, error) {
	m, err := s.change(ctx, question{customer: customer, priced: true, product: productID}, func(m moment) (Change, error) {
		p, known := m.products[productID]
		if !known {
			return Change{}, fault.New(fault.NotFound, "there is no such product")
		}
		return s.rules.Set(m.cart, p, quantity, m.now)
	})
	if err != nil {
		return View{}, err
	}
	return s.show(ctx, m)
}

// Remove takes a product's line out of the cart and gives its units back. Without such a line there is nothing to do.
func (s *Service) Remove(ctx context.Context, customer string, productID uuid.UUID) error {
	_, err := s.change(ctx, question{customer: customer}, func(m moment) (Change, error) { return Remove(m.cart, productID), nil })
	return err
}

// Clear takes all lines out of the cart and gives their units back.
func (s *Service) Clear(ctx context.Context, customer string) error {
	_, err := s.change(ctx, question{customer: customer}, func(m moment) (Change, error) { return Remove(m.cart, m.cart.ProductIDs()...), nil })
	return err
}

// show makes the answer, and remembers the prices that it shows.
func (s *Service) show(ctx context.Context, m moment) (View, error) {
	if shown := reprice(&m.cart, m.products); len(shown) > 0 {
		if err := remember(ctx, s.db, m.cart.ID, shown); err != nil {
			return View{}, err
		}
	}
	return newView(s.uncovered(ctx, m), m.products, m.now), nil
}
