package relay

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// together runs parts side by side until one fails or ctx ends, and waits for all. The end of ctx is no error.
func together(ctx context.Context, parts ...func(context.Context) error) error {
	g, inner := errgroup.WithContext(ctx)
	for _, part := range parts {
		g.Go(func() error { return part(inner) })
	}
	err := g.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}
