package redisx

import (
	"context"
	"errors"
	"io"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

// newRequest makes one of so many calls.
func newRequest(ctx context.Context, calls int) *request {
	return &request{ctx: ctx, calls: make([]Call, calls), done: make(chan struct{})}
}

// finish serves requests without doing anything.
func finish(batch []*request) {
	for _, r := range batch {
		close(r.done)
	}
}

func TestTheGateLetsSoManyInAndAllInTheEnd(t *testing.T) {
	t.Parallel()
	for name, together := range map[string]bool{"together": true, "each alone": false} {
		g := newGate(atOnce, together)
		var inside, most, served, largest atomic.Int64
		raise := func(top *atomic.Int64, to int64) {
			for was := top.Load(); to > was && !top.CompareAndSwap(was, to); was = top.Load() {
			}
		}
		serve := func(batch []*request) {
			raise(&most, inside.Add(1))
			raise(&largest, int64(len(batch)))
			served.Add(int64(len(batch)))
			inside.Add(-1)
			finish(batch)
		}
		var wg sync.WaitGroup
		for range 400 {
			wg.Go(func() {
				if err := g.pass(newRequest(t.Context(), 1), serve); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if most.Load() > atOnce || served.Load() != 400 || !together && largest.Load() != 1 {
			t.Errorf("%s: %d pipelines at once, %d requests in the end, up to %d together", name, most.Load(), served.Load(), largest.Load())
		}
	}
}

// Those who wait go together, in the order in which they came, as long as the pipeline is not too long for it.
func TestWhoWaitsGoesTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, true)
		open := make(chan struct{})
		var batches [][]int
		serve := func(batch []*request) {
			<-open
			var sizes []int
			for _, r := range batch {
				sizes = append(sizes, len(r.calls))
			}
			batches = append(batches, sizes)
			finish(batch)
		}
		var wg sync.WaitGroup
		for _, calls := range []int{7, 1, pipelined - 2, 1, 1, pipelined, 2} {
			wg.Go(func() {
				if err := g.pass(newRequest(t.Context(), calls), serve); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		close(open)
		wg.Wait()
		if want := [][]int{{7}, {1, pipelined - 2, 1}, {1}, {pipelined}, {2}}; !reflect.DeepEqual(batches, want) {
			t.Errorf("together went %v, want %v", batches, want)
		}
	})
}

func TestAFullGateTurnsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(1, true)
		release := make(chan struct{})
		slow := func(batch []*request) { <-release; finish(batch) }
		pass := func(ctx context.Context, serve func([]*request)) <-chan error {
			end := make(chan error, 1)
			go func() { end <- g.pass(newRequest(ctx, 1), serve) }()
			synctest.Wait()
			return end
		}
		inside := pass(t.Context(), slow)
		began := time.Now()
		if err := <-pass(t.Context(), finish); !NotSent(err) || !errors.Is(err, errCrowded) || !Unavailable(err) || time.Since(began) != mostWait {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		waits := pass(ctx, finish)
		cancel()
		if err := <-waits; !NotSent(err) || !errors.Is(err, context.Canceled) {
			t.Errorf("called off while it waited: %v", err)
		}
		if err := <-pass(ctx, finish); !NotSent(err) || !errors.Is(err, context.Canceled) {
			t.Errorf("called off before: %v", err)
		}
		began = time.Now()
		waits = pass(t.Context(), finish)
		g.turnAway()
		if err := <-waits; !NotSent(err) || !errors.Is(err, errCrowded) || time.Since(began) != 0 {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		close(release)
		if err := <-inside; err != nil {
			t.Error(err)
		}
		if err := <-pass(t.Context(), finish); err != nil {
			t.Errorf("a place is free: %v", err)
		}
	})
}

// What is on its way is waited for by who is called off, and no longer than it has time by who has a deadline.
func TestWhoIsCalledOffKnowsWhatWasDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate(2, true)
		serve := func(batch []*request) { time.Sleep(time.Second); finish(batch) }
		ctx, cancel := context.WithCancel(t.Context())
		hurried, end := context.WithTimeout(t.Context(), time.Second/4)
		defer end()
		done, late := make(chan error, 1), make(chan error, 1)
		began := time.Now()
		go func() { done <- g.pass(newRequest(ctx, 1), serve) }()
		go func() { late <- g.pass(newRequest(hurried, 1), serve) }()
		synctest.Wait()
		cancel()
		if err := <-late; NotSent(err) || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second/4 {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if err := <-done; err != nil || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
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

// A pipeline of many requests fails those that have no answer.
func TestOnlyWhoHasNoAnswerFails(t *testing.T) {
	t.Parallel()
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"}) // never dialled
	defer func() { _ = client.Close() }()
	client.AddHook(half{})
	s := NewScripts(client, nil)
	batch := []*request{newRequest(t.Context(), 2), newRequest(t.Context(), 1), newRequest(t.Context(), 1)}
	for _, r := range batch {
		for i := range r.calls {
			r.calls[i] = Command("GET", "key")
		}
	}
	s.serve(batch)
	if r := batch[0]; r.err != nil || len(r.replies) != 2 || r.replies[1].Err != nil {
		t.Errorf("answered: %+v", r)
	}
	if r := batch[1]; r.err != nil || r.replies[0].Err == nil {
		t.Errorf("refused: %+v", r)
	}
	if r := batch[2]; !Unavailable(r.err) {
		t.Errorf("cut off: %+v", r)
	}
}

// half is a Redis that answers two calls of a pipeline, refuses the third and is gone before the rest.
type half struct{ redis.Hook }

func (half) DialHook(next redis.DialHook) redis.DialHook { return next }

func (half) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error { return cmd.Err() }
}

func (half) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(_ context.Context, cmds []redis.Cmder) error {
		cmds[2].SetErr(refusal("INVALID"))
		for _, cmd := range cmds[3:] {
			cmd.SetErr(io.EOF)
		}
		return io.EOF
	}
}

// refusal is an error that Redis answers.
type refusal string

func (r refusal) Error() string { return string(r) }

func (refusal) RedisError() {}

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
