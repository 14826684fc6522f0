package order

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/failpoint"
	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/inbox"
	"github.com/holdfast-checkout/holdfast/internal/outbox"
)

// Cancel ends a customer's order: one under way is stopped, of one that is complete stock and money are given back. Of an order
// that is being cancelled already, or was, nothing changes. One that fails, or has failed, cannot be cancelled: conflict. The
// order's row decides between a cancel and whatever else ends the order at the same moment.
func (s *Service) Cancel(ctx context.Context, customer string, id uuid.UUID, traceParent string) (View, error) {
	err := s.db.InTx(ctx, func(tx pgx.Tx) error {
		o, err := s.lockOwn(ctx, tx, customer, id)
		if err != nil || o.Cancelling() {
			return err
		}
		complete := o.Status == Completed
		if !o.Cancel() {
			return fault.New(fault.Conflict, "The order cannot be cancelled: it has failed (%s), and nothing of it is kept.", o.Reason)
		}
		if complete {
			o.Deadline = clock.Now().Add(s.limits.TimeOut) // by which it should have ended, again
		}
		o.advanced(clock.Now())
		err = sayCancelled(ctx, tx, o, traceParent)
		failpoint.Reach("cancelling")
		return err
	})
	failpoint.Reach("cancelled")
	if err != nil {
		return View{}, err
	}
	s.watchers.tell(id)
	return s.Get(ctx, customer, id)
}

// sayCancelled writes the order, says so, and lets the read model hear it at once: whoever has cancelled an order must not be
// shown it as if he had not.
func sayCancelled(ctx context.Context, tx pgx.Tx, o *Order, traceParent string) error {
	if err := update(ctx, tx, []*Order{o}, nil); err != nil {
		return err
	}
	said := event.New(o.SaysEnding(), o.Strategy, o.ID, o.news())
	said.TraceParent = traceParent
	if err := outbox.Append(ctx, tx, said); err != nil {
		return err
	}
	if _, err := inbox.Fresh(ctx, tx, ViewModule, []event.Fact{said}); err != nil {
		return err
	}
	return updateViews(ctx, tx, map[uuid.UUID]event.OrderState{o.ID: o.state()}, map[uuid.UUID]uuid.UUID{o.ID: said.ID})
}

// lockOwn reads a customer's order for a change. Another's is not found; one that is archived cannot be changed.
func (s *Service) lockOwn(ctx context.Context, tx pgx.Tx, customer string, id uuid.UUID) (*Order, error) {
	rows, err := tx.Query(ctx, `SELECT `+columns+` FROM orders.orders WHERE id = $1 AND customer = $2 FOR NO KEY UPDATE`, id, customer)
	if err != nil {
		return nil, fmt.Errorf("lock order %s: %w", id, err)
	}
	o, err := pgx.CollectExactlyOneRow(rows, scan)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, s.gone(ctx, tx, customer, id, fault.New(fault.Conflict,
			"The order is archived, since it ended long ago: ask the shop to bring it back before it is cancelled."))
	}
	if err != nil {
		return nil, fmt.Errorf("lock order %s: %w", id, err)
	}
	return o, nil
}

func noSuchOrder() error { return fault.New(fault.NotFound, "There is no such order.") }
