package broker

import (
	"context"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/holdfast-checkout/holdfast/internal/run"
)

const (
	steady        = 5 * time.Second // for so long a connection must have lived for the back-off to begin anew
	mostReconnect = time.Second     // between two attempts to connect, about
)

// supervise runs session again and again until ctx ends, with growing, jittered pauses that never give up. session calls
// up once it can work. Changes of state are logged, attempts are not.
func supervise(ctx context.Context, log *slog.Logger, lost func(), session func(ctx context.Context, up func()) error) {
	pauses := newBackOff(100*time.Millisecond, mostReconnect)
	down := false
	for ctx.Err() == nil {
		var since time.Time
		err := session(ctx, func() {
			since, down = time.Now(), false
			log.Info("connected to RabbitMQ")
		})
		if ctx.Err() != nil {
			return
		}
		if !down {
			down = true
			log.Warn("connection to RabbitMQ lost", "error", err)
			lost()
		}
		if !since.IsZero() && time.Since(since) > steady {
			pauses.Reset()
		}
		_ = run.Pause(ctx, pauses.NextBackOff())
	}
}

func newBackOff(first, most time.Duration) *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.Multiplier = first, most, 2
	return b
}
