package payment

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/failpoint"
	"github.com/holdfast-checkout/holdfast/internal/inbox"
	"github.com/holdfast-checkout/holdfast/internal/outbox"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// Module is payment's name in the inbox and of its queue.
const Module = "payment"

// Service holds the verbs. They write down what is wanted and wake the charger, which does it.
type Service struct {
	db   *postgres.DB
	wake func()
}

// NewService makes the verbs; wake is called after every commit that leaves something to do, and must not block.
func NewService(db *postgres.DB, wake func()) *Service { return &Service{db: db, wake: wake} }

// lead is how long chargers leave alone what somebody has said to charge himself.
const lead = time.Second

type leadKey struct{}

// ToBeChargedNow gives a context under which Charge leaves what it intends to the caller, who is to call ChargeNow after the commit.
// If he does not, a charger does it a moment later.
func ToBeChargedNow(ctx context.Context) context.Context {
	return context.WithValue(ctx, leadKey{}, lead)
}

func leadOf(ctx context.Context) time.Duration {
	d, _ := ctx.Value(leadKey{}).(time.Duration)
	return d
}

// Charge hears facts that carry event.Terms of orders to be charged: one payment per order, however often it is wanted. An
// order that was given back before is not charged.
func (s *Service) Charge(ctx context.Context, facts []event.Fact) error {
	terms, err := termsOf(facts)
	if err != nil {
		return fmt.Errorf("charge: %w", err)
	}
	return s.hear(ctx, "charge", facts, func(tx pgx.Tx, fresh []event.Fact) ([]event.Fact, error) {
		var payments []Payment
		says := map[uuid.UUID]event.Name{}
		for _, f := range fresh {
			p, name, err := wanted(f, terms[f.ID])
			if err != nil {
				return nil, err
			}
			payments, says[p.OrderID] = append(payments, p), name
		}
		return insertAndSay(ctx, tx, payments, says)
	})
}

// GiveBack hears facts of orders that want nothing charged any more. What was never attempted is voided here, or its
// tombstone is set; the rest is closed or refunded by the charger.
func (s *Service) GiveBack(ctx context.Context, facts []event.Fact) error {
	terms, err := termsOf(facts)
	if err != nil {
		return fmt.Errorf("give back: %w", err)
	}
	return s.hear(ctx, "give back", facts, func(tx pgx.Tx, fresh []event.Fact) ([]event.Fact, error) {
		var tombstones []Payment
		says := map[uuid.UUID]event.Name{}
		for _, f := range fresh {
			p, name := tombstone(f, terms[f.ID])
			tombstones, says[p.OrderID] = append(tombstones, p), name
		}
		said, err := insertAndSay(ctx, tx, tombstones, says)
		if err != nil {
			return nil, err
		}
		more, err := giveBack(ctx, tx, fresh)
		return append(said, more...), err
	})
}

// hear is the story of both verbs: the inbox, the effects, the outbox, one transaction; then the charger is woken.
func (s *Service) hear(ctx context.Context, verb string, facts []event.Fact, effects func(pgx.Tx, []event.Fact) ([]event.Fact, error)) error {
	err := s.db.InTx(ctx, func(tx pgx.Tx) error {
		fresh, err := inbox.Fresh(ctx, tx, Module, facts)
		if err != nil || len(fresh) == 0 {
			return err
		}
		say, err := effects(tx, fresh)
		if err != nil {
			return err
		}
		failpoint.Reach("intending", verb)
		return outbox.Append(ctx, tx, say...)
	})
	if err != nil {
		return fmt.Errorf("%s for %d facts: %w", verb, len(facts), err)
	}
	if leadOf(ctx) == 0 {
		postgres.AfterCommit(ctx, s.wake)
	}
	return nil
}

// insertAndSay inserts the payments of orders that have none, and gives the facts that those say.
func insertAndSay(ctx context.Context, tx pgx.Tx, payments []Payment, says map[uuid.UUID]event.Name) ([]event.Fact, error) {
	payments = firstOfEach(payments)
	fresh, err := insert(ctx, tx, payments)
	if err != nil {
		return nil, err
	}
	var say []event.Fact
	for _, p := range payments {
		if name := says[p.OrderID]; name != "" && fresh[p.OrderID] {
			say = append(say, p.fact(name))
		}
	}
	return say, nil
}

func firstOfEach(payments []Payment) []Payment {
	seen := make(map[uuid.UUID]bool, len(payments))
	kept := payments[:0:0]
	for _, p := range payments {
		if !seen[p.OrderID] {
			seen[p.OrderID], kept = true, append(kept, p)
		}
	}
	return kept
}

// giveBack tells the payments that exist. A tombstone set in the same transaction knows it already.
func giveBack(ctx context.Context, tx pgx.Tx, facts []event.Fact) ([]event.Fact, error) {
	ids := make([]uuid.UUID, len(facts))
	for i, f := range facts {
		ids[i] = f.OrderID
	}
	rows, err := lock(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	var say []event.Fact
	var changed []change
	for _, f := range facts {
		row := rows[f.OrderID]
		if row == nil || row.Undone() || row.State == Declined {
			continue
		}
		if name := row.GiveBack(causeOf(f)); name != "" {
			say = append(say, row.fact(name))
		}
		changed = append(changed, change{Payment: row.Payment, keepLease: true})
	}
	batch := &pgx.Batch{}
	update(batch, changed)
	return say, write(ctx, tx, batch)
}

// termsOf reads the terms of facts by their ids. All shapes that are heard here spell them the same.
func termsOf(facts []event.Fact) (map[uuid.UUID]event.Terms, error) {
	terms := make(map[uuid.UUID]event.Terms, len(facts))
	for _, f := range facts {
		t, err := event.Decode[event.Terms](f)
		if err == nil && f.OrderID == uuid.Nil {
			err = fmt.Errorf("%s %s belongs to no order", f.Name, f.ID)
		}
		if err != nil {
			return nil, err
		}
		terms[f.ID] = t
	}
	return terms, nil
}
