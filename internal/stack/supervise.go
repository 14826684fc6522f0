package stack

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
	healthy    = 10 * time.Second // a server that has lived that long starts again without a pause
)

// Supervise starts a server again, on its own port and data, whenever one ends that nobody here has stopped. It blocks
// until ctx ends. Stop and Kill are for afterwards.
func (s *Stack) Supervise(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, server := range s.Servers() {
		wg.Go(func() { server.supervise(ctx) })
	}
	wg.Wait()
	<-ctx.Done() // where every server was named by a URL there is none to watch
	return nil
}

func (s *Server) supervise(ctx context.Context) {
	pause := firstPause
	for born := time.Now(); ; born = time.Now() {
		select {
		case <-ctx.Done():
			return
		case <-s.died:
		}
		if time.Since(born) > healthy {
			pause = firstPause
		}
		if pause = s.restart(ctx, pause); ctx.Err() != nil {
			return
		}
	}
}

// restart tries until the server is up or ctx ends, and answers how long the next restart has to wait if it comes soon.
func (s *Server) restart(ctx context.Context, pause time.Duration) time.Duration {
	for ; ; pause = min(2*pause, lastPause) {
		select {
		case <-ctx.Done():
			return pause
		case <-time.After(pause):
		}
		err := s.revive(ctx)
		if err == nil || ctx.Err() != nil {
			return min(2*pause, lastPause)
		}
		s.log.Error("server does not start again", slog.Any("error", err), slog.Duration("next_try_in", min(2*pause, lastPause)))
	}
}
