package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/lease"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/run"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// asInstance makes this test binary an instance of its own: a process that can be killed and stopped.
const asInstance = "HOLDFAST_TEST_AS_RELAY"

// settings of such an instance.
type settings struct {
	Mode                                      Mode
	PostgresURL, RabbitURL, Namespace, Holder string
}

func TestMain(m *testing.M) {
	if given := os.Getenv(asInstance); given != "" {
		if err := beInstance(given); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	testkit.Main(m)
}

// beInstance relays until it is killed, and prints a line whenever it begins or ceases to read, and when more is confirmed.
func beInstance(given string) error {
	var s settings
	if err := json.Unmarshal([]byte(given), &s); err != nil {
		return err
	}
	ctx := context.Background()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	db, err := postgres.Open(ctx, s.PostgresURL, postgres.Options{})
	if err != nil {
		return err
	}
	cfg := broker.Config{URL: s.RabbitURL, Log: log, Topology: broker.Topology{Namespace: s.Namespace, Queues: map[string][]string{"view": {"#"}}}}
	publisher := broker.NewPublisher(cfg)
	r, err := New(Options{
		Mode: s.Mode, DB: db, PostgresURL: s.PostgresURL, Publisher: publisher, Topology: cfg.Topology, Log: log,
		Lease: lease.New(db, log, s.Holder, 2*time.Second), PollInterval: 100 * time.Millisecond, SenderTimeout: 2 * time.Second,
		Quarantine: func(context.Context, []broker.DeadLetter) error { return errors.New("nothing is to be put aside") },
	})
	if err != nil {
		return err
	}
	return together(ctx, publisher.Run, r.Run, func(ctx context.Context) error {
		confirmed := 0
		for last := false; run.Pause(ctx, 10*time.Millisecond) == nil; {
			if now := r.leading.Load(); now != last {
				last = now
				fmt.Println("reads:", now)
			}
			if now := r.confirmed(); now != confirmed {
				confirmed = now
				fmt.Println("confirmed:", now)
			}
		}
		return nil
	})
}

// instance is such a process, with a network to Postgres of its own.
type instance struct {
	cmd   *exec.Cmd
	out   *lines
	proxy *testkit.Proxy
}

func startInstance(t *testing.T, b *bench, mode Mode) *instance {
	t.Helper()
	u, err := url.Parse(b.PostgresURL)
	if err != nil {
		t.Fatal(err)
	}
	i := &instance{out: &lines{}, proxy: testkit.NewProxy(t, u.Host)}
	u.Host = i.proxy.Addr()
	given, err := json.Marshal(settings{Mode: mode, PostgresURL: u.String(), RabbitURL: b.RabbitURL, Namespace: b.Namespace, Holder: "the other process"})
	if err != nil {
		t.Fatal(err)
	}
	i.cmd = exec.Command(os.Args[0])
	i.cmd.Env = append(os.Environ(), asInstance+"="+string(given))
	i.cmd.Stdout, i.cmd.Stderr = i.out, t.Output()
	i.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := i.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		i.proxy.Heal()
		_ = i.cmd.Process.Kill()
		_ = i.cmd.Wait()
	})
	i.says(t, "reads: true")
	return i
}

// says waits for a line that the process prints.
func (i *instance) says(t *testing.T, line string) {
	t.Helper()
	testkit.Eventually(t, patience, func() error {
		if !i.out.has(line) {
			return fmt.Errorf("the other process has not said %q", line)
		}
		return nil
	})
}

func (i *instance) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := i.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// faults of the instance that reads, and how it comes back to find that another reads.
var instanceFaults = map[string]struct{ strike, wake func(*testing.T, *instance) }{
	"killed": {func(t *testing.T, i *instance) { i.signal(t, syscall.SIGKILL) }, func(*testing.T, *instance) {}},
	"stopped": {func(t *testing.T, i *instance) { i.signal(t, syscall.SIGSTOP) }, func(t *testing.T, i *instance) {
		i.signal(t, syscall.SIGCONT)
		i.says(t, "reads: false")
	}},
	"cut off": {func(_ *testing.T, i *instance) { i.proxy.Cut() }, func(t *testing.T, i *instance) {
		i.says(t, "reads: false") // it finds out by itself
		i.proxy.Heal()
	}},
}

// The instance that reads is killed, stopped or cut off while facts are said: another one takes over, and when the first comes
// back it changes nothing.
func TestInstanceFails(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{CDC, Polling} {
		bench := newBench(t, testkit.New(t))
		for name, fault := range instanceFaults {
			t.Run(string(mode)+"/"+name, func(t *testing.T) {
				b := bench.again()
				first := startInstance(t, b, mode)
				second := b.relay(t, mode)
				b.rung(t, second)
				start(t, second.Run)
				watchMark(t, b)
				w := startWriter(t, b)
				w.progress(t)
				fault.strike(t, first)
				testkit.Eventually(t, patience, second.leading.Load)
				w.progress(t)
				fault.wake(t, first)
				w.progress(t)
				w.stop()
				b.heard.wait(t, w.said()...)
				b.rest(t, second)
				// A second that loses its lease on a busy machine takes it again; the first must not have it between.
				if now := b.term(t); !strings.HasPrefix(now, second.Lease.Holder()) {
					t.Errorf("the term is %q, %q took over", now, second.Lease.Holder())
				}
			})
		}
	}
}

// term names who reads, in which term.
func (b *bench) term(t *testing.T) (term string) {
	t.Helper()
	if err := b.DB.QueryRow(t.Context(), `SELECT holder || ' ' || term FROM shared.leases WHERE name = 'relay'`).Scan(&term); err != nil {
		t.Fatal(err)
	}
	return term
}

// watchMark looks at the mark all the time, and fails the test when it goes back.
func watchMark(t *testing.T, b *bench) {
	t.Helper()
	var last uint64
	start(t, func(ctx context.Context) error {
		for run.Pause(ctx, 10*time.Millisecond) == nil {
			var mark uint64
			err := b.DB.QueryRow(ctx, `SELECT mark FROM shared.relay_mark`).Scan(&mark)
			if err != nil && ctx.Err() == nil {
				return err
			}
			if mark < last && err == nil {
				return fmt.Errorf("the mark went back from %d to %d", last, mark)
			}
			last = max(last, mark)
		}
		return nil
	})
}

// Whatever a reader of either mode writes is refused once its term is over.
func TestWritesOfAZombie(t *testing.T) {
	t.Parallel()
	b := newBench(t, testkit.New(t))
	r := b.relay(t, CDC)
	over, err := r.Lease.Seize(t.Context(), leaseName)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.relay(t, CDC).Lease.Seize(t.Context(), leaseName); err != nil {
		t.Fatal(err)
	}
	b.exec(t, `UPDATE shared.relay_mark SET mark = '5', lsn = '0/5', system = 'another'`)
	state := func() (s string) {
		if err := b.DB.QueryRow(t.Context(), `SELECT m::text FROM shared.relay_mark m`).Scan(&s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := state()
	for name, write := range map[string]func() error{
		"mark":   func() error { return r.advance(t.Context(), over, &extent{xmax: 1000}, 1000) },
		"out":    func() error { return r.published(t.Context(), over, extent{xmax: 1000}) },
		"slot":   func() error { return r.carriesOn(t.Context(), over, "p", 1000) },
		"server": func() error { return r.recognise(t.Context(), over) },
		"renew":  func() error { return r.Lease.Renew(t.Context(), over) },
	} {
		if err := write(); !errors.Is(err, lease.ErrOver) {
			t.Errorf("%s: %v, want that the term is over", name, err)
		}
	}
	if after := state(); after != before {
		t.Errorf("a zombie changed the mark from %s to %s", before, after)
	}
}
