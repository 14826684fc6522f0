package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// childVariable makes this test binary a program that runs a stack in the folder that it names.
const childVariable = "HOLDFAST_STACK_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(leaderlessVariable) != "" {
		beLeaderless()
	}
	if dir := os.Getenv(childVariable); dir != "" {
		beChild(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// addresses of servers; given for one that was not started.
type addresses struct{ Postgres, Redis, Rabbit string }

func addressesOf(s *Stack) addresses {
	return addresses{Postgres: s.PostgresURL(), Redis: s.RedisURL(), Rabbit: s.RabbitURL()}
}

// hello is what the child says when its servers are up.
type hello struct {
	At   addresses
	PIDs []int
}

// beChild runs a stack until it is interrupted or killed.
func beChild(dir string) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	s, err := Start(ctx, Options{Dir: dir, RedisMasters: 3, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	says := hello{At: addressesOf(s)}
	for _, server := range s.Servers() {
		for _, p := range server.running() {
			for _, member := range p.family() {
				says.PIDs = append(says.PIDs, member.PID)
			}
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(says); err != nil {
		os.Exit(1)
	}
	<-ctx.Done()
	if s.Stop() != nil {
		os.Exit(1)
	}
}

// newDir makes a folder that the servers' user can reach, which t.TempDir is not for root.
func newDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "holdfast-stack-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// start starts a stack and ends it with the test.
func start(t *testing.T, opts Options) *Stack {
	t.Helper()
	if opts.Log == nil {
		opts.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	s, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

// Servers that a test does not need are given as these, so that none is started.
const given = "given"

func onlyRedis(dir string) Options {
	return Options{Dir: dir, PostgresURL: given, RabbitURL: given}
}

func onlyCluster(dir string) Options {
	return Options{Dir: dir, RedisMasters: 3, PostgresURL: given, RabbitURL: given}
}

func onlyPostgres(dir string) Options {
	return Options{Dir: dir, RedisURL: given, RabbitURL: given}
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, holds func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		err := holds()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
