// Package broker speaks to RabbitMQ: topology, publishing with confirms, batched consuming with retries and dead letters.
// It knows facts but no saga: which queue hears what is a Topology that is handed in.
//
// Every long-lived part has a connection of its own and a supervisor that makes a fresh connection and channel per attempt.
// Nothing here trusts the client library to notice a dead broker: reads and writes have deadlines, and so have confirms.
package broker

import (
	"context"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Config is what every part of this package needs.
type Config struct {
	URL      string // amqp:// or amqps://
	Topology Topology
	Log      *slog.Logger
	Metrics  *Metrics // nil: not counted

	// Anew is called with the full name of a queue that was not there when it was wanted, and had to be made: what was in it
	// is gone. It must not block. nil: nobody wants to know.
	Anew func(queue string)

	// Bound gives the modules that hear a routing key in any version, also one that is not this program's, and whether any version
	// knows the key at all. nil: this program's are all.
	Bound func(ctx context.Context, key string) (modules []string, known bool, err error)

	// Witness tells which fact the process died of. nil: a message that kills its consumer is handed out up to deliveryLimit times.
	Witness *Witness

	confirmWithin time.Duration // see confirmDeadline; tests shorten it
	unusable      time.Duration // see brokenAfter; tests shorten it
	mostPause     time.Duration // between two attempts at a fact, 5 s; tests shorten it
}

// confirmDeadline is how long a message may stay unconfirmed before its connection is given up. The time that the broker
// says it is blocked does not count.
const confirmDeadline = 15 * time.Second

func (c Config) confirmDeadline() time.Duration {
	if c.confirmWithin > 0 {
		return c.confirmWithin
	}
	return confirmDeadline
}

// brokenAfter is how long a queue has to be unusable before it is made anew.
func (c Config) brokenAfter() time.Duration {
	if c.unusable > 0 {
		return c.unusable
	}
	return brokenFor
}

func (c Config) retries() *backoff.ExponentialBackOff {
	most := c.mostPause
	if most == 0 {
		most = 5 * time.Second
	}
	return newBackOff(100*time.Millisecond, most)
}

func (c Config) metrics() *Metrics {
	if c.Metrics == nil {
		return NewMetrics(nil)
	}
	return c.Metrics
}
