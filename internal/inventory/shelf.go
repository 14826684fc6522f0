package inventory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/lua"
)

// Holders knows the holds that the shelf ought to have.
type Holders interface {
	// InCarts gives the next holds of live carts on each of the products, those whose ids follow the one given for it, looking at so
	// many lines of each product. ends has the last id that was looked at of those products that have more.
	InCarts(ctx context.Context, productIDs, after []uuid.UUID, most int) (holds []LiveHold, ends map[uuid.UUID]uuid.UUID, err error)
	// OnOrder gives what the next orders under way hold of the products, those whose ids follow the one given, looking at so many
	// orders. end is the last that was looked at, and more says that others follow.
	OnOrder(ctx context.Context, productIDs []uuid.UUID, after uuid.UUID, most int) (holds []LiveHold, end uuid.UUID, more bool, err error)
	// Of gives what one hold has of the products, by the rows of its cart and of its order.
	Of(ctx context.Context, holdID uuid.UUID, productIDs []uuid.UUID) ([]LiveHold, error)
	// HoldsOf gives the id of each order's hold, by order. Those that have none are left out.
	HoldsOf(ctx context.Context, orderIDs []uuid.UUID) (map[uuid.UUID]uuid.UUID, error)
}

// LiveHold is a hold as its owner has it.
type LiveHold struct {
	HoldID    uuid.UUID
	OrderID   uuid.UUID // the order that it is for, zero for a cart; once the books have decided on the order it holds no more
	Customer  string    // whose it is
	ProductID uuid.UUID
	Quantity  int64
	ExpiresAt time.Time
}

// Shelf is the way to Redis: what can be held now. Every method sends what concerns many products as one pipeline, and loads
// from the books what Redis does not have. redisx.Unavailable tells the error of a Redis that is not there: nothing waits
// longer for it than the client's time-outs.
type Shelf struct {
	Limits   Limits        // how much anyone may hold; to be set before the first use, as the next
	LoadWait time.Duration // how long a request waits for what is not in Redis; as long as for Redis, if nobody says

	db      *postgres.DB
	scripts *redisx.Scripts
	aside   *redisx.Scripts // for settling, which may be behind when customers are many
	pages   *redisx.Scripts // for loading, one page at a time
	flights *flights
	loads   *loads
	keys    redisx.Keys
	holders Holders
	orders  Orders
	log     *slog.Logger
}

// settling is how many pipelines settle at once.
const settling = 2

// NewShelf makes the way to Redis. The scripts are those of package lua.
func NewShelf(db *postgres.DB, scripts *redisx.Scripts, keys redisx.Keys, holders Holders, orders Orders, log *slog.Logger) *Shelf {
	return &Shelf{
		db: db, scripts: scripts, LoadWait: scripts.Patience,
		aside: scripts.Aside(settling), pages: scripts.Apart(1), flights: newFlights(), loads: newLoads(),
		keys: keys, holders: holders, orders: orders, log: log,
	}
}

// Answer is what became of one line.
type Answer struct {
	Held      bool
	Available int64        // units to which this hold could be set, its own included
	Limit     *fault.Limit // the limit that it met; nil when it is held, or when there are not enough units
}

// ErrPast says that a hold was asked for with an expiry that is over by Redis' clock.
var ErrPast = errors.New("the hold's expiry is over")

// Hold sets, absolutely, what a hold has of each product, and until when: the same call twice changes nothing, and the hold's
// own units never stand in its way. Lines are decided one by one; the answers are in their order. What the hold had of a
// product of which there is not enough stays as it was. A product that the books do not have cannot be held.
//
// Whoever lowers a quantity writes its own row first and the shelf after it, whoever raises one does it the other way round:
// so the shelf never has less than the row.
func (s *Shelf) Hold(ctx context.Context, holdID uuid.UUID, lines []event.OrderLine, until time.Time) ([]Answer, error) {
	return s.HoldFor(ctx, Holder{HoldID: holdID}, lines, until)
}

// HoldFor is Hold for somebody who is measured by the limits. What is over a limit is answered like what there is not enough
// of, with the limit.
func (s *Shelf) HoldFor(ctx context.Context, by Holder, lines []event.OrderLine, until time.Time) ([]Answer, error) {
	had, err := s.holdOrProve(ctx, by, lines, until)
	if err != nil {
		return nil, err
	}
	answers := make([]Answer, len(had))
	for i, h := range had {
		answers[i] = h.Answer
	}
	return answers, nil
}

// held is the answer of hold, with what the hold had before.
type held struct {
	Answer
	quantity int64 // 0: nothing
	expiry   int64
	taken    []uuid.UUID // over a limit: holds of the customer that count, and whose units the books have taken
}

func (s *Shelf) hold(ctx context.Context, by Holder, lines []event.OrderLine, until time.Time, known proof) ([]held, error) {
	answers, some := make([]held, len(lines)), false
	calls := func(i int) []redisx.Call {
		p := lines[i].ProductID
		return s.noted(by.Checkout, p, []redisx.Call{
			{Script: lua.Hold, Keys: s.keys.Product(p), Args: s.Limits.args([]any{by.HoldID.String(), lines[i].Quantity, by.until(p, until)}, by, known, p)},
			redisx.Command("ZADD", s.keys.Due(p), "LT", until.UnixMilli(), p.String()),
		})
	}
	err := s.each(ctx, productsIn(lines), calls, func(i int, code int64, answer []any) error {
		if code == past {
			return ErrPast
		}
		if code == limited {
			answers[i] = overLimit(answer)
			return nil
		}
		most, was, expiry := number(answer, 1), number(answer, 2), number(answer, 3)
		answers[i] = held{Answer: Answer{Held: code == yes, Available: most}, quantity: was, expiry: expiry}
		some = some || code == yes
		return nil
	})
	if Loading(err) && !some {
		err = fmt.Errorf("%w: %w", errNoneHeld, err)
	}
	if err != nil {
		return nil, fmt.Errorf("hold %d products for %s: %w", len(lines), by.HoldID, err)
	}
	return answers, nil
}

// HoldAll is Hold for all lines or none: if one cannot be had, the others are given back, to what the hold had of them before.
// If Redis goes away in between, everything that the hold has of these products is given back, in what is left of the time that
// a request waits for Redis; what cannot be, because Redis stays away, ends with its expiry.
func (s *Shelf) HoldAll(ctx context.Context, holdID uuid.UUID, lines []event.OrderLine, until time.Time) (answers []Answer, all bool, err error) {
	return s.HoldAllFor(ctx, Holder{HoldID: holdID}, lines, until)
}

// HoldAllFor is HoldAll for somebody who is measured by the limits.
func (s *Shelf) HoldAllFor(ctx context.Context, by Holder, lines []event.OrderLine, until time.Time) (answers []Answer, all bool, err error) {
	holdID, deadline := by.HoldID, time.Now().Add(redisx.Patience)
	had, err := s.holdOrProve(ctx, by, lines, until)
	if NothingHeld(err) {
		return nil, false, err
	}
	if Loading(err) { // which is no silence of Redis
		deadline = time.Now().Add(redisx.Budget - redisx.Patience)
	}
	if err != nil {
		undo, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
		defer cancel()
		if undone := s.Release(undo, holdID, productsIn(lines)); undone != nil {
			s.log.WarnContext(ctx, "a hold that may be half taken is left to its expiry", "hold", holdID, "error", undone)
		}
		return nil, false, err
	}
	answers, all = make([]Answer, len(lines)), true
	for i, h := range had {
		answers[i] = h.Answer
		all = all && h.Held
	}
	if all {
		return answers, true, nil
	}
	return answers, false, s.undo(ctx, holdID, lines, had)
}

// undo sets what was held back to what it was before. What was as it is now, another attempt of the same purchase has taken, and may have
// given back by now: it is left to that one.
func (s *Shelf) undo(ctx context.Context, holdID uuid.UUID, lines []event.OrderLine, had []held) error {
	var calls []redisx.Call
	for i, h := range had {
		keys := s.keys.Product(lines[i].ProductID)
		switch {
		case !h.Held, h.quantity == lines[i].Quantity:
		case h.quantity == 0:
			calls = append(calls, redisx.Call{Script: lua.Release, Keys: keys, Args: []any{holdID.String()}})
		default:
			calls = append(calls, redisx.Call{Script: lua.Hold, Keys: keys, Args: []any{holdID.String(), h.quantity, h.expiry}})
		}
	}
	return s.all(ctx, "give back", calls)
}

// Release ends a hold on products. What is not held is no error, so it can be repeated.
func (s *Shelf) Release(ctx context.Context, holdID uuid.UUID, productIDs []uuid.UUID) error {
	calls := make([]redisx.Call, len(productIDs))
	for i, p := range productIDs {
		calls[i] = redisx.Call{Script: lua.Release, Keys: s.keys.Product(p), Args: []any{holdID.String()}}
	}
	return s.all(ctx, "release", calls)
}

// Outcome is what became of an extension.
type Outcome int

// Extended holds are live at least until the time asked for. Missing ones were never taken, were ended, or were lost with
// Redis' memory. Expired ones have ended by themselves; once they are cleaned away they are Missing too. Cut ones are live, but the
// stock is less than what is held, and what there is of it is promised to those who checked out before.
const (
	Extended Outcome = iota
	Missing
	Expired
	Cut
)

// ExtendAnswer is what became of the hold on one product.
type ExtendAnswer struct {
	Outcome  Outcome
	Quantity int64     // units that it has, or had when it expired; of a Cut one: units that it could have
	Expiry   time.Time // when it ends now
}

// Extend moves the expiry of a hold on products to a later time, never to an earlier one, and never brings a hold back. The
// answers are in the order of the products. It decides which of the holds have expired.
func (s *Shelf) Extend(ctx context.Context, holdID uuid.UUID, productIDs []uuid.UUID, until time.Time) ([]ExtendAnswer, error) {
	return s.extend(ctx, Holder{HoldID: holdID}, productIDs, until)
}

func (s *Shelf) extend(ctx context.Context, by Holder, productIDs []uuid.UUID, until time.Time) ([]ExtendAnswer, error) {
	answers := make([]ExtendAnswer, len(productIDs))
	calls := func(i int) []redisx.Call {
		p, args := productIDs[i], []any{by.HoldID.String(), until.UnixMilli()}
		if by.Checkout != "" {
			args = append(args, by.Checkout)
		}
		return s.noted(by.Checkout, p, []redisx.Call{{Script: lua.Extend, Keys: s.keys.Product(p), Args: args}})
	}
	err := s.each(ctx, productIDs, calls, func(i int, code int64, answer []any) error {
		a := ExtendAnswer{Outcome: outcomes[code], Quantity: number(answer, 1)}
		if expiry := number(answer, 2); expiry > 0 {
			a.Expiry = time.UnixMilli(expiry).UTC()
		}
		answers[i] = a
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("extend %s on %d products: %w", by.HoldID, len(productIDs), err)
	}
	return answers, nil
}

// outcomes of the script extend, by its codes.
var outcomes = map[int64]Outcome{yes: Extended, no: Missing, past: Expired, cut: Cut}

func productsIn(lines []event.OrderLine) []uuid.UUID {
	ids := make([]uuid.UUID, len(lines))
	for i, l := range lines {
		ids[i] = l.ProductID
	}
	return ids
}

// all runs calls whose answers say nothing that the caller does not know.
func (s *Shelf) all(ctx context.Context, what string, calls []redisx.Call) error {
	return all(ctx, s.scripts, what, calls)
}

func all(ctx context.Context, scripts *redisx.Scripts, what string, calls []redisx.Call) error {
	replies, err := scripts.Run(ctx, calls)
	if i := slices.IndexFunc(replies, func(r redisx.Reply) bool { return r.Err != nil }); err == nil && i >= 0 {
		err = replies[i].Err
	}
	if err != nil {
		return fmt.Errorf("%s on the shelf: %w", what, err)
	}
	return nil
}
