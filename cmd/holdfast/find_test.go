package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/stack"
)

func TestTheServersBehindARunAreFound(t *testing.T) {
	t.Parallel()
	run := t.TempDir()
	state := stack.State{
		PostgresURL: "postgres://here", RedisURL: "redis://here", RabbitURL: "amqp://here", SandboxURL: "http://sandbox", SandboxKey: "key", Namespace: "ours",
	}
	if err := stack.SaveState(run, state); err != nil {
		t.Fatal(err)
	}
	here := config.Servers{PostgresURL: "postgres://here", RedisURL: "redis://here", RabbitMQURL: "amqp://here", Namespace: "ours"}
	there := config.Servers{PostgresURL: "postgres://there", RedisURL: "redis://there", RabbitMQURL: "amqp://there", Namespace: "ours"}
	for name, c := range map[string]struct {
		dir       string
		said      books
		want      books
		notToFind bool
	}{
		"nothing is said":                {dir: run, said: books{Servers: config.Servers{Namespace: "holdfast"}}, want: books{Servers: here, SandboxURL: "http://sandbox", SandboxKey: "key"}},
		"its servers are said":           {dir: run, said: books{Servers: here}, want: books{Servers: here, SandboxURL: "http://sandbox", SandboxKey: "key"}},
		"others are said":                {dir: run, said: books{Servers: there}, want: books{Servers: there}},
		"others are said, without a run": {dir: t.TempDir(), said: books{Servers: there}, want: books{Servers: there}},
		"nothing, without a run":         {dir: t.TempDir(), notToFind: true},
	} {
		if err := c.said.find(c.dir); (err != nil) != c.notToFind {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(c.want, c.said); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
