package refill

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/deadletter"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/outbox"
)

// mark gives how far a module has heard everything, and how far the relay has come.
func (b *bench) mark(module string) (mark, relayed uint64) {
	b.Helper()
	states, err := b.r.states(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range states {
		if s.Module == module {
			return s.Mark, s.Relayed
		}
	}
	b.Fatalf("no module %s", module)
	return 0, 0
}

// A leader of an older version does not move a module's mark past what only a newer one binds to it, and publishes that again
// like everything else that is lost.
func TestAnOlderLeaderKeepsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	known := b.say(2, time.Minute)
	f := event.New("order.weighed", "next", uuid.Must(uuid.NewV7()), event.Order{Customer: "ada"})
	b.exec(func(tx pgx.Tx) error { return outbox.Append(b.Context(), tx, f) })
	b.exec(func(tx pgx.Tx) error {
		_, err := tx.Exec(b.Context(), `UPDATE shared.outbox SET at = now() - interval '1 minute' WHERE id = $1`, f.ID)
		return err
	})
	younger := b.say(2, time.Minute)
	b.r.Foreign = func(_ context.Context, module string) ([]string, error) {
		if module == "payment" {
			return []string{"next.order.weighed"}, nil
		}
		return nil, nil
	}
	b.hear("inventory", append(known, younger...)...)
	b.hear("payment", append(known, younger...)...)
	b.look()
	b.holds("inventory")
	b.holds("payment", f)
	if mark, relayed := b.mark("inventory"); mark != relayed {
		t.Errorf("inventory has heard everything, and its mark is %d of %d", mark, relayed)
	}
	if mark, relayed := b.mark("payment"); mark == relayed {
		t.Errorf("payment's mark is %d, past a fact that it has not heard", mark)
	}
	b.hear("payment", f)
	b.look()
	if mark, relayed := b.mark("payment"); mark != relayed {
		t.Errorf("payment has heard everything, and its mark is %d of %d", mark, relayed)
	}
}

// What an operator has given up is not published again, nor what waits for another version.
func TestWhatIsSeenToOtherwiseIsNotPublishedAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	facts := b.say(3, time.Minute)
	b.hear("payment", facts...)
	letters := deadletter.New(b.env.DB, b.r.Publisher, b.r.Broker.Topology, b.env.Log, nil)
	letter := broker.NewDeadLetter("inventory", "", broker.ReasonExhausted, event.Encode(facts[0]), errors.New("no appetite"))
	if err := letters.Keep(t.Context(), []broker.DeadLetter{letter}); err != nil {
		t.Fatal(err)
	}
	if err := letters.Delete(t.Context(), letter.ID, "an operator", "the order was refunded by hand"); err != nil {
		t.Fatal(err)
	}
	b.exec(func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `INSERT INTO shared.waiting_facts (fact_id, module, key, version, body) VALUES ($1, 'inventory', 'next.x', 0, '')`, facts[1].ID)
		return err
	})
	b.look()
	b.holds("inventory", facts[2])
}
