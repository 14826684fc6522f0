package sandbox_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-checkout/holdfast/internal/sandbox"
)

func TestAnswersSurviveARestart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ledger.jsonl")
	url, stop := open(t, file)
	paid := must(t, http.MethodPut, url+"/charges/paid", charge("o", 800, "pm_ok"))
	id := as[sandbox.Entry](t, paid).ID
	refunded := must(t, http.MethodPut, url+"/refunds/back", refund(id, 300))
	must(t, http.MethodPost, url+"/charges/closed/close", nil)
	before := ledger(t, url)
	stop()

	url, _ = open(t, file)
	if again := must(t, http.MethodPut, url+"/charges/paid", charge("o", 800, "pm_ok")); string(again.body) != string(paid.body) {
		t.Errorf("charge: %s, then %s", paid.body, again.body)
	}
	if again := must(t, http.MethodPut, url+"/refunds/back", refund(id, 300)); string(again.body) != string(refunded.body) {
		t.Errorf("refund: %s, then %s", refunded.body, again.body)
	}
	want(t, must(t, http.MethodPut, url+"/charges/closed", charge("o", 5, "pm_ok")), 409, "key_closed")
	want(t, must(t, http.MethodPut, url+"/refunds/more", refund(id, 501)), 422, "refund_exceeds_charge")
	if diff := cmp.Diff(before, ledger(t, url)); diff != "" {
		t.Error(diff)
	}
}

func TestOneProcessPerLedger(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ledger.jsonl")
	open(t, file)
	_, err := sandbox.Open(sandbox.Options{Addr: "127.0.0.1:0", LedgerFile: file, APIKey: apiKey, Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "another process has the ledger open") {
		t.Errorf("a second server opened the ledger: %v", err)
	}
}

func TestDamagedLedgers(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "ledger.jsonl")
	url, stop := open(t, file)
	for i := range 3 {
		must(t, http.MethodPut, fmt.Sprintf("%s/charges/k%d", url, i), charge("o", 800, "pm_ok"))
	}
	stop()
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(whole), "\n")
	for _, c := range []struct {
		name, content string
		entries       int // -1: refused
	}{
		{"empty", "", 0},
		{"whole", string(whole), 3},
		{"torn", string(whole[:len(whole)-30]), 2},
		{"only the line's end is missing", string(whole[:len(whole)-1]), 2},
		{"zeros at the end", string(whole) + "\x00\x00\x00\n\x00", 3},
		{"damaged in the middle", lines[0] + "{}\n" + lines[2], -1},
		{"a line is missing", lines[0] + lines[2], -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "ledger.jsonl")
			if err := os.WriteFile(file, []byte(c.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if c.entries < 0 {
				_, err := sandbox.Open(sandbox.Options{Addr: "127.0.0.1:0", LedgerFile: file, APIKey: apiKey, Log: slog.New(slog.DiscardHandler)})
				if err == nil {
					t.Error("a damaged ledger was opened")
				}
				return
			}
			url, stop := open(t, file)
			if n := len(ledger(t, url)); n != c.entries {
				t.Errorf("%d entries, want %d", n, c.entries)
			}
			must(t, http.MethodPut, url+"/charges/next", charge("o", 1, "pm_ok"))
			stop()
			url, _ = open(t, file)
			if n := len(ledger(t, url)); n != c.entries+1 {
				t.Errorf("%d entries after one more, want %d", n, c.entries+1)
			}
		})
	}
}

func TestPagesLeaveNothingOut(t *testing.T) {
	t.Parallel()
	url := start(t)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			must(t, http.MethodPut, fmt.Sprintf("%s/charges/k%d", url, i), charge("o", 10, "pm_ok"))
			must(t, http.MethodPost, fmt.Sprintf("%s/charges/k%d/close", url, i), nil)
		})
	}
	all.Wait()
	seen := map[string]bool{}
	last := int64(0)
	for _, e := range ledger(t, url) {
		if e.Seq <= last || seen[e.Key] || e.Kind != sandbox.KindCharge {
			t.Errorf("entry %d after %d: %+v", e.Seq, last, e)
		}
		seen[e.Key], last = true, e.Seq
	}
	if len(seen) != 50 {
		t.Errorf("%d of 50 charges listed", len(seen))
	}
}
