package redisx

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// shiftWord is how a script is told, by its last argument, how many ms Postgres' clock is ahead of that of its Redis.
const shiftWord = "shift:"

// Shifts is how far the clocks of Redis servers are from Postgres', by which expiries are said. Each node has a clock of its own.
type Shifts struct {
	mu    sync.Mutex
	nodes map[string]time.Duration // by address; those without a shift are not in it
}

// Set says how far Postgres' clock is ahead of a node's.
func (s *Shifts) Set(addr string, ahead time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nodes == nil {
		s.nodes = map[string]time.Duration{}
	}
	if s.nodes[addr] = ahead; ahead == 0 {
		delete(s.nodes, addr)
	}
}

func (s *Shifts) of(addr string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nodes[addr]
}

func (s *Shifts) none() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.nodes) == 0
}

// shifted are a call's arguments, with the shift of its node where there is one.
func (s *Scripts) shifted(ctx context.Context, call Call) []any {
	if s.Shifts == nil || !s.timed[call.Script] || s.Shifts.none() {
		return call.Args
	}
	node, _ := s.client.(*redis.Client)
	if cluster, is := s.client.(*redis.ClusterClient); is {
		if node, _ = cluster.MasterForKey(ctx, call.Keys[0]); node == nil { // the call itself will say why
			return call.Args
		}
	}
	ahead := s.Shifts.of(node.Options().Addr)
	if ahead == 0 {
		return call.Args
	}
	return append(slices.Clone(call.Args), shiftWord+strconv.FormatInt(ahead.Milliseconds(), 10))
}
