package archive_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-checkout/holdfast/internal/archive"
	"github.com/holdfast-checkout/holdfast/internal/failpoint"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// childVariable makes a copy of this test program an archiver that kills itself.
const childVariable = "HOLDFAST_TEST_ARCHIVER"

// child says where its archiver works and at which point, which it reaches for the n-th time, it dies.
type child struct {
	Postgres, Point string
	N               int
}

func runChild() int {
	var c child
	err := json.Unmarshal([]byte(os.Getenv(childVariable)), &c)
	if err == nil {
		err = c.run(context.Background())
	}
	fmt.Fprintln(os.Stderr, "the archiver was not killed:", err)
	return 1
}

func (c child) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	failpoint.Arm(func(point string) {
		if point != c.Point {
			return
		}
		if c.N--; c.N == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal is on its way
		}
	})
	db, err := postgres.Open(ctx, c.Postgres, postgres.Options{})
	if err != nil {
		return err
	}
	_, err = archive.Run(ctx, db, archive.Options{OlderThan: age, Step: 20, Log: slog.New(slog.DiscardHandler)})
	return err
}

// An archiver is killed at each of its points; the next one goes on, and all is as if there had been one.
func TestAKilledArchiver(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	for i, c := range []child{{Point: "archive month made", N: 1}, {Point: "archiving", N: 1}, {Point: "archived", N: 1}, {Point: "archiving", N: 2}} {
		c.Postgres = b.env.PostgresURL
		told, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childVariable+"="+string(told))
		out, err := cmd.CombinedOutput()
		status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if !status.Signaled() || status.Signal() != syscall.SIGKILL {
			t.Fatalf("%+v: %v: %s", c, err, out)
		}
		b.whole()
		if n := b.count(`SELECT count(*) FROM archive.orders`); n != []int64{0, 0, 20, 40}[i] {
			t.Errorf("%+v: %d are archived", c, n)
		}
	}
	b.run(archive.Options{})
	b.whole()
	got := b.state(kept...)
	undisturbed := newBooks(t)
	undisturbed.run(archive.Options{})
	want := undisturbed.state(kept...)
	for _, table := range kept {
		if len(got[table]) != len(want[table]) {
			t.Errorf("%s: %d rows, want %d", table, len(got[table]), len(want[table]))
		}
	}
	if diff := cmp.Diff(want["orders.archived"], got["orders.archived"]); diff != "" {
		t.Errorf("(-undisturbed +killed):\n%s", diff)
	}
}
