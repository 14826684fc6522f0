package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inbox"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// mortalVariable makes a copy of this test program a consumer that dies of one fact.
const mortalVariable = "HOLDFAST_TEST_MORTAL"

// mortal is what it is told.
type mortal struct {
	Postgres, Rabbit string
	Topology         Topology
	Deadly           uuid.UUID
}

// run hears what the queue of inventory holds, until it hears the deadly fact.
func (m mortal) run(ctx context.Context) error {
	db, err := postgres.Open(ctx, m.Postgres, postgres.Options{})
	if err != nil {
		return err
	}
	cfg := Config{URL: m.Rabbit, Topology: m.Topology, Log: slog.New(slog.DiscardHandler), Witness: NewWitness(inbox.Alone{DB: db})}
	p := NewPublisher(cfg)
	hear := func(ctx context.Context, facts []event.Fact) error {
		if slices.ContainsFunc(facts, func(f event.Fact) bool { return f.ID == m.Deadly }) {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal is on its way
		}
		return db.InTx(ctx, func(tx pgx.Tx) error {
			_, err := inbox.Fresh(ctx, tx, "inventory", facts)
			return err
		})
	}
	go func() { _ = p.Run(ctx) }()
	return NewConsumer(cfg, p, Subscription{Module: "inventory", Handle: hear}).Run(ctx)
}

// beMortal is the program's main function when mortalVariable is set.
func beMortal(spec string) int {
	var m mortal
	err := json.Unmarshal([]byte(spec), &m)
	if err == nil {
		err = m.run(context.Background())
	}
	fmt.Fprintln(os.Stderr, "the consumer ended:", err)
	return 1
}

// live starts the consumer in a process of its own; what is given is closed when it has died of it.
func (m mortal) live(t *testing.T) <-chan struct{} {
	t.Helper()
	spec, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), mortalVariable+"="+string(spec))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	dead := make(chan struct{})
	go func() { defer close(dead); _ = cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-dead })
	return dead
}

// A fact of which the process dies takes nothing along, neither what is packed with it nor what was fetched with it, and after a few
// deaths it is a dead letter.
func TestDeadlyFactDiesAlone(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	cfg := configOn(env)
	p := startPublisher(t, cfg)
	facts := createdMany(30)
	deadly, pack := facts[12], facts[10:15]
	bodies := make([][]byte, len(pack))
	for i, f := range pack {
		bodies[i] = event.Encode(f)
	}
	waiting := slices.Concat(messages(cfg, facts[:10]), []Message{packed(cfg, bodies...)}, messages(cfg, facts[15:]))
	if err := p.Publish(t.Context(), waiting...); err != nil {
		t.Fatal(err)
	}
	c := &coffin{}
	start(t, NewUndertaker(cfg, c.keep).Run)
	m := mortal{Postgres: env.PostgresURL, Rabbit: cfg.URL, Topology: cfg.Topology, Deadly: deadly.ID}
	deaths := 0
	for buried := false; !buried; {
		dead := m.live(t)
		testkit.Eventually(t, 2*time.Minute, func() bool {
			select {
			case <-dead:
				deaths++
				return true
			default:
				buried = len(c.waitFor(t, 0)) > 0
				return buried
			}
		})
		if deaths > suspicious+mostDeaths {
			t.Fatalf("%d deaths, and no dead letter", deaths)
		}
	}
	if deaths != suspicious+mostDeaths {
		t.Errorf("%d deaths, want %d among others and %d alone", deaths, suspicious, mostDeaths)
	}
	innocent := ids(slices.Concat(facts[:12], facts[13:]))
	testkit.Eventually(t, 2*time.Minute, func() error {
		var heard, noted int
		err := env.DB.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM shared.inbox WHERE fact_id = ANY($1)), (SELECT count(*) FROM shared.hearings)`,
			innocent).Scan(&heard, &noted)
		if err == nil && (heard != len(innocent) || noted != 0) {
			err = fmt.Errorf("%d of %d innocent facts were heard, and %d are noted as being heard", heard, len(innocent), noted)
		}
		return err
	})
	dead := c.waitFor(t, 1)
	if len(dead) != 1 || dead[0].FactID != deadly.ID || dead[0].Reason != ReasonDelivery || dead[0].Attempts != mostDeaths {
		t.Errorf("dead letters %+v, want the deadly fact alone", dead)
	}
}

// However often a message comes back because its consumer was stopped, or RabbitMQ was away, its facts are no dead letters.
func TestWhatComesBackIsNotToBlame(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	cfg := configOn(env)
	cfg.Witness = NewWitness(inbox.Alone{DB: env.DB})
	p := startPublisher(t, cfg)
	facts := createdMany(20)
	if err := p.Publish(t.Context(), messages(cfg, facts)...); err != nil {
		t.Fatal(err)
	}
	for range suspicious + 2*mostDeaths {
		entered := make(chan struct{}, len(facts))
		stop := start(t, NewConsumer(cfg, p, Subscription{Module: "inventory", Handle: func(ctx context.Context, _ []event.Fact) error {
			entered <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}}).Run)
		<-entered
		stop()
	}
	e := &ears{}
	start(t, NewConsumer(cfg, p, Subscription{Module: "inventory", Handle: e.hear}).Run)
	testkit.Eventually(t, 20*time.Second, func() error { return e.has(facts) })
	e.mu.Lock()
	defer e.mu.Unlock()
	if most := slices.Max(e.batches); most != 1 {
		t.Errorf("%d facts that came back again and again were heard together", most)
	}
	testkit.Eventually(t, 20*time.Second, func() error { // the last one is forgotten after it was heard
		var noted int
		err := env.DB.QueryRow(t.Context(), `SELECT count(*) FROM shared.hearings`).Scan(&noted)
		if err == nil && noted > 0 {
			err = fmt.Errorf("%d are noted as being heard", noted)
		}
		return err
	})
}

// forgetful is a memory that fails at first.
type forgetful struct {
	mu     sync.Mutex
	begins int
	ends   int
	fail   int // so many times, of both
}

func (f *forgetful) Begin(context.Context, string, uuid.UUID) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.begins++; f.begins <= f.fail {
		return 0, errors.New("no")
	}
	return 0, nil
}

func (f *forgetful) End(context.Context, string, uuid.UUID) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ends++; f.ends <= f.fail {
		return errors.New("no")
	}
	return nil
}

// Of all modules of a process one fact is heard alone at a time, none that could not be noted, and what came back is noted for sure.
func TestWitnessSeesOneAtATime(t *testing.T) {
	t.Parallel()
	memory := &forgetful{fail: 2}
	w := NewWitness(memory)
	for range 2 {
		if err := w.watch(t.Context(), "order", uuid.New(), func() error { t.Error("heard unnoted"); return nil }); !errors.Is(err, errBlind) {
			t.Errorf("without a memory it answers %v", err)
		}
	}
	failed := errors.New("failed")
	if err := w.watch(t.Context(), "order", uuid.New(), func() error { return failed }); !errors.Is(err, failed) || memory.ends != 3 {
		t.Errorf("%v, noted by the attempt %d", err, memory.ends)
	}
	if err := w.watch(t.Context(), "order", uuid.New(), func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		return w.watch(ctx, "view", uuid.New(), func() error { t.Error("two are heard at the same time"); return nil })
	}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("whose turn it is not is answered %v", err)
	}
	if err := w.watch(t.Context(), "view", uuid.New(), func() error { return nil }); err != nil {
		t.Errorf("when it is its turn again: %v", err)
	}
}
