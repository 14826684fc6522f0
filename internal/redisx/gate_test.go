package redisx

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheGateLetsSoManyInAndAllInTheEnd(t *testing.T) {
	t.Parallel()
	g := newGate(atOnce)
	var inside, most, done atomic.Int64
	var wg sync.WaitGroup
	for range 40 * atOnce {
		wg.Go(func() {
			if err := g.enter(t.Context()); err != nil {
				t.Error(err)
				return
			}
			defer g.leave()
			for now := inside.Add(1); ; {
				was := most.Load()
				if now <= was || most.CompareAndSwap(was, now) {
					break
				}
			}
			done.Add(1)
			inside.Add(-1)
		})
	}
	wg.Wait()
	if most.Load() > atOnce || done.Load() != 40*atOnce {
		t.Fatalf("%d at once, %d in the end", most.Load(), done.Load())
	}
}

func TestAFullGateTurnsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(atOnce)
		for range atOnce {
			if err := g.enter(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		if err := g.enter(t.Context()); !errors.Is(err, errCrowded) || !Unavailable(err) || time.Since(began) != mostWait {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := g.enter(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		began = time.Now()
		waits := make(chan error)
		go func() { waits <- g.enter(t.Context()) }()
		synctest.Wait()
		g.turnAway()
		if err := <-waits; !errors.Is(err, errCrowded) || time.Since(began) != 0 {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		g.leave()
		if err := g.enter(t.Context()); err != nil {
			t.Errorf("a place is free: %v", err)
		}
	})
}

func TestWhatWaitedInVainWasNotSent(t *testing.T) {
	t.Parallel()
	s := NewScripts(nil, nil) // nothing gets as far as the client
	for range atOnce {
		s.gate.places <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for n, want := range map[int]string{1: "one pipeline", pipelined + 1: "two pipelines"} {
		_, err := s.Run(ctx, make([]Call, n))
		if !NotSent(err) || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", want, err)
		}
	}
	waits := make(chan error)
	go func() {
		_, err := s.Run(t.Context(), make([]Call, 1))
		waits <- err
	}()
	for again := true; again; {
		select {
		case err := <-waits:
			if !NotSent(err) || !Unavailable(err) || NotSent(Sent(err)) || !Unavailable(Sent(err)) {
				t.Errorf("turned away: %v", err)
			}
			again = false
		default:
			s.gate.turnAway()
		}
	}
}
