package redisx

import (
	"context"
	"errors"
	"regexp"
	"sync"

	"github.com/redis/go-redis/v9"
)

// errForeign says that a server has not been looked at, or that its memory is not ours. It counts as unavailable.
var errForeign = errors.New("redis: the server's memory has not been vouched for")

// Admission decides which servers are worked with: those whose memory somebody has vouched for. A server that was started
// again, with whatever memory, is another one. Until the first is vouched for there is none.
type Admission struct {
	mu    sync.Mutex
	runs  map[string]bool // run ids of the servers that are vouched for; empty: nothing is done anywhere
	asked chan struct{}
}

// NewAdmission makes one that lets nobody in.
func NewAdmission() *Admission { return &Admission{asked: make(chan struct{}, 1)} }

// Vouch admits these servers, by their run ids, and no others.
func (a *Admission) Vouch(runs ...string) {
	vouched := make(map[string]bool, len(runs))
	for _, run := range runs {
		vouched[run] = true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.runs = vouched
}

// Asked has something in it once a server was met that nobody vouches for.
func (a *Admission) Asked() <-chan struct{} { return a.asked }

// Admits says whether any server is worked with.
func (a *Admission) Admits() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.runs) > 0
}

var runID = regexp.MustCompile(`run_id:([0-9a-f]+)`)

// onConnect looks at the server at the other end of a new connection: nothing goes through it before.
func (a *Admission) onConnect(ctx context.Context, conn *redis.Conn) error {
	info, err := conn.Info(ctx, "server").Result()
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if said := runID.FindStringSubmatch(info); said != nil && a.runs[said[1]] {
		return nil
	}
	select {
	case a.asked <- struct{}{}:
	default:
	}
	return errForeign
}
