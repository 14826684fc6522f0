package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/stack"
)

// machine describes what a row was measured on. What cannot be found out is left empty.
func machine(ctx context.Context, servers *stack.Stack, pgbench string) map[string]any {
	return map[string]any{
		"at": time.Now().UTC().Format(time.RFC3339), "cpus": runtime.NumCPU(), "cpu": field("/proc/cpuinfo", "model name"),
		"memory": field("/proc/meminfo", "MemTotal"), "kernel": firstLine("/proc/sys/kernel/osrelease"), "load_before": firstLine("/proc/loadavg"),
		"go": runtime.Version(), "os": runtime.GOOS + "/" + runtime.GOARCH, "postgres": postgresVersion(ctx, servers.PostgresURL()),
		"pgbench": output(ctx, pgbench, "--version"), "redis": output(ctx, "redis-server", "--version"),
	}
}

func postgresVersion(ctx context.Context, url string) string {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return ""
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var version string
	if err := conn.QueryRow(ctx, "SELECT version()").Scan(&version); err != nil {
		return ""
	}
	return version
}

func output(ctx context.Context, program string, args ...string) string {
	out, err := exec.CommandContext(ctx, program, args...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func firstLine(path string) string {
	body, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(body), "\n")
	return line
}

// field gives the value behind "name:" in a file of the kernel.
func field(path, name string) string {
	body, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(body)) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// busy gives an error when other programs use the machine: the load of the last minute is above what is left of it.
func busy() error {
	var load float64
	if _, err := fmt.Sscan(firstLine("/proc/loadavg"), &load); err != nil {
		return nil // no such kernel: nobody can say
	}
	if load > float64(runtime.NumCPU()) {
		return fmt.Errorf("load %.1f on %d processors: what is measured now says little", load, runtime.NumCPU())
	}
	return nil
}
