package payment_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// childVariable makes a copy of this test program a charger that kills itself.
const childVariable = "HOLDFAST_TEST_CHARGER"

// child says where its charger works and at which call it dies: "before charge", "after refund", …; "opening before charge" has its
// charges opened first. One that freezes does so once all of some orders have come to their moments, and ends with its standard input.
type child struct {
	Postgres, Provider, DieAt string
	Freezes                   map[uuid.UUID]int
}

const crashLease = time.Second

func runChild() int {
	var c child
	err := json.Unmarshal([]byte(os.Getenv(childVariable)), &c)
	switch {
	case err == nil && len(c.Freezes) > 0:
		if err = c.freeze(context.Background()); err == nil {
			return 0
		}
	case err == nil:
		err = c.run(context.Background())
	}
	fmt.Fprintln(os.Stderr, "the charger was not killed:", err)
	return 1
}

func (c child) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, enough)
	defer cancel()
	db, err := postgres.Open(ctx, c.Postgres, postgres.Options{})
	if err != nil {
		return err
	}
	at, opens := strings.CutPrefix(c.DieAt, "opening ")
	dieAt := func(when string) func(string) {
		return func(call string) {
			if when+" "+call == at {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {} // the signal is on its way
			}
		}
	}
	provider := payment.NewSandbox(payment.SandboxOptions{URL: c.Provider, APIKey: apiKey, Timeout: enough})
	var deadly payment.Provider = between{provider, dieAt("before"), dieAt("after")}
	if opens {
		deadly = opening{between{provider, dieAt("before"), dieAt("after")}, db}
	}
	charger := payment.NewCharger(db, deadly, payment.ChargerOptions{Lease: crashLease, Log: slog.New(slog.DiscardHandler)})
	return charger.Run(ctx)
}

// process is a child to be run, and what it says.
func (w *world) process(c child) (*exec.Cmd, *bytes.Buffer) {
	w.Helper()
	spec, err := json.Marshal(c)
	if err != nil {
		w.Fatal(err)
	}
	cmd := exec.CommandContext(w.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+string(spec))
	out := &bytes.Buffer{}
	cmd.Stderr = out
	return cmd, out
}

// dies runs the child and requires that it was killed at its point.
func (w *world) dies(at string) {
	w.Helper()
	cmd, out := w.process(child{Postgres: w.env.PostgresURL, Provider: w.url, DieAt: at})
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		w.Fatalf("the charger did not die %s: %v\n%s", at, err, out)
	}
}

// A charger is killed with -9 around every call; whoever comes next ends with one charge, and one refund if one is wanted.
func TestKilledAroundACall(t *testing.T) {
	t.Parallel()
	all := newWorld(t) // one case after the other, for a charger takes up whatever is due
	for _, c := range []struct {
		method   string
		givenUp  bool // before the charger starts, on an attempted payment
		undone   bool // while it is dead
		dies     []string
		state    payment.State
		said     string
		inLedger money
	}{
		{"pm_ok", false, false, []string{"before charge"}, payment.Success, "processed", paid},
		{"pm_ok", false, false, []string{"after charge"}, payment.Success, "processed", paid},
		{"pm_ok", false, false, []string{"after charge", "before lookup", "after lookup"}, payment.Success, "processed", paid},
		{"pm_ok", false, false, []string{"before charge", "after lookup", "after charge"}, payment.Success, "processed", paid},
		{"pm_declined", false, false, []string{"after charge"}, payment.Declined, "failed", nothing},
		{"pm_ok", false, true, []string{"before charge"}, payment.Voided, "voided", nothing},
		{"pm_ok", false, true, []string{"after charge"}, payment.Refunded, "refunded", repaid},
		{"pm_declined", false, true, []string{"after charge"}, payment.Voided, "voided", nothing},
		{"pm_error_once", true, false, []string{"before close"}, payment.Voided, "unknown voided", nothing},
		{"pm_error_once", true, false, []string{"after close"}, payment.Voided, "unknown voided", nothing},
		{"pm_timeout_after_charge", true, false, []string{"after close"}, payment.Refunded, "unknown refunded", repaid},
		{"pm_timeout_after_charge", true, false, []string{"before refund"}, payment.Refunded, "unknown refunded", repaid},
		{"pm_timeout_after_charge", true, false, []string{"after refund"}, payment.Refunded, "unknown refunded", repaid},
		{"pm_timeout_after_charge", true, false, []string{"after close", "after refund", "before refund"}, payment.Refunded, "unknown refunded", repaid},
	} {
		name := fmt.Sprintf("%s given up %t undone %t/%s", c.method, c.givenUp, c.undone, strings.Join(c.dies, ", "))
		t.Run(name, func(t *testing.T) {
			w := &world{t, all.env, all.provider, all.url}
			p := buy(c.method)
			if c.givenUp {
				w.attempt(p, w.provider)
				w.hear(w.idle().GiveBack, p.fact(event.OrderEnding))
			} else {
				w.hear(w.idle().Charge, p.fact(event.OrderCreated))
			}
			for _, at := range c.dies {
				w.dies(at)
			}
			if c.undone {
				w.hear(w.idle().GiveBack, p.fact(event.OrderEnding))
			}
			_, _, stop := w.charger(nil) // whose own lease is long: a machine that is busy is not late
			w.reach(p.id, c.state)
			stop()
			w.expect(p, c.state, c.said, c.inLedger)
		})
	}
}
