package deadletter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/fault"
)

const (
	replayTimeout = 5 * time.Second // how long a replay waits for the broker
	mostReplayed  = 10_000          // letters that one call of ReplayAll takes
)

// Replay puts a letter's event into the queue of the module that it died in, as it was published. It passes the module's
// inbox like any other copy, so replaying what was heard after all changes nothing. by is who asks.
func (l *Letters) Replay(ctx context.Context, id uuid.UUID, by string) (Letter, error) {
	letter, err := l.Find(ctx, id)
	if err != nil {
		return letter, err
	}
	if _, ok := l.topology.Queues[letter.Module]; !ok {
		return letter, fault.New(fault.Conflict, "No module hears this dead letter.")
	}
	if err := l.send(ctx, []Letter{letter}, by); err != nil {
		return letter, err
	}
	return l.Find(ctx, id)
}

// Replayed is what became of a replay of many letters.
type Replayed struct {
	Replayed int `json:"replayed" validate:"required"` // letters that went back to their modules
	Left     int `json:"left" validate:"required"`     // letters that are meant and open, those that died again meanwhile among them
} //	@name	Replayed

// ReplayAll replays all open letters that are meant, oldest first, up to 10,000 at once.
func (l *Letters) ReplayAll(ctx context.Context, which Filter, by string) (Replayed, error) {
	var done Replayed
	which.Open = true
	at, until := Position{}, clock.Now()
	for done.Replayed < mostReplayed {
		letters, err := l.page(ctx, which, at, until)
		if err != nil {
			return done, err
		}
		if len(letters) == 0 {
			break
		}
		if err := l.send(ctx, letters, by); err != nil {
			return done, err
		}
		done.Replayed += len(letters)
		last := letters[len(letters)-1]
		at = Position{last.At, last.ID}
	}
	var err error
	done.Left, err = l.count(ctx, which)
	return done, err
}

// send publishes letters to their modules' queues and writes down that it did.
func (l *Letters) send(ctx context.Context, letters []Letter, by string) error {
	log, err := l.asked(ctx, letters, by)
	if err != nil {
		return err
	}
	messages := make([]broker.Message, len(letters))
	for i, letter := range letters {
		messages[i] = broker.Message{
			ID: letter.ID.String(), Key: l.topology.Queue(letter.Module), ContentType: event.ContentType, Body: letter.Body,
		}
	}
	limited, cancel := context.WithTimeout(ctx, replayTimeout)
	defer cancel()
	err = l.publisher.Publish(limited, messages...)
	if err == nil {
		return l.sent(ctx, log, letters, by)
	}
	l.notTaken(ctx, log)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, broker.ErrStopped) {
		return fault.New(fault.Unavailable, "The broker does not take it now.").Because(err)
	}
	return fmt.Errorf("replay %d dead letters: %w", len(letters), err)
}

// Delete gives a letter up, for a reason that stays in the log.
func (l *Letters) Delete(ctx context.Context, id uuid.UUID, by, reason string) error {
	letter, err := l.Find(ctx, id)
	if err != nil {
		return err
	}
	if err := l.deleted(ctx, letter, by, reason); err != nil {
		return err
	}
	l.log.WarnContext(ctx, "dead letter given up", "dead_letter", id, "module", letter.Module, "fact", letter.FactID, "name", letter.Name,
		"last_error", letter.LastError, "by", by, "reason", reason)
	return nil
}
