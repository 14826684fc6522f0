package broker

import (
	"context"
	"errors"
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// Who stops while RabbitMQ makes a queue leaves when it is made: a declaring whose connection is gone goes on without anybody knowing
// for how long, and what deletes the queue meanwhile breaks RabbitMQ.
func TestWhatIsBeingDeclaredIsFinished(t *testing.T) {
	t.Parallel()
	cfg := newConfig(t)
	l, err := dial(t.Context(), cfg, "stopped")
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	ctx, stop := context.WithCancel(t.Context())
	err = l.during(ctx, func() error {
		err := l.whole(func() error {
			stop()
			for range 20 { // as long as some declaring takes
				ch, err := l.Channel()
				if err != nil {
					return err
				}
				if err := ch.Close(); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Errorf("cut short: %v", err)
		}
		testkit.Eventually(t, wholeTime, func() error {
			if !l.IsClosed() {
				return errors.New("goes on")
			}
			return nil
		})
		return l.whole(func() error { _, err := l.Channel(); return err })
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it was stopped", err)
	}
}
