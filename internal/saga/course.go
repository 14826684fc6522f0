package saga

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/outbox"
	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// Course has the facts of an order heard in the process that makes it, where its strategy has rows that are done at once: by the
// same verbs and inboxes as from the queues, so that it does not matter who is first.
type Course struct {
	db     *postgres.DB
	book   *Book
	hear   map[Module]Handler
	charge func(ctx context.Context, order uuid.UUID) ([]event.Fact, error)
	log    *slog.Logger
	under  sync.WaitGroup
}

// NewCourse makes one. charge asks the provider for what is due of an order's money, unless somebody else is at it, and gives the
// facts that were said of it.
func NewCourse(db *postgres.DB, book *Book, actors Actors, charge func(context.Context, uuid.UUID) ([]event.Fact, error), log *slog.Logger) *Course {
	c := &Course{db: db, book: book, hear: make(map[Module]Handler), charge: charge, log: log}
	for _, who := range inProcess {
		c.hear[who] = book.Hear(who, actors)
	}
	return c
}

// inProcess are the modules that hear at once, in the order in which they lock rows. None of them calls anything outside Postgres;
// the shelf, which does, always hears from its queue.
var inProcess = []Module{Inventory, Payment, Order, View}

// Run waits until ctx ends, and then for what is under way.
func (c *Course) Run(ctx context.Context) error {
	<-ctx.Done()
	c.under.Wait()
	return nil
}

// Begin has everybody hear that an order was made, in the transaction that makes it, which ctx is of.
func (c *Course) Begin(ctx context.Context, created event.Fact) error {
	if !c.atOnce(created.Strategy) {
		return nil
	}
	return c.hearAll(payment.ToBeChargedNow(ctx), []event.Fact{created})
}

// Follow goes on with an order that Begin has begun and whose transaction is committed: the provider is asked, and what comes of
// it is heard. It answers a channel that is closed when that is over, or nil for a strategy in which nothing is done at once. It goes
// on when ctx ends.
func (c *Course) Follow(ctx context.Context, strategy string, order uuid.UUID) <-chan struct{} {
	if !c.atOnce(strategy) {
		return nil
	}
	over := make(chan struct{})
	ctx = context.WithoutCancel(ctx)
	c.under.Go(func() {
		defer close(over)
		if err := c.follow(ctx, order); err != nil {
			c.log.WarnContext(ctx, "an order is left to charger and queues", "order_id", order, "error", err)
		}
	})
	return over
}

func (c *Course) follow(ctx context.Context, order uuid.UUID) error {
	facts, err := c.charge(ctx, order)
	if err != nil || len(facts) == 0 {
		return err
	}
	return c.db.Together(ctx, func(ctx context.Context, _ pgx.Tx) error { return c.hearAll(ctx, facts) })
}

// hearAll hands facts to those who hear them, and what these say, until no more is said.
func (c *Course) hearAll(ctx context.Context, facts []event.Fact) error {
	ctx, said := outbox.Overhear(ctx)
	for len(facts) > 0 {
		for _, who := range inProcess {
			if mine := c.of(who, facts); len(mine) > 0 {
				if err := c.hear[who](ctx, mine); err != nil {
					return err
				}
			}
		}
		facts = said()
	}
	return nil
}

// of are those of the facts that a module hears.
func (c *Course) of(who Module, facts []event.Fact) []event.Fact {
	verbs := c.book.verbs(who)
	return slices.DeleteFunc(slices.Clone(facts), func(f event.Fact) bool { return verbs[f.Row()] == nil })
}

func (c *Course) atOnce(strategy string) bool { return len(c.book.strategies[strategy].AtOnce) > 0 }
