package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var elsewhere = testkit.URLs{Postgres: "p", Redis: "r", Cluster: "c,d", Rabbit: "a"}

func TestCommandIsToldWhereTheServersAre(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]int{
		`test "$HOLDFAST_TEST_STACK" = '{"postgres":"p","redis":"r","redis_cluster":"c,d","rabbitmq":"a"}'`: 0,
		`exit 3`: 3,
	} {
		code, err := runWith(t.Context(), elsewhere, []string{"sh", "-c", script})
		if err != nil || code != want {
			t.Errorf("%s: exit code %d, want %d: %v", script, code, want, err)
		}
	}
}

func TestCommandThatCannotRunFails(t *testing.T) {
	t.Parallel()
	if code, err := runWith(t.Context(), elsewhere, []string{"/nonexistent"}); err == nil || code == 0 {
		t.Errorf("exit code %d, %v", code, err)
	}
}

func TestInterruptedCommandEndsAndFails(t *testing.T) {
	t.Parallel()
	ready := filepath.Join(t.TempDir(), "ready")
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if code, err := runWith(ctx, elsewhere, []string{"sh", "-c", `: >"$0" && exec sleep 600`, ready}); err == nil || code == 0 {
			t.Errorf("exit code %d, %v", code, err)
		}
	})
	testkit.Eventually(t, 3*time.Minute, func() error { _, err := os.Stat(ready); return err })
	cancel()
	running.Wait()
}

func TestAllTestsAreToldFromSome(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]bool{
		"go test -race -gcflags=x=-l -parallel 5 -timeout 10m ./...": true,
		"go test -race ./... -count=1":                               true,
		"go test -race -v ./internal/order/...":                      false,
		"go test -race -run TestX ./...":                             false,
		"go test -race -run=TestX ./...":                             false,
		"go test ./... -args --test.run=TestX":                       false,
		"go test -skip TestX ./...":                                  false,
		"go test -v -tags drill -run ^TestDrill ./...":               false,
	} {
		if got := isEverything(strings.Fields(command)); got != want {
			t.Errorf("%s: %v, want %v", command, got, want)
		}
	}
}
