package reconcile

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

const (
	// page is how many products or carts are compared at once.
	page = 500
	// portion is how many ids are asked for at once.
	portion = 20 * page
	// hands is how many pages are under way at once: while Redis reads one, Postgres reads another. What a run has in memory
	// is these pages, one portion of ids, and what it doubts.
	hands = 3
)

// walk hands out ids in pages, several at once. next gives the ids that follow the last one; fewer than a portion are the end.
func walk(ctx context.Context, next func(ctx context.Context, last uuid.UUID) ([]uuid.UUID, error), do func(ctx context.Context, ids []uuid.UUID) error) error {
	g, ctx := errgroup.WithContext(ctx)
	pages := make(chan []uuid.UUID)
	g.Go(func() error {
		defer close(pages)
		for last := uuid.Nil; ; {
			ids, err := next(ctx, last)
			if err != nil {
				return err
			}
			for some := range slices.Chunk(ids, page) {
				select {
				case pages <- some:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			if len(ids) < portion {
				return nil
			}
			last = ids[len(ids)-1]
		}
	})
	for range hands {
		g.Go(func() error {
			for ids := range pages {
				if err := do(ctx, ids); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}
