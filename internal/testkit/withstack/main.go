// Command withstack runs a command, usually go test, with a set of servers that all its packages share:
//
//	go run ./internal/testkit/withstack go test -race ./...
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code, err := run(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "withstack:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func run(ctx context.Context, command []string) (code int, err error) {
	if len(command) == 0 {
		return 2, errors.New("no command: withstack COMMAND [ARGUMENT...]")
	}
	s, err := testkit.StartShared(ctx)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, s.Remove()) }()
	wrong, err := testkit.Collect()
	if err != nil {
		return 1, err
	}
	code, err = runWith(ctx, s.URLs(), command)
	return code, errors.Join(err, wrong(err == nil && code == 0 && isEverything(command)))
}

// isEverything reports whether a command runs all tests: of all packages, and none left out. None of those that send statements is
// answered for by what go test remembers: each asks the environment where the servers of this run are.
func isEverything(command []string) bool {
	for _, arg := range command {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if strings.HasPrefix(arg, "-") && slices.Contains([]string{"run", "skip", "short", "list", "tags", "fuzz", "exec"}, strings.TrimPrefix(name, "test.")) {
			return false
		}
	}
	return slices.Contains(command, "./...")
}

// runWith runs the command with the servers named in its environment and answers its exit code.
func runWith(ctx context.Context, at testkit.URLs, command []string) (int, error) {
	urls, err := json.Marshal(at)
	if err != nil {
		return 1, err
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), testkit.StackVariable+"="+string(urls))
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return exit.ExitCode(), nil // the command has said itself what is wrong
	}
	return cmd.ProcessState.ExitCode(), err
}
