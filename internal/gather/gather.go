// Package gather does at once what many callers ask for at the same time: one query for what all of them read, one commit for
// what all of them write.
package gather

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Batch hands what its callers ask for to one function, as much at a time as waits there. It never waits for more: a caller
// who is alone is served at once and alone, and a crowd is served together. One batch is under way at a time, and meanwhile the next
// one grows. One of those who wait does the work for all, so there is nothing to start and nothing to stop.
type Batch[In, Out any] struct {
	do       func(ctx context.Context, asked []In) ([]Out, error)
	most     int
	within   time.Duration
	together func(error) bool
	place    chan struct{}
	mu       sync.Mutex
	waiting  []*call[In, Out]
}

type call[In, Out any] struct {
	in    In
	out   Out
	err   error
	taken bool          // somebody serves it; guarded by the batch's mu
	done  chan struct{} // closed when out and err are there
}

// Options bound the work.
type Options struct {
	Most   int           // callers served at once
	Within time.Duration // for one batch
	// Together says that an error concerns all callers alike. After another one each is served again alone, so that nobody
	// fails for what another asked: what was asked must bear being done twice.
	Together func(error) bool
}

// New makes a batch. do answers what was asked, in its order.
func New[In, Out any](o Options, do func(ctx context.Context, asked []In) ([]Out, error)) *Batch[In, Out] {
	return &Batch[In, Out]{do: do, most: o.Most, within: o.Within, together: o.Together, place: make(chan struct{}, 1)}
}

// Do asks and waits for the answer. A caller whose context ends while it waits for its turn leaves; once its batch is under
// way it waits for the end of it, so that it knows what was done.
func (b *Batch[In, Out]) Do(ctx context.Context, in In) (Out, error) {
	c := &call[In, Out]{in: in, done: make(chan struct{})}
	b.mu.Lock()
	b.waiting = append(b.waiting, c)
	b.mu.Unlock()
	for b.waits(c) {
		select {
		case <-c.done:
		case b.place <- struct{}{}:
			b.serve(ctx)
		case <-ctx.Done():
			if b.leave(c) {
				return c.out, ctx.Err()
			}
		}
	}
	<-c.done
	return c.out, c.err
}

// waits says whether nobody serves the call yet.
func (b *Batch[In, Out]) waits(c *call[In, Out]) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !c.taken
}

// leave takes a call back that nobody serves yet.
func (b *Batch[In, Out]) leave(c *call[In, Out]) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, w := range b.waiting {
		if w == c {
			b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// take gives who has waited longest.
func (b *Batch[In, Out]) take() []*call[In, Out] {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(b.waiting), b.most)
	calls := b.waiting[:n:n]
	b.waiting = b.waiting[n:]
	for _, c := range calls {
		c.taken = true
	}
	return calls
}

var errPanicked = errors.New("the work for all who waited was given up")

// serve does one batch. It is everybody's work, so it does not end with the context of the caller who does it.
func (b *Batch[In, Out]) serve(ctx context.Context) {
	defer func() { <-b.place }()
	calls := b.take()
	if len(calls) == 0 {
		return
	}
	for _, c := range calls {
		c.err = errPanicked
	}
	defer func() {
		for _, c := range calls {
			close(c.done)
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.within)
	defer cancel()
	err := b.some(ctx, calls)
	if err == nil || len(calls) == 1 || b.together(err) {
		return
	}
	for i := range calls {
		_ = b.some(ctx, calls[i:i+1]) // its caller is told
	}
}

// some serves these calls by one run of the function.
func (b *Batch[In, Out]) some(ctx context.Context, calls []*call[In, Out]) error {
	asked := make([]In, len(calls))
	for i, c := range calls {
		asked[i] = c.in
	}
	answers, err := b.do(ctx, asked)
	for i, c := range calls {
		if c.err = err; err == nil {
			c.out = answers[i]
		}
	}
	return err
}
