package redisx

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Redis does one thing at a time: what is sent to it beyond what it can do within the client's time-outs is not done sooner but
// given up half way. So what one process asks of it waits here, where nothing is lost by waiting, and what waits together goes
// together: the more there are who ask, the fewer packets each of them costs. On a cluster everybody goes alone, so that nobody waits
// for a node that another asks.
const (
	atOnce        = 2               // pipelines under way; of 250 calls each they are some 40 ms of Redis' time, far from the time-outs
	atOnceCluster = 10              // the same on a cluster
	mostWait      = 5 * time.Second // for a place: sending a crowd away makes it come back, and costs more than letting it wait
)

// errCrowded says that no place was to be had in time, or that Redis went away while it was waited for; errNotSent that
// nothing of what was to be sent has been.
var (
	errCrowded = errors.New("redis: too much is waiting for it")
	errNotSent = errors.New("redis: nothing was sent")
)

// NotSent says of an error of Run that nothing of what was to be sent has been: it waited for its turn in vain.
func NotSent(err error) bool { return errors.Is(err, errNotSent) }

// Sent gives an error of which NotSent does not hold, for whoever has sent something else before.
func Sent(err error) error {
	if NotSent(err) {
		return errCrowded
	}
	return err
}

// On a machine that is busy, an answer that did not come in time says little: often it is there, and this process had no turn to read
// it. So before everybody is sent away because of one, Redis is asked whether it is there, unless it has answered others just now.
const quiet = 150 * time.Millisecond // so long ago is not just now

// pulse is when Redis last answered anybody.
type pulse struct{ at atomic.Int64 } // Unix time, ns

func (p *pulse) beat() { p.at.Store(time.Now().UnixNano()) }

func (p *pulse) felt() bool { return time.Since(time.Unix(0, p.at.Load())) <= quiet }

// gone says whether a pipeline that failed so means that Redis is not there for the others either. Of several that fail together one
// asks; the others leave it to that one.
func (s *Scripts) gone(ctx context.Context, err error) bool {
	if !timedOut(err) {
		return true
	}
	if _, single := s.client.(*redis.Client); single && s.pulse.felt() { // another node of a cluster may well have answered
		return false
	}
	if !s.gate.asking.TryLock() {
		return false
	}
	defer s.gate.asking.Unlock()
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	return EachMaster(ctx, s.client, func(ctx context.Context, node *redis.Client) error { return node.Ping(ctx).Err() }) != nil
}

// timedOut says whether an error is of an answer that did not come in time.
func timedOut(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout() || errors.Is(err, redis.ErrPoolTimeout)
}

// request is calls that go in one pipeline, and what became of them.
type request struct {
	ctx     context.Context //nolint:containedctx // whose request it is, until it is done
	calls   []Call
	replies []Reply
	err     error
	taken   bool          // it is on its way; guarded by the gate's mu
	done    chan struct{} // closed when replies and err are there
}

// gate lets a number of pipelines through at once. Who waits is sent away as soon as one of those inside finds Redis gone, so that an
// outage costs nobody more than one time-out.
type gate struct {
	together bool // requests that wait share a pipeline
	places   chan struct{}
	asking   sync.Mutex // whether Redis is there
	mu       sync.Mutex
	waiting  []*request
	gone     chan struct{} // closed when somebody found Redis gone; then a new one is made
}

func newGate(places int, together bool) *gate {
	return &gate{together: together, places: make(chan struct{}, places), gone: make(chan struct{})}
}

// pass has a request served, alone or with others. An error that is errNotSent says that it was not. Whoever is called off while it is
// on its way waits for its end, to know what was done, and no longer than its deadline.
func (g *gate) pass(r *request, serve func([]*request)) error {
	if err := r.ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", errNotSent, err)
	}
	if err := g.enter(r, serve); err != nil {
		return err
	}
	select {
	case <-r.done:
		return r.err
	case <-r.ctx.Done():
	}
	if errors.Is(r.ctx.Err(), context.Canceled) {
		<-r.done
		return r.err
	}
	return r.ctx.Err()
}

// enter waits until the request is on its way. As soon as there is a place, one of those who wait sees to it that they are served.
func (g *gate) enter(r *request, serve func([]*request)) error {
	g.mu.Lock()
	g.waiting = append(g.waiting, r)
	gone := g.gone
	g.mu.Unlock()
	timer := time.NewTimer(mostWait)
	defer timer.Stop()
	for g.waits(r) {
		why := errCrowded
		select {
		case g.places <- struct{}{}:
			batch := g.take()
			go func() {
				defer func() { <-g.places }()
				serve(batch)
			}()
			continue
		case <-r.done:
			return nil
		case <-gone:
		case <-timer.C:
		case <-r.ctx.Done():
			why = r.ctx.Err()
		}
		if g.withdraw(r) {
			return fmt.Errorf("%w: %w", errNotSent, why)
		}
	}
	return nil
}

// waits says whether the request is not on its way yet.
func (g *gate) waits(r *request) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !r.taken
}

// take gives those who have waited longest, as many as may go together.
func (g *gate) take() []*request {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, calls := 0, 0
	for n < len(g.waiting) && (n == 0 || g.together && calls+len(g.waiting[n].calls) <= pipelined) {
		calls += len(g.waiting[n].calls)
		g.waiting[n].taken = true
		n++
	}
	batch := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	return batch
}

// withdraw takes a request back that is not on its way yet.
func (g *gate) withdraw(r *request) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := slices.Index(g.waiting, r)
	if at >= 0 {
		g.waiting = slices.Delete(g.waiting, at, at+1)
	}
	return at >= 0
}

// turnAway sends away whoever waits.
func (g *gate) turnAway() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.gone)
	g.gone = make(chan struct{})
}
