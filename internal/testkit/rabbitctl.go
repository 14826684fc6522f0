package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// RabbitControl runs rabbitmqctl in the environment of a running node.
func RabbitControl(t testing.TB, pid int, args ...string) {
	t.Helper()
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	var env, path []string
	for pair := range strings.SplitSeq(string(environ), "\x00") {
		name, value, _ := strings.Cut(pair, "=")
		if name == "PATH" || name == "RABBITMQ_SCRIPTS_DIR" {
			path = append(path, filepath.SplitList(value)...)
		}
		if slices.ContainsFunc([]string{"HOME", "PATH", "LANG", "RABBITMQ_", "ERL_"}, func(p string) bool { return strings.HasPrefix(name, p) }) {
			env = append(env, pair)
		}
	}
	at := slices.IndexFunc(path, func(dir string) bool { // where the real scripts are, not Debian's wrappers
		_, err := os.Stat(filepath.Join(dir, "rabbitmq-env"))
		return err == nil
	})
	if at < 0 {
		t.Fatalf("no rabbitmqctl in %v", path)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(path[at], "rabbitmqctl"), args...)
	cmd.Env = env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("rabbitmqctl %v: %v\n%s", args, err, out)
	}
}
