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

// Quorum is who keeps a queue, by the numbers of the nodes from 0.
type Quorum struct {
	Leader  int
	Members []int
}

// RabbitQuorum says who keeps each of the quorum queues, as a running node of a stack's cluster knows it.
func RabbitQuorum(t testing.TB, pid int, queues ...string) map[string]Quorum {
	t.Helper()
	names := make([]string, len(queues))
	for i, name := range queues {
		names[i] = fmt.Sprintf("<<%q>>", name)
	}
	said := rabbitEval(t, pid, `Ask = fun(M, F, A) -> rpc:call(N, M, F, A, 20000) end, lists:foreach(fun(Name) ->
		{ok, Q} = Ask(rabbit_amqqueue, lookup, [{resource, <<"/">>, queue, Name}]), {_, Leader} = Ask(amqqueue, get_pid, [Q]),
		io:format("~s ~p ~w~n", [Name, Leader, maps:get(nodes, Ask(amqqueue, get_type_state, [Q]))]) end, [`+strings.Join(names, ",")+`])`)
	all := map[string]Quorum{}
	for line := range strings.Lines(said) {
		name, nodes, _ := strings.Cut(strings.TrimSpace(line), " ")
		numbers := nodeNumbers(t, nodes)
		slices.Sort(numbers[1:])
		all[name] = Quorum{Leader: numbers[0], Members: numbers[1:]}
	}
	return all
}

// nodeNumbers reads the nodes of a stack's cluster in what Erlang prints.
func nodeNumbers(t testing.TB, printed string) []int {
	t.Helper()
	var numbers []int
	for _, node := range strings.FieldsFunc(printed, func(r rune) bool { return strings.ContainsRune(" [],'", r) }) {
		var number int
		if _, err := fmt.Sscanf(node, "rabbit-%d@", &number); err != nil {
			t.Fatalf("read the nodes in %q: %v", printed, err)
		}
		numbers = append(numbers, number-1)
	}
	return numbers
}

// rabbitEval has a node of Erlang do something to the running node N, without the seconds that rabbitmqctl takes to start, and answers
// what it prints.
func rabbitEval(t testing.TB, pid int, do string) string {
	t.Helper()
	env, name := erlangEnv(t, pid)
	cmd := exec.CommandContext(t.Context(), "erl", "-noinput", "-boot", "no_dot_erlang", "-sname", "t"+uuid.NewString()+"@localhost",
		"-eval", "N = '"+name+"', "+do+", halt(0).")
	cmd.Env = append(env, "ERL_CRASH_DUMP_SECONDS=0") // a mistake is said, and not dumped into the package's folder
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("tell RabbitMQ %s: %v\n%s", do, err, out)
	}
	return string(out)
}

// erlangEnv is what of a node's environment another one needs to speak to it, and the node's name.
func erlangEnv(t testing.TB, pid int) (env []string, name string) {
	t.Helper()
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	for pair := range strings.SplitSeq(string(environ), "\x00") {
		key, value, _ := strings.Cut(pair, "=")
		if key == "RABBITMQ_NODENAME" {
			name = value
		}
		if slices.Contains([]string{"HOME", "PATH", "LANG", "ERL_EPMD_PORT", "ERL_EPMD_ADDRESS"}, key) {
			env = append(env, pair)
		}
	}
	return env, name
}
