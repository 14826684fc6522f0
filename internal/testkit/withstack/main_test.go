package main

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-checkout/holdfast/internal/stack"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// elsewhere is a stack of servers that run already, so that none is started.
func elsewhere(t *testing.T) *stack.Stack {
	t.Helper()
	s, err := stack.Start(t.Context(), stack.Options{Dir: t.TempDir(), PostgresURL: "p", RedisURL: "r", RabbitURL: "a"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

func TestCommandIsToldWhereTheServersAre(t *testing.T) {
	t.Parallel()
	s := elsewhere(t)
	for script, want := range map[string]int{
		`test "$HOLDFAST_TEST_STACK" = '{"postgres":"p","redis":"r","rabbitmq":"a"}'`: 0,
		`exit 3`: 3,
	} {
		code, err := runWith(t.Context(), s, []string{"sh", "-c", script})
		if err != nil || code != want {
			t.Errorf("%s: exit code %d, want %d: %v", script, code, want, err)
		}
	}
}

func TestCommandThatCannotRunFails(t *testing.T) {
	t.Parallel()
	if code, err := runWith(t.Context(), elsewhere(t), []string{"/nonexistent"}); err == nil || code == 0 {
		t.Errorf("exit code %d, %v", code, err)
	}
}

func TestInterruptedCommandEndsAndFails(t *testing.T) {
	t.Parallel()
	s, ready := elsewhere(t), filepath.Join(t.TempDir(), "ready")
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if code, err := runWith(ctx, s, []string{"sh", "-c", `: >"$0" && exec sleep 600`, ready}); err == nil || code == 0 {
			t.Errorf("exit code %d, %v", code, err)
		}
	})
	testkit.Eventually(t, time.Minute, func() error { _, err := os.Stat(ready); return err })
	cancel()
	running.Wait()
}
