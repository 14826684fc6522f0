package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/holdfast-checkout/holdfast/internal/compare"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// TestCompare has a flash sale of three units, without holds, so that the saga alone decides who gets them.
func TestCompare(t *testing.T) {
	t.Parallel()
	env, dir := testkit.New(t), t.TempDir()
	t.Cleanup(func() { deleteQueues(t, env.RabbitURL, env.Namespace+"-compare") })
	var out, errs bytes.Buffer
	code := execute(t.Context(), []string{
		"compare", "--dir=" + dir, "--postgres-url=" + env.PostgresURL, "--redis-url=" + env.RedisURL, "--rabbitmq-url=" + env.RabbitURL, "--namespace=" + env.Namespace,
		"--strategies=post-payment", "--load=hot", "--orders=9", "--customers=3", "--stock=flash", "--holds=without", "--flash-units=3", "--decline=0",
	}, &out, &errs)
	if code != exitDone {
		log, _ := os.ReadFile(filepath.Join(dir, "server.log"))
		t.Fatalf("exit code %d: %s\n%s\n%s", code, errs.String(), out.String(), log)
	}
	body, err := os.ReadFile(filepath.Join(dir, "compare.json"))
	if err != nil {
		t.Fatal(err)
	}
	var report compare.Report
	if err := json.Unmarshal(body, &report); err != nil || len(report.Results) != 1 {
		t.Fatalf("%v: %s", err, body)
	}
	r := report.Results[0]
	if r.Made != 9 || r.Completed != 3 || r.Failed["OUT_OF_STOCK"] != 6 || r.Compensations != 6 || r.Refunds != 6 || r.TurnedAway != 0 {
		t.Errorf("%+v", r)
	}
	// Each order says at least that it was made, paid for, and has ended or is refunded; each of these is a transaction.
	if r.FactsPerOrder < 4 || r.TransactionsPerOrder < 2 || r.WALBytesPerOrder < 1000 || r.P50 <= 0 || r.P99 < r.P50 || r.CompletedPerSecond <= 0 {
		t.Errorf("%+v", r)
	}
	for name, want := range map[string]string{"compare.md": "| post-payment | no | flash | 3 |", "compare.svg": "post-payment</text>"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v: %s", name, err, text)
		}
	}
	if !strings.Contains(out.String(), "post-payment") || !strings.Contains(out.String(), "turned away") {
		t.Errorf("it printed %s", out.String())
	}
	var left int
	err = env.DB.QueryRow(t.Context(), `SELECT count(*) FROM pg_database WHERE starts_with(datname, $1)`, env.Namespace+"-compare").Scan(&left)
	if err != nil || left != 0 {
		t.Errorf("%d databases are left, %v", left, err)
	}
}

// deleteQueues takes away what the compared servers have left at the broker.
func deleteQueues(t *testing.T, url, namespace string) {
	t.Helper()
	conn, err := amqp.Dial(url)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Error(err)
		return
	}
	names := []string{"order", "inventory", "payment", "view", "shelf", "dead", "unrouted"}
	for lane := range 64 {
		names = append(names, fmt.Sprintf("inventory.lane.%d", lane))
	}
	for _, name := range names {
		if _, err := ch.QueueDelete(namespace+"."+name, false, false, false); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"events", "unrouted"} {
		if err := ch.ExchangeDelete(namespace+"."+name, false, false); err != nil {
			t.Error(err)
		}
	}
}

func TestCompareRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--strategies=guess"}, {"--customers=0"}, {"--load=data"}, {"--load=warm"}, {"--stock=some"}, {"--holds=maybe"}, {"--orders=0"}, {"--decline=2"},
	} {
		var out, errs bytes.Buffer
		if code := execute(t.Context(), append([]string{"compare", "--dir=" + t.TempDir()}, args...), &out, &errs); code != exitUsage {
			t.Errorf("%v: exit code %d, %s", args, code, errs.String())
		}
	}
}
