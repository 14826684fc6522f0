// Package run runs the long-lived parts of a program: started in order, stopped in reverse, each waited for.
package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// Part is something that lives long. Run blocks; it returns nil when ctx has ended and all that it started has ended too.
type Part struct {
	Name string
	Run  func(ctx context.Context) error
}

// running is a part that was started.
type running struct {
	part Part
	stop context.CancelFunc
	done chan struct{}
	err  error
}

// All starts the parts in order and waits until ctx ends or a part returns. Then it stops them in reverse order, each
// waited for before the next, and gives the errors of the parts that failed.
func All(ctx context.Context, log *slog.Logger, parts ...Part) error {
	over := make(chan *running, len(parts))
	started := make([]*running, 0, len(parts))
	for _, part := range parts {
		partCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
		r := &running{part: part, stop: stop, done: make(chan struct{})}
		started = append(started, r)
		go func() {
			r.err = part.Run(partCtx)
			close(r.done)
			over <- r
		}()
	}
	select {
	case <-ctx.Done():
	case r := <-over:
		log.ErrorContext(ctx, "a part has ended by itself", "part", r.part.Name, "error", r.err)
		if r.err == nil {
			r.err = errors.New("ended by itself")
		}
	}
	return stopAll(started)
}

func stopAll(started []*running) error {
	var errs []error
	for i := len(started) - 1; i >= 0; i-- {
		r := started[i]
		r.stop()
		<-r.done
		if r.err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.part.Name, r.err))
		}
	}
	return errors.Join(errs...)
}
