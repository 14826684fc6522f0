package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/holdfast-checkout/holdfast/internal/run"
)

// What a process had in hand when it died comes back together, and RabbitMQ counts it against all of it, also where the process was
// not to blame: its connection was lost, or somebody stopped it. So a message that came back often is only suspicious, and often is not twice:
// hearing alone is slower by far, and a process that is killed every few seconds would fall behind for good. Its facts are
// heard alone, one at a time in the whole process, and each time is witnessed: who dies in it has died of it. A fact of which
// the process died so mostDeaths times becomes a dead letter without being heard again.
const (
	suspicious = 5
	mostDeaths = 3
)

// cameBack is how often RabbitMQ has handed a message out before to somebody who did not acknowledge it.
func cameBack(d amqp.Delivery) int64 {
	n, _ := d.Headers["x-delivery-count"].(int64)
	return n
}

// Memory outlives the process.
type Memory interface {
	// Begin notes that a module begins to hear a fact, and says how often that was begun before without an End.
	Begin(ctx context.Context, module string, fact uuid.UUID) (deaths int, err error)
	// End forgets it.
	End(ctx context.Context, module string, fact uuid.UUID) error
}

// Witness remembers which suspicious fact is being heard. All consumers of a process share one, since none can tell of which of
// several facts it died.
type Witness struct {
	memory Memory
	turn   chan struct{}
}

// NewWitness makes one.
func NewWitness(memory Memory) *Witness {
	return &Witness{memory: memory, turn: make(chan struct{}, 1)}
}

// deadlyError is a fact of which the process has died.
type deadlyError struct{ times int }

// Error says so.
func (e *deadlyError) Error() string {
	return fmt.Sprintf("the process died %d times while it heard this fact alone", e.times)
}

// errBlind says that the witness could not write anything down, so that nothing may be heard yet.
var errBlind = errors.New("what is heard alone cannot be noted")

// watch hears a fact alone, unless it was deadly often enough.
func (w *Witness) watch(ctx context.Context, module string, fact uuid.UUID, hear func() error) error {
	select {
	case w.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-w.turn }()
	deaths, err := w.begin(ctx, module, fact)
	if err != nil {
		return fmt.Errorf("%w: %w", errBlind, err)
	}
	if deaths >= mostDeaths {
		return &deadlyError{deaths}
	}
	defer w.end(ctx, module, fact)
	return hear()
}

// noteWithin bounds one attempt to write something down.
const noteWithin = 5 * time.Second

func (w *Witness) begin(ctx context.Context, module string, fact uuid.UUID) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, noteWithin)
	defer cancel()
	return w.memory.Begin(ctx, module, fact)
}

// end tries until it is written down: the process lives, and must not be remembered as dead. When ctx has ended it tries once more.
func (w *Witness) end(ctx context.Context, module string, fact uuid.UUID) {
	for pauses := newBackOff(50*time.Millisecond, time.Second); ; _ = run.Pause(ctx, pauses.NextBackOff()) {
		over := ctx.Err() != nil
		once, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteWithin)
		err := w.memory.End(once, module, fact)
		cancel()
		if err == nil || over {
			return
		}
	}
}

// takeAlone sees a suspicious message through, fact by fact.
func (s *hearing) takeAlone(ctx context.Context, d amqp.Delivery) error {
	pieces, err := s.unpack(ctx, d)
	if err == nil {
		pieces, err = s.putBy(ctx, pieces)
	}
	if err != nil {
		return err
	}
	for _, p := range pieces {
		if err := s.alone(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// watched is one attempt at facts, before the witness if there is need.
func (s *hearing) watched(ctx context.Context, pieces []*piece, attempt func() error) error {
	one := pieces[0]
	if s.cfg.Witness == nil || len(pieces) > 1 || cameBack(one.letter.delivery) < suspicious {
		return attempt()
	}
	return s.cfg.Witness.watch(ctx, s.sub.Module, one.fact.ID, attempt)
}

// buryDeadly makes a dead letter of a deadly fact. What is known of it is forgotten then, so that it has its chances when it is replayed.
func (s *hearing) buryDeadly(ctx context.Context, p *piece, f *failure, deadly *deadlyError) error {
	f.attempts = deadly.times
	if err := s.give(ctx, p, f, ReasonDelivery); err != nil {
		return err
	}
	s.cfg.Witness.end(ctx, s.sub.Module, p.fact.ID)
	return nil
}
