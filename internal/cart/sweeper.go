package cart

import (
	"context"
	"time"
)

const (
	keep       = 24 * time.Hour // how long an expired or emptied cart stays open, and the row of a closed one
	keepLines  = time.Minute    // how long the lines of a closed cart stay, for calls that were under way when it was closed
	afterClose = time.Second    // how long after a cart was bought its copy is dropped
	batch      = 500            // carts that one statement sweeps
)

// bell wakes whoever waits for it. Rung again before it was heard, it is heard once.
type bell chan struct{}

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// Sweeper clears carts away that are of no more use: it closes those that were left alone for a day after they expired or were emptied,
// drops the copies and the lines of those that were bought or closed, and in the end their rows. Nothing depends on it but
// space. Any number of instances may run.
type Sweeper struct {
	carts *Service
	every time.Duration
}

// NewSweeper makes a sweeper that looks for expired carts at that interval.
func NewSweeper(carts *Service, every time.Duration) *Sweeper {
	return &Sweeper{carts: carts, every: every}
}

// Run sweeps until ctx ends.
func (w *Sweeper) Run(ctx context.Context) error {
	all := time.NewTicker(w.every)
	defer all.Stop()
	soon := time.NewTimer(afterClose) // for what was bought before this instance ran
	defer soon.Stop()
	waiting := true
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-w.carts.closed:
			if !waiting {
				soon.Reset(afterClose)
				waiting = true
			}
		case <-soon.C:
			waiting = false
			err = w.carts.inBatches(ctx, w.carts.dropCopies)
		case <-all.C:
			err = w.carts.Sweep(ctx)
		}
		if err != nil && ctx.Err() == nil {
			w.carts.log.WarnContext(ctx, "sweep carts", "error", err)
		}
	}
}

// Sweep does all there is to do now, in batches.
func (s *Service) Sweep(ctx context.Context) error {
	for _, step := range []func(context.Context, querier) (int64, error){closeExpired, closeEmptied, s.dropCopies, deleteLines, deleteClosed} {
		if err := s.inBatches(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

// inBatches repeats a step until it has found less than a batch.
func (s *Service) inBatches(ctx context.Context, step func(context.Context, querier) (int64, error)) error {
	for {
		n, err := step(ctx, s.db)
		if err != nil || n < batch {
			return err
		}
	}
}

// dropCopies drops first and notes it afterwards: done twice it does no harm, not done it would.
func (s *Service) dropCopies(ctx context.Context, db querier) (int64, error) {
	ids, err := withCopies(ctx, db)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	if err := s.copies.drop(ctx, never, ids...); err != nil {
		return 0, err
	}
	return noteDropped(ctx, db, ids)
}
