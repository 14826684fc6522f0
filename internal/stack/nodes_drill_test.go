//go:build drill

package stack

import (
	"net"
	"os"
	"strings"
	"testing"
)

func onlyNodes(dir string) Options {
	return Options{Dir: dir, RabbitNodes: 3, PostgresURL: given, RedisURL: given}
}

// markedOnEach reads a word back through every node.
func markedOnEach(t *testing.T, s *Stack, word string) {
	t.Helper()
	for _, n := range s.RabbitNodes() {
		marked(t, addresses{Postgres: given, Redis: given, Rabbit: n.URL()}, word)
	}
}

func markNode(t *testing.T, n *Server, word string) {
	t.Helper()
	eventually(t, "write "+word, func() error { return markRabbit(t.Context(), n.URL(), word) })
}

// Three nodes are one cluster, also after an orderly end, when their ports are taken, after kill -9 of one, and of all.
func TestDrillRabbitNodesGoOnWhereTheyEnded(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	s := start(t, onlyNodes(dir))
	at, family := s.RabbitURL(), everyProcess(s)
	markNode(t, s.RabbitNodes()[1], "before_stop")
	markedOnEach(t, s, "before_stop")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if !gone(family) {
		t.Error("a node lives after Stop")
	}

	s = start(t, onlyNodes(dir))
	if s.RabbitURL() != at {
		t.Errorf("the addresses were %s, and are %s", at, s.RabbitURL())
	}
	markedOnEach(t, s, "before_stop")
	supervised(t, s)
	for i, n := range s.RabbitNodes() {
		killByHand(t, n)
		markNode(t, s.RabbitNodes()[(i+1)%3], "word"+n.Name())
		markedOnEach(t, s, "word"+n.Name()) // the supervisor brings it back
	}
	s.Kill()

	for _, address := range strings.Split(at, ",") {
		addr := strings.TrimSuffix(strings.TrimPrefix(address, "amqp://guest:guest@"), "/")
		intruder, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = intruder.Close() })
	}
	s = start(t, onlyNodes(dir))
	if strings.Contains(at, s.RabbitNodes()[0].Addr()) {
		t.Error("it took a port that another program has")
	}
	for _, word := range []string{"before_stop", "wordrabbitmq-1", "wordrabbitmq-3"} {
		markedOnEach(t, s, word)
	}
}

// A first start that was killed half-way leaves nodes that do not know each other: it is begun again.
func TestDrillHalfMadeRabbitClusterIsBegunAgain(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	s := start(t, onlyNodes(dir))
	s.Kill()
	if err := os.Remove(s.rabbits.whole()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(mnesia(s.RabbitNodes()[2])); err != nil {
		t.Fatal(err)
	}
	s = start(t, onlyNodes(dir))
	markNode(t, s.RabbitNodes()[2], "begun")
	markedOnEach(t, s, "begun")
}
