package deadletter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/fault"
)

// replayTimeout is how long a replay waits for the broker.
const replayTimeout = 5 * time.Second

// Replay puts a letter's event into the queue of the module that it died in, as it was published. It passes the module's
// inbox like any other copy, so replaying what was heard after all changes nothing.
func (l *Letters) Replay(ctx context.Context, id uuid.UUID) (Letter, error) {
	letter, err := l.find(ctx, id)
	if err != nil {
		return letter, err
	}
	if _, ok := l.topology.Queues[letter.Module]; !ok {
		return letter, fault.New(fault.Conflict, "No module hears this dead letter.")
	}
	ctx, cancel := context.WithTimeout(ctx, replayTimeout)
	defer cancel()
	err = l.publisher.Publish(ctx, broker.Message{
		ID: letter.ID.String(), Key: l.topology.Queue(letter.Module), ContentType: event.ContentType, Body: letter.Body,
	})
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, broker.ErrStopped) {
		return letter, fault.New(fault.Unavailable, "The broker does not take it now.").Because(err)
	}
	if err != nil {
		return letter, fmt.Errorf("replay dead letter %s: %w", id, err)
	}
	return letter, l.replayed(ctx, &letter)
}

// Delete gives a letter up, for a reason that stays in the log.
func (l *Letters) Delete(ctx context.Context, id uuid.UUID, who, reason string) error {
	letter, err := l.find(ctx, id)
	if err != nil {
		return err
	}
	if err := l.remove(ctx, id); err != nil {
		return err
	}
	l.log.Warn("dead letter given up", "dead_letter", id, "module", letter.Module, "fact", letter.FactID, "name", letter.Name,
		"last_error", letter.LastError, "by", who, "reason", reason)
	return nil
}
