package redisx

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Redis does one thing at a time: what is sent to it beyond what it can do within the client's time-outs is not done sooner but
// given up half way. So the pipelines of one process queue here, where nothing is lost by waiting.
const (
	atOnce   = 10              // pipelines under way; of 50 calls each they are some 35 ms of Redis' time, far from the time-outs
	mostWait = 5 * time.Second // for a place: sending a crowd away makes it come back, and costs more than letting it wait
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

// gate lets a number of callers in at once. Who waits is sent away as soon as one of those inside finds Redis gone, so that an
// outage costs nobody more than one time-out.
type gate struct {
	places chan struct{}
	asking sync.Mutex // whether Redis is there
	mu     sync.Mutex
	gone   chan struct{} // closed when somebody found Redis gone; then a new one is made
}

func newGate(places int) *gate {
	return &gate{places: make(chan struct{}, places), gone: make(chan struct{})}
}

// enter waits for a place, which leave gives back.
func (g *gate) enter(ctx context.Context) error {
	select {
	case g.places <- struct{}{}:
		return nil
	default:
	}
	g.mu.Lock()
	gone := g.gone
	g.mu.Unlock()
	timer := time.NewTimer(mostWait)
	defer timer.Stop()
	select {
	case g.places <- struct{}{}:
		return nil
	case <-gone:
		return errCrowded
	case <-timer.C:
		return errCrowded
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *gate) leave() { <-g.places }

// turnAway sends away whoever waits.
func (g *gate) turnAway() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.gone)
	g.gone = make(chan struct{})
}
