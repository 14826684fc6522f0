package stack

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Starting three nodes takes fifteen seconds of a processor: the drills do that. Here they are only prepared.
func prepareNodes(t *testing.T, dir string) (nodes []command, files []string) {
	t.Helper()
	f, err := openFolder(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	s := &Stack{opts: Options{RabbitNodes: 3, PostgresURL: given, RedisURL: given}, folder: f}
	if s.record, err = loadRecord(f); err != nil {
		t.Fatal(err)
	}
	if err := f.prepare(s.record, Options{Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	for _, d := range s.drivers() {
		server, err := newServer(d.driver, f, s.record, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		d.keep(server)
		t.Cleanup(server.release)
		if err := d.driver.prepare(t.Context(), server.place()); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range s.RabbitNodes() {
		c := n.driver.commands(n.place())[0]
		nodes = append(nodes, c)
		config, err := os.ReadFile(filepath.Join(c.dir, "advanced.config"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, string(config))
	}
	if names := s.rabbits.mapper.Name(); len(s.Servers()) != 4 || s.Servers()[3].Name() != names {
		t.Errorf("stopped in the order %v, want the port mapper last", s.Servers())
	}
	if s.Rabbit() != nil || strings.Count(s.RabbitURL(), ",") != 2 {
		t.Errorf("beside a single node %v: %s", s.Rabbit(), s.RabbitURL())
	}
	return nodes, files
}

func setting(c command, name string) string {
	for _, pair := range c.env {
		if value, found := strings.CutPrefix(pair, name+"="); found {
			return value
		}
	}
	return ""
}

func TestNodesAreToldOfEachOther(t *testing.T) {
	t.Parallel()
	nodes, configs := prepareNodes(t, newDir(t))
	for _, same := range []string{"HOME", "ERL_EPMD_PORT"} {
		for _, n := range nodes {
			if value := setting(n, same); value == "" || value != setting(nodes[0], same) {
				t.Errorf("%s of %s is %q", same, n.name, value)
			}
		}
	}
	for _, own := range []string{"RABBITMQ_NODENAME", "RABBITMQ_NODE_PORT", "RABBITMQ_DIST_PORT", "RABBITMQ_MNESIA_BASE", "RABBITMQ_LOG_BASE", "RABBITMQ_PID_FILE"} {
		seen := make([]string, 0, len(nodes))
		for _, n := range nodes {
			seen = append(seen, setting(n, own))
		}
		slices.Sort(seen)
		if len(slices.Compact(seen)) != 3 || seen[0] == "" {
			t.Errorf("%s is %q", own, seen)
		}
	}
	if cookie, err := os.ReadFile(filepath.Join(setting(nodes[0], "HOME"), ".erlang.cookie")); err != nil || len(cookie) < 20 {
		t.Errorf("the cookie is %q, %v", cookie, err)
	}
	for i, wants := range []string{"", "{cluster_nodes,{['rabbit-1@localhost','rabbit-2@localhost'],disc}}", "{cluster_nodes,{['rabbit-1@localhost','rabbit-3@localhost'],disc}}"} {
		if !strings.Contains(configs[i], wants) || strings.Contains(configs[i], "cluster_nodes") != (wants != "") || !strings.Contains(configs[i], "pause_minority") {
			t.Errorf("node %d has %s", i+1, configs[i])
		}
	}
}

func TestNodesThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	for _, wrong := range []Options{
		{RabbitNodes: 1}, {RabbitNodes: 2}, {RabbitNodes: -3}, {RabbitNodes: 10}, {RabbitNodes: 3, RabbitURL: given},
	} {
		if err := wrong.Validate(); err == nil || !strings.Contains(err.Error(), "RabbitMQ") {
			t.Errorf("%d nodes with the URL %q: %v", wrong.RabbitNodes, wrong.RabbitURL, err)
		}
	}
}
