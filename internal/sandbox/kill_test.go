package sandbox_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/sandbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// childLedger tells a copy of this test program to be a sandbox on that ledger.
const (
	childLedger = "HOLDFAST_TEST_SANDBOX_LEDGER"
	childHooks  = "HOLDFAST_TEST_SANDBOX_WEBHOOKS" // where its webhooks go, if anywhere
)

func TestMain(m *testing.M) {
	file := os.Getenv(childLedger)
	if file == "" {
		os.Exit(m.Run())
	}
	server, err := sandbox.Open(sandbox.Options{
		Addr: "127.0.0.1:0", LedgerFile: file, APIKey: apiKey, Log: slog.New(slog.DiscardHandler),
		Webhooks: sandbox.Webhooks{URL: os.Getenv(childHooks), Secret: hookSecret, Delay: -1, Again: 10 * time.Millisecond},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(server.URL())
	_ = server.Run(context.Background()) // ends by being killed
}

func child(t *testing.T, file string, environment ...string) (url string, kill func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(append(os.Environ(), childLedger+"="+file), environment...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _, err := bufio.NewReader(out).ReadLine()
	if err != nil {
		t.Fatalf("the child said no URL: %v", err)
	}
	return string(line), func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // says "killed"
	}
}

// Whatever was answered before a kill -9 in the middle of load is answered the same after it.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ledger.jsonl")
	answers := sync.Map{} // key: body
	next := atomic.Int64{}
	for round := range 3 {
		url, kill := child(t, file)
		answered := load(t, url, kill, &next, &answers)
		if answered < 100 {
			t.Errorf("round %d: only %d charges were answered before the kill", round, answered)
		}
	}
	url, kill := child(t, file)
	defer kill()
	charged := map[string]int{}
	for _, e := range ledger(t, url) {
		charged[e.Key]++
	}
	answers.Range(func(key, body any) bool {
		k := key.(string)
		if charged[k] != 1 {
			t.Errorf("%s was answered, and charged %d times", k, charged[k])
		}
		if again := must(t, http.MethodPut, url+"/charges/"+k, charge(k, 100, "pm_ok")); string(again.body) != body.(string) {
			t.Errorf("%s: %s, after the kill %s", k, body, again.body)
		}
		return true
	})
	for k, n := range charged {
		if n != 1 {
			t.Errorf("%s was charged %d times", k, n)
		}
	}
}

// load charges from 16 clients until the server is killed, and says how many answers it got.
func load(t *testing.T, url string, kill func(), next *atomic.Int64, answers *sync.Map) int64 {
	t.Helper()
	var clients sync.WaitGroup
	var answered atomic.Int64
	for range 16 {
		clients.Go(func() {
			for {
				key := fmt.Sprintf("k%d", next.Add(1))
				r, err := send(t.Context(), http.MethodPut, url+"/charges/"+key, apiKey, charge(key, 100, "pm_ok"))
				if err != nil {
					return
				}
				answers.Store(key, string(r.body))
				answered.Add(1)
			}
		})
	}
	testkit.Eventually(t, 2*time.Minute, func() bool { return answered.Load() >= 100 })
	kill()
	clients.Wait()
	return answered.Load()
}
