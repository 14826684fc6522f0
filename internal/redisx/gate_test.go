package redisx

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
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

// answers is a Redis that does with each pipeline, and with each question whether it is there, what they say.
type answers struct{ pipeline, ping func() error }

func (a answers) DialHook(next redis.DialHook) redis.DialHook { return next }

func (a answers) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		cmd.SetErr(a.ping())
		return cmd.Err()
	}
}

func (a answers) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(_ context.Context, cmds []redis.Cmder) error {
		err := a.pipeline()
		for _, cmd := range cmds {
			cmd.SetErr(err)
		}
		return err
	}
}

// A pipeline that failed sends away those who wait behind it when Redis is not there for them either: not when it is merely late, and
// others have their answers, or it says that it is there.
func TestWhoWaitsBehindALatePipeline(t *testing.T) {
	t.Parallel()
	late := context.DeadlineExceeded
	for name, c := range map[string]struct {
		failed   error // of the pipeline
		others   bool  // somebody else is answered meanwhile
		ping     error
		sentAway bool
	}{
		"late, others are answered":                   {failed: late, others: true, ping: late},
		"late, and it is there":                       {failed: late},
		"late, and it is not there":                   {failed: late, ping: late, sentAway: true},
		"cut off, though others were answered":        {failed: io.EOF, others: true, sentAway: true},
		"no connection in time, others were answered": {failed: redis.ErrPoolTimeout, others: true, ping: late},
	} {
		client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"}) // never dialled
		defer func() { _ = client.Close() }()
		synctest.Test(t, func(t *testing.T) {
			var fine atomic.Bool
			client.AddHook(answers{
				ping: func() error { return c.ping },
				pipeline: func() error {
					if fine.Load() {
						return nil
					}
					time.Sleep(2 * quiet)
					return c.failed
				},
			})
			all := NewScripts(client, nil)
			all.Patience = time.Hour
			one := all.Aside(1)
			run := func(s *Scripts, end chan<- error) {
				_, err := s.One(context.Background(), Command("PING"))
				end <- err
			}
			first, waits, other := make(chan error, 1), make(chan error, 1), make(chan error, 1)
			go run(one, first)
			synctest.Wait()
			go run(one, waits)
			time.Sleep(2*quiet - time.Millisecond)
			fine.Store(true)
			if c.others {
				run(all, other)
			}
			if err := <-first; !Unavailable(err) {
				t.Errorf("%s: the first got %v", name, err)
			}
			if err := <-waits; NotSent(err) != c.sentAway || (err == nil) == c.sentAway {
				t.Errorf("%s: who waited got %v", name, err)
			}
		})
	}
}
