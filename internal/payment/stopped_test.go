package payment_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/sandbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// frozenLease is long enough for all orders to come to their moments under one claim, mostly.
const frozenLease = 2 * time.Second

// freeze runs a charger whose callers wait at their moments, says when all are there, and lets them go on once its standard input ends.
func (c child) freeze(ctx context.Context) error {
	db, err := postgres.Open(ctx, c.Postgres, postgres.Options{})
	if err != nil {
		return err
	}
	i := icy{
		Provider: payment.NewSandbox(payment.SandboxOptions{URL: c.Provider, APIKey: apiKey, Timeout: enough}),
		thaw:     make(chan struct{}), frozen: &atomic.Int64{}, mu: &sync.Mutex{}, drawn: c.Freezes,
	}
	all := int64(len(c.Freezes))
	ctx, stop := context.WithCancel(ctx)
	go func() {
		for i.frozen.Load() < all {
			time.Sleep(time.Millisecond)
		}
		fmt.Println("all are there")
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(i.thaw)
		stop()
	}()
	charger := payment.NewCharger(db, i, payment.ChargerOptions{
		Lease: frozenLease, Grace: enough, Poll: 20 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
	})
	return charger.Run(ctx)
}

// stop stops a process once it has said something, as a machine does that is suspended.
func (w *world) stop(cmd *exec.Cmd, says io.Reader, out *bytes.Buffer) {
	w.Helper()
	if _, err := says.Read(make([]byte, 100)); err != nil {
		w.Fatalf("the charger says nothing: %v %s", err, out)
	}
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		w.Fatal(err)
	}
	testkit.Eventually(w.TB, enough, func() error {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
		if _, state, _ := bytes.Cut(stat, []byte(") ")); err == nil && state[0] != 'T' {
			err = fmt.Errorf("the charger does not stand still: %s", stat)
		}
		return err
	})
}

// A charger's process is stopped between its claims and its calls, at moments that are drawn, for longer than its lease; others finish
// its payments, and it goes on when the provider has forgotten every key: nobody is charged twice.
func TestStoppedProcessChargesNobodyTwice(t *testing.T) {
	t.Parallel()
	draw := rand.New(rand.NewPCG(testkit.Seed(t), 0))
	var ahead atomic.Int64 // of the provider's clock
	w := newWorld(t, func(o *sandbox.Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	const payments = 40
	freezes := map[uuid.UUID]int{}
	var facts []event.Fact
	for range payments {
		p := buy("pm_ok")
		facts, freezes[p.id] = append(facts, p.fact(event.OrderCreated)), 1+draw.IntN(2) // before its charge, or after it
	}
	w.hear(w.idle().Charge, facts...)
	cmd, out := w.process(child{Postgres: w.env.PostgresURL, Provider: w.url, Freezes: freezes})
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	w.stop(cmd, stdout, out)
	_, _, end := w.charger(nil) // takes over what is under no lease any more
	w.rest()
	end()
	ahead.Store(int64(25 * time.Hour))
	if err := errors.Join(cmd.Process.Signal(syscall.SIGCONT), stdin.Close(), cmd.Wait()); err != nil {
		t.Fatalf("the charger ended with %v: %s", err, out)
	}
	violations := 0
	for id, m := range w.ledger() {
		if m != paid {
			violations++
			t.Errorf("order %s: the provider's ledger has %+v", id, m)
		}
	}
	t.Logf("%d violations in %d payments", violations, payments)
}
