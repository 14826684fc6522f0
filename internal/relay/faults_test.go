package relay

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/run"
	"github.com/holdfast-checkout/holdfast/internal/stack"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// The servers die and freeze while facts are said, in both modes at the same time: every fact that was committed is published.
func TestServersFail(t *testing.T) {
	t.Parallel()
	servers := testkit.Private(t)
	var shops []shop
	for _, mode := range []Mode{CDC, Polling} {
		b := newBench(t, testkit.NewOn(t, servers))
		r := b.relay(t, mode)
		b.rung(t, r)
		startLeading(t, r)
		shops = append(shops, shop{b, r, startWriter(t, b)})
	}
	progress := func() {
		for _, s := range shops {
			s.w.progress(t)
		}
	}
	declared := time.Now()
	databaseDies(t, servers)
	progress()
	servers.Rabbit().Pause()
	progress()
	servers.Rabbit().Resume()
	progress()
	// RabbitMQ 3.10 forgets a quorum queue whose node is killed in the first seconds of its life.
	testkit.Eventually(t, patience, func() bool { return time.Since(declared) > 5*time.Second })
	servers.Rabbit().Kill()
	progress()
	if err := servers.Rabbit().Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	progress()
	for _, s := range shops {
		s.w.stop()
		s.b.heard.wait(t, s.w.said()...)
		s.b.rest(t, s.r)
	}
	t.Run("slot loses its log", func(t *testing.T) { slotLosesItsLog(t, servers) })
}

// shop is one mode's bench, with a writer.
type shop struct {
	b *bench
	r *Relay
	w *writer
}

func databaseDies(t *testing.T, s *stack.Stack) {
	t.Helper()
	s.Postgres().Kill()
	if err := s.Postgres().Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// slotLosesItsLog runs on servers of its own because it changes a setting of Postgres.
func slotLosesItsLog(t *testing.T, s *stack.Stack) {
	b := newBench(t, testkit.NewOn(t, s))
	stop := startLeading(t, b.relay(t, CDC))
	before, waiting := facts(10), facts(10)
	b.say(t, before...)
	b.heard.wait(t, before...)
	stop()
	b.say(t, waiting...)
	for _, sql := range []string{
		`ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'`, `SELECT pg_reload_conf()`,
		`CREATE TABLE a AS SELECT g FROM generate_series(1, 1000) g`, `SELECT pg_switch_wal()`,
		`CREATE TABLE b AS SELECT g FROM generate_series(1, 1000) g`, `SELECT pg_switch_wal()`,
		`CREATE TABLE c AS SELECT g FROM generate_series(1, 1000) g`, `SELECT pg_switch_wal()`,
	} {
		if _, err := b.DB.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	r := b.relay(t, CDC)
	testkit.Eventually(t, patience, func() error {
		if _, err := b.DB.Exec(t.Context(), `CHECKPOINT`); err != nil {
			return err
		}
		slot, err := r.inspectSlot(t.Context())
		if err == nil && !slot.lost {
			err = errors.New("the slot still has its log")
		}
		return err
	})
	startLeading(t, r)
	b.heard.wait(t, waiting...)
	b.rest(t, r)
}

// writer says facts all the time and remembers those whose commit it has seen.
type writer struct {
	mu    sync.Mutex
	facts []event.Fact
	stop  func()
}

func startWriter(t *testing.T, b *bench) *writer {
	w := &writer{}
	w.stop = start(t, func(ctx context.Context) error {
		for run.Pause(ctx, time.Millisecond) == nil { // the servers are to be hurt, not the machine
			f := fact()
			if err := b.trySay(ctx, f); err != nil {
				continue // its commit is unknown
			}
			w.mu.Lock()
			w.facts = append(w.facts, f)
			w.mu.Unlock()
		}
		return nil
	})
	return w
}

func (w *writer) said() []event.Fact {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.facts
}

// progress waits until the writer has said some more.
func (w *writer) progress(t *testing.T) {
	t.Helper()
	from := len(w.said())
	testkit.Eventually(t, patience, func() bool { return len(w.said()) >= from+100 })
}
