package order

import (
	"context"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// tickInterval is how often overdue orders and expired keys are looked for; page is how many are taken at once.
const (
	tickInterval = time.Second
	page         = 500
)

// Run tells those who watch orders on this instance what is new of them, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	look := time.NewTicker(lookInterval)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
			s.report(ctx, "look at watched orders", s.watchers.look(ctx, s.db, true))
		case <-s.watchers.bell:
			s.report(ctx, "look at watched orders", s.watchers.look(ctx, s.db, false))
		}
	}
}

// Clock does what time asks of orders, until ctx ends: it ends those that are overdue and forgets expired keys. One instance
// does it; two do no harm.
func (s *Service) Clock(ctx context.Context) error {
	tick := time.NewTicker(tickInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.tick(ctx)
		}
	}
}

func (s *Service) tick(ctx context.Context) {
	for {
		ended, err := s.TimeOut(ctx, page)
		s.report(ctx, "time out orders", err)
		if ended > 0 {
			s.log.InfoContext(ctx, "orders timed out", "orders", ended)
		}
		if err != nil || ended < page {
			break
		}
	}
	for n := page; n == page && ctx.Err() == nil; { // however many a second have made
		var err error
		n, err = s.ForgetKeys(ctx, page)
		s.report(ctx, "forget expired keys", err)
	}
}

func (s *Service) report(ctx context.Context, doing string, err error) {
	if err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "order clock: "+doing, "error", err, "unavailable", postgres.Unavailable(err))
	}
}
