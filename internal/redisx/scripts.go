package redisx

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// pipelined is the number of calls that go out in one pipeline: some 20 ms of Redis' time, which is how long others wait.
const pipelined = 250

// Call is one run of a script, or, where Script is empty, one plain command whose words are Args. The first of Keys says
// which node of a cluster it goes to.
type Call struct {
	Script string
	Keys   []string
	Args   []any
}

// Command makes a call of a plain command whose only key is its second word.
func Command(words ...any) Call { return Call{Args: words} }

// Reply is what one call answered.
type Reply struct {
	Value any
	Err   error
}

// Scripts runs scripts by their digest. It loads them where Redis does not know them (at first, after a restart, on a new node
// of a cluster) and runs again what was answered NOSCRIPT, or MOVED when slots have moved, and only that.
type Scripts struct {
	// Patience is how long one pipeline may take in all: the package's, unless it is set before the first Run. A node that is
	// frozen while a connection is made would take twice the client's time-out.
	Patience  time.Duration
	Shifts    *Shifts    // how far the clocks of the servers are from Postgres'; nil: not at all
	Admission *Admission // the client's, so that open connections stop too when nobody is vouched for; nil: none

	client  redis.UniversalClient
	gate    *gate
	pulse   *pulse // of the client's server, for all gates
	sources map[string]string
	digests map[string]string
	timed   map[string]bool // scripts that are told of a shift
}

// NewScripts takes the sources of the scripts by name.
func NewScripts(client redis.UniversalClient, sources map[string]string) *Scripts {
	digests, timed := make(map[string]string, len(sources)), make(map[string]bool, len(sources))
	for name, source := range sources {
		sum := sha1.Sum([]byte(source)) // Redis' own name for a script
		digests[name] = hex.EncodeToString(sum[:])
		timed[name] = strings.Contains(source, shiftWord)
	}
	_, cluster := client.(*redis.ClusterClient)
	gate := newGate(atOnce, true)
	if cluster {
		gate = newGate(atOnceCluster, false)
	}
	return &Scripts{Patience: Patience, client: client, gate: gate, pulse: &pulse{}, sources: sources, digests: digests, timed: timed}
}

// Aside gives the same scripts with a gate of their own for so many pipelines at once: for work that no customer waits for, so
// that it neither waits among customers nor fills their places.
func (s *Scripts) Aside(places int) *Scripts {
	aside := *s
	aside.gate = newGate(places, s.gate.together)
	return &aside
}

// Apart gives the same scripts with a gate of their own, through which every request goes alone: for work of which each piece is as
// much as others should wait for.
func (s *Scripts) Apart(places int) *Scripts {
	apart := *s
	apart.gate = newGate(places, false)
	return &apart
}

// Run sends calls as pipelines, perhaps together with what others ask for, and gives their replies, in order. The error is the first
// by which Redis was unavailable: then any of the calls may or may not have been done. What Redis refused is in the replies.
func (s *Scripts) Run(ctx context.Context, calls []Call) ([]Reply, error) {
	var replies []Reply
	for some := range slices.Chunk(calls, pipelined) {
		answered, err := s.run(ctx, some)
		if err != nil && len(replies) > 0 {
			err = Sent(err)
		}
		if err != nil {
			return nil, err
		}
		replies = append(replies, answered...)
	}
	return replies, nil
}

// One runs one call.
func (s *Scripts) One(ctx context.Context, call Call) (any, error) {
	replies, err := s.Run(ctx, []Call{call})
	if err != nil {
		return nil, err
	}
	return replies[0].Value, replies[0].Err
}

// mostRounds is how often a pipeline is sent at most: a second time after loading, a third after a node that was met meanwhile.
// Once for each of mostMoves more it is sent to where slots of the cluster have moved: the client learns of that in the
// background, within some ms of the first answer that says so.
const (
	mostRounds = 3
	mostMoves  = 8
	movePause  = 25 * time.Millisecond
)

func (s *Scripts) run(ctx context.Context, calls []Call) ([]Reply, error) {
	if s.Admission != nil && !s.Admission.Admits() {
		return nil, errForeign
	}
	r := &request{ctx: ctx, calls: calls, done: make(chan struct{})}
	if err := s.gate.pass(r, s.serve); err != nil {
		return nil, err
	}
	return r.replies, nil
}

// serve sends the calls of a batch of requests as one pipeline. A request fails if one of its own calls has no answer.
func (s *Scripts) serve(batch []*request) {
	if len(batch) == 0 {
		return
	}
	ctx := context.WithoutCancel(batch[0].ctx)
	calls := batch[0].calls
	if len(batch) > 1 {
		calls = slices.Concat(callsOf(batch)...)
	}
	replies := make([]Reply, len(calls))
	err := s.rounds(ctx, calls, replies)
	switch {
	case err == nil:
		s.pulse.beat()
	case Unavailable(err) && s.gone(ctx, err):
		s.gate.turnAway()
	}
	for _, r := range batch {
		n := len(r.calls)
		r.replies, replies = replies[:n:n], replies[n:]
		if err != nil && slices.ContainsFunc(r.replies, unanswered) {
			r.err = err
		}
		close(r.done)
	}
}

func callsOf(batch []*request) [][]Call {
	calls := make([][]Call, len(batch))
	for i, r := range batch {
		calls[i] = r.calls
	}
	return calls
}

// unanswered says whether it is not known what became of a call, or known that it was not done.
func unanswered(r Reply) bool { return r.Err != nil && (Unavailable(r.Err) || unknownScript(r.Err)) }

func unknownScript(err error) bool { return strings.HasPrefix(err.Error(), "NOSCRIPT") }

func (s *Scripts) rounds(ctx context.Context, calls []Call, replies []Reply) error {
	open := make([]int, len(calls)) // indexes of the calls that are not done
	for i := range calls {
		open[i] = i
	}
	for rounds, moves := 1, 0; ; {
		unknown, moved, err := s.send(ctx, calls, replies, open)
		if err != nil {
			return err
		}
		if rounds += min(len(unknown), 1); rounds > mostRounds {
			unknown = nil
		}
		if moves += min(len(moved), 1); moves > mostMoves {
			return fmt.Errorf("redis: %w", replies[moved[0]].Err)
		}
		if open = append(unknown, moved...); len(open) == 0 {
			return nil
		}
		if err := s.prepare(ctx, calls, unknown, len(moved) > 0); err != nil {
			return err
		}
	}
}

// send runs the open calls and gives those that were not done: answered NOSCRIPT, or MOVED because their slot is elsewhere.
func (s *Scripts) send(ctx context.Context, calls []Call, replies []Reply, open []int) (unknown, moved []int, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.Patience)
	defer cancel()
	pipe := s.client.Pipeline()
	cmds := make([]*redis.Cmd, len(open))
	for i, at := range open {
		if call := calls[at]; call.Script == "" {
			cmds[i] = pipe.Do(ctx, call.Args...)
		} else {
			cmds[i] = pipe.EvalSha(ctx, s.digests[call.Script], call.Keys, s.shifted(ctx, call)...)
		}
	}
	_, _ = pipe.Exec(ctx) // gives the first error of the commands, which are looked at one by one
	for i, at := range open {
		value, failed := cmds[i].Result()
		replies[at] = Reply{Value: value, Err: failed}
		switch {
		case failed == nil:
		case unknownScript(failed):
			unknown = append(unknown, at)
		case strings.HasPrefix(failed.Error(), "MOVED"):
			moved = append(moved, at)
		case err == nil && (Unavailable(failed) || ctx.Err() != nil):
			err = fmt.Errorf("redis: %w", failed)
		}
	}
	return unknown, moved, err
}

// prepare makes sure that calls that were not done can be.
func (s *Scripts) prepare(ctx context.Context, calls []Call, unknown []int, moved bool) error {
	if moved {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(movePause):
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	return s.load(ctx, calls, unknown)
}

// load makes the scripts of the named calls known to every node that may be asked to run them.
func (s *Scripts) load(ctx context.Context, calls []Call, named []int) error {
	wanted := map[string]bool{}
	for _, at := range named {
		wanted[calls[at].Script] = true
	}
	onNode := func(ctx context.Context, node *redis.Client) error {
		pipe := node.Pipeline()
		for name := range wanted {
			pipe.ScriptLoad(ctx, s.sources[name])
		}
		_, err := pipe.Exec(ctx)
		return err
	}
	if err := EachMaster(ctx, s.client, onNode); err != nil {
		return fmt.Errorf("redis: load scripts: %w", err)
	}
	return nil
}
