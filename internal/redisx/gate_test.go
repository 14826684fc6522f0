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

func TestWhenRedisIsTakenForGone(t *testing.T) {
	t.Parallel()
	single, cluster := &redis.Client{}, &redis.ClusterClient{}
	for name, c := range map[string]struct {
		err    error
		client redis.UniversalClient
		since  time.Duration // an answer to somebody
		want   bool
	}{
		"late, and others are answered":     {context.DeadlineExceeded, single, 0, false},
		"no connection, others answered":    {redis.ErrPoolTimeout, single, quiet, false},
		"late, and nobody is answered":      {context.DeadlineExceeded, single, quiet + 1, true},
		"cut off, though others answered":   {io.EOF, single, 0, true},
		"one of a cluster's nodes was late": {context.DeadlineExceeded, cluster, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := &pulse{}
				p.beat()
				time.Sleep(c.since)
				if got := p.gone(c.err, c.client); got != c.want {
					t.Errorf("gone: %v", got)
				}
			})
		})
	}
	if p := (&pulse{}); !p.gone(context.DeadlineExceeded, single) {
		t.Error("a Redis that never answered is there")
	}
}

// answers is a Redis that does with each pipeline what it says.
type answers func() error

func (a answers) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (a answers) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (a answers) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(_ context.Context, cmds []redis.Cmder) error {
		err := a()
		for _, cmd := range cmds {
			cmd.SetErr(err)
		}
		return err
	}
}

// A pipeline that is late sends away those who wait behind it only when Redis answers nobody else either.
func TestWhoWaitsBehindALatePipeline(t *testing.T) {
	t.Parallel()
	for others, sentAway := range map[bool]bool{true: false, false: true} {
		client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"}) // never dialled
		defer func() { _ = client.Close() }()
		synctest.Test(t, func(t *testing.T) {
			late := 2 * quiet
			client.AddHook(answers(func() error {
				takes := late
				time.Sleep(takes)
				if takes > 0 {
					return context.DeadlineExceeded
				}
				return nil
			}))
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
			time.Sleep(late - time.Millisecond)
			late = 0
			if others {
				run(all, other)
				if err := <-other; err != nil {
					t.Fatal(err)
				}
			}
			if err := <-first; !Unavailable(err) {
				t.Errorf("the late one: %v", err)
			}
			if err := <-waits; NotSent(err) != sentAway || (err == nil) == sentAway {
				t.Errorf("others answered: %v; who waited got %v", others, err)
			}
		})
	}
}
