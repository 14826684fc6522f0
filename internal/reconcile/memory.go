package reconcile

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/lease"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/lua"
)

// Memory looks whether Redis has the memory that it ought to have, and vouches for it. A server that was started again, with
// all, some, or an old copy of what it knew, or that is another one altogether, is made to forget what may be wrong before
// anything is held there: what is forgotten is loaded from the rows when it is asked for.
//
// Redis is told an epoch, a beat that grows every few seconds, a moment, and its own run id. Postgres keeps the highest beat that
// it has acknowledged. Redis writes its file in order, so one that knows a beat knows all that was done before it: what it
// may have lost is younger than that beat's moment.
type Memory struct {
	*Reconciler
	admission *redisx.Admission
	parts     int // keys over which what Redis is told is spread, so that every node has one
}

// NewMemory makes it. The reconciler's own clients must not be those that wait for the admission.
func NewMemory(r *Reconciler, admission *redisx.Admission) *Memory {
	m := &Memory{Reconciler: r, admission: admission, parts: 1}
	if _, cluster := r.Redis.(*redis.ClusterClient); cluster {
		m.parts = redisx.DueShards
	}
	return m
}

// Times of the beat. What is older than mostLost is not looked for row by row.
const (
	beatInterval = 2 * time.Second
	mostLost     = 10 * time.Minute
	lossMargin   = 30 * time.Second       // for clocks that differ, and requests that were on their way
	adoptTime    = time.Minute            // how long a look takes at most, with millions of keys to forget
	adoptTries   = 100 * time.Millisecond // how long it waits for another instance before it looks what that one has done
)

// Run looks every few seconds, and at once when a server was met that nobody has vouched for, until ctx ends.
func (m *Memory) Run(ctx context.Context) error {
	tick := time.NewTicker(beatInterval)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.admission.Asked():
		case <-tick.C:
		}
		err := m.Look(ctx)
		if failed := err != nil; failed != failing && ctx.Err() == nil {
			failing = failed
			m.Log.WarnContext(ctx, "look at the memory of Redis", "error", err, "well_again", !failed)
		}
		if err != nil {
			rest(ctx, beatInterval/20) // it may be asked for again at once
		}
	}
}

func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Look vouches for Redis if it knows what it ought to. If it does not, nobody is let in any more, until this instance or
// another has had it forget what may be wrong. An error means that Redis or Postgres could not be asked: then nothing changes.
func (m *Memory) Look(ctx context.Context) error {
	seen, err := m.look(ctx)
	if err != nil {
		return err
	}
	if seen.ours() {
		m.admission.Vouch(seen.runs()...)
		return m.beat(ctx, seen)
	}
	m.admission.Vouch()
	forgot, err := m.takeOver(ctx)
	if err != nil {
		return fmt.Errorf("take over a Redis: %w", err)
	}
	if seen, err = m.look(ctx); err != nil || !seen.ours() {
		return errors.Join(err, errors.New("redis has changed again while it was looked at"))
	}
	m.admission.Vouch(seen.runs()...)
	if forgot {
		return m.refill(ctx)
	}
	return nil
}

// takeOver adopts Redis, or waits until another instance has done so, and says whether it was this one.
func (m *Memory) takeOver(ctx context.Context) (forgot bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, adoptTime)
	defer cancel()
	for {
		err = m.alone(ctx, memoryLease, adoptTries, func(ctx context.Context, term lease.Term) error {
			seen, err := m.look(ctx)
			if err != nil || seen.ours() {
				return err
			}
			forgot = true
			return m.adopt(ctx, term, seen)
		})
		if !fault.Is(err, fault.Conflict) || ctx.Err() != nil {
			return forgot, err
		}
		if seen, err := m.look(ctx); err != nil || seen.ours() {
			return false, err
		}
	}
}

const memoryLease = "redis memory"

// told is what one part of Redis knows of itself.
type told struct {
	text  string // as it is stored
	epoch string
	beat  int64
	at    time.Time
	run   string // the process that was told
	is    string // the process that it is
}

func (t told) String() string {
	return fmt.Sprintf("%s %d %d %s", t.epoch, t.beat, t.at.UnixMilli(), t.run)
}

// readTold reads an answer of the script. What cannot be read is as good as nothing.
func readTold(r redisx.Reply) (told, error) {
	answer, ok := r.Value.([]any)
	if r.Err != nil || !ok || len(answer) != 3 {
		return told{}, fmt.Errorf("memory of Redis: answered %v: %w", r.Value, r.Err)
	}
	t := told{text: word(answer[1]), is: word(answer[2])}
	words := strings.Fields(t.text)
	if len(words) != 4 {
		return t, nil
	}
	beat, err1 := strconv.ParseInt(words[1], 10, 64)
	at, err2 := strconv.ParseInt(words[2], 10, 64)
	if err1 == nil && err2 == nil {
		t.epoch, t.beat, t.at, t.run = words[0], beat, time.UnixMilli(at), words[3]
	}
	return t, nil
}

// sight is what Postgres and all parts of Redis say, in this order.
type sight struct {
	epoch uuid.UUID
	beat  int64
	at    time.Time // of the beat
	now   time.Time // Postgres' clock
	parts []told
}

func (m *Memory) look(ctx context.Context) (sight, error) {
	var s sight
	err := m.Postgres.QueryRow(ctx, `SELECT epoch, beat, at, clock_timestamp() FROM shared.redis_memory`).Scan(&s.epoch, &s.beat, &s.at, &s.now)
	if err != nil {
		return s, fmt.Errorf("read what Redis was told: %w", err)
	}
	replies, err := m.tell(ctx, make([]told, m.parts), func(told) string { return "" })
	if err != nil {
		return s, err
	}
	for _, r := range replies {
		t, err := readTold(r)
		if err != nil {
			return s, err
		}
		s.parts = append(s.parts, t)
	}
	return s, nil
}

// tell tells every part something, if it still knows what is given; nothing: it only asks.
func (m *Memory) tell(ctx context.Context, known []told, text func(told) string) ([]redisx.Reply, error) {
	calls := make([]redisx.Call, len(known))
	for i, t := range known {
		calls[i] = redisx.Call{Script: lua.Memory, Keys: []string{m.Keys.Memory(i)}, Args: []any{t.text, t.is, text(t)}}
	}
	return m.Scripts.Run(ctx, calls)
}

// knows says whether a part knows all that Postgres knows that it was told, and is still the process that was told.
func (s sight) knows(t told) bool {
	return t.epoch == s.epoch.String() && t.run == t.is && t.beat >= s.beat && t.beat <= s.beat+1
}

func (s sight) ours() bool {
	for _, t := range s.parts {
		if !s.knows(t) {
			return false
		}
	}
	return true
}

func (s sight) runs() []string {
	runs := make([]string, len(s.parts))
	for i, t := range s.parts {
		runs[i] = t.is
	}
	return runs
}

// beat tells Redis, and then Postgres, of the next beat, unless another instance has just done so.
func (m *Memory) beat(ctx context.Context, s sight) error {
	if s.now.Sub(s.at).Abs() < beatInterval/2 { // a last one that seems to come was before Postgres' clock was put back
		return nil
	}
	replies, err := m.tell(ctx, s.parts, func(t told) string {
		t.beat, t.at = s.beat+1, s.now
		return t.String()
	})
	if err != nil {
		return err
	}
	for _, r := range replies {
		if answer, ok := r.Value.([]any); !ok || len(answer) == 0 || answer[0] != int64(1) {
			return r.Err // another instance was first, or the next look finds out
		}
	}
	_, err = m.Postgres.Exec(ctx, `UPDATE shared.redis_memory SET beat = beat + 1, at = $3 WHERE epoch = $1 AND beat = $2`, s.epoch, s.beat, s.now)
	return err
}
