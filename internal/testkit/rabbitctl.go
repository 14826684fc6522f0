package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// RabbitMemory sets how much memory a running node may use before it takes no more messages, as rabbitmqctl's
// set_vm_memory_high_watermark does, and without the seconds that that takes to start: a share, or {absolute, bytes}.
func RabbitMemory(t testing.TB, pid int, most string) {
	t.Helper()
	call := fmt.Sprintf(`ok = rpc:call(rabbit@localhost, vm_memory_monitor, set_vm_memory_high_watermark, [%s], 20000), halt(0).`, most)
	cmd := exec.CommandContext(t.Context(), "erl", "-noinput", "-boot", "no_dot_erlang", "-sname", "t"+uuid.NewString()+"@localhost", "-eval", call)
	cmd.Env = erlangEnv(t, pid)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("set the memory of RabbitMQ to %s: %v\n%s", most, err, out)
	}
}

// erlangEnv is what of a node's environment another one needs to speak to it.
func erlangEnv(t testing.TB, pid int) []string {
	t.Helper()
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(strings.Split(string(environ), "\x00"), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return !slices.Contains([]string{"HOME", "PATH", "LANG", "ERL_EPMD_PORT", "ERL_EPMD_ADDRESS"}, name)
	})
}
