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
// set_vm_memory_high_watermark does: a share, or {absolute, bytes}.
func RabbitMemory(t testing.TB, pid int, most string) {
	t.Helper()
	rabbitEval(t, pid, fmt.Sprintf(`ok = rpc:call(N, vm_memory_monitor, set_vm_memory_high_watermark, [%s], 20000)`, most))
}

// BreakQueue takes from a quorum queue the process that works for it, and leaves its record, as an accident in the first moments of a
// queue does: it can be declared again, and takes and gives no message.
func BreakQueue(t testing.TB, pid int, queue string) {
	t.Helper()
	rabbitEval(t, pid, fmt.Sprintf(`{ok, Q} = rpc:call(N, rabbit_amqqueue, lookup, [{resource, <<"/">>, queue, <<%q>>}], 20000),
		Server = rpc:call(N, amqqueue, get_pid, [Q], 20000), ok = rpc:call(N, ra, force_delete_server, [quorum_queues, Server], 20000)`, queue))
}

// rabbitEval has a node of Erlang do something to the running node N, without the seconds that rabbitmqctl takes to start.
func rabbitEval(t testing.TB, pid int, do string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "erl", "-noinput", "-boot", "no_dot_erlang", "-sname", "t"+uuid.NewString()+"@localhost",
		"-eval", "N = rabbit@localhost, "+do+", halt(0).")
	cmd.Env = erlangEnv(t, pid)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tell RabbitMQ %s: %v\n%s", do, err, out)
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
