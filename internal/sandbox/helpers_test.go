package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/sandbox"
)

const apiKey = "sk_test"

// open starts a sandbox on a ledger file and gives its URL and what stops it.
func open(t *testing.T, ledger string, change ...func(*sandbox.Options)) (url string, stop func()) {
	t.Helper()
	o := sandbox.Options{
		Addr: "127.0.0.1:0", LedgerFile: ledger, APIKey: apiKey, Seed: 7,
		SlowBy: 100 * time.Millisecond, HangFor: 50 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&o)
	}
	server, err := sandbox.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("sandbox ended with %v", err)
		}
	}
	t.Cleanup(stop)
	return server.URL(), stop
}

func start(t *testing.T, change ...func(*sandbox.Options)) string {
	t.Helper()
	url, _ := open(t, filepath.Join(t.TempDir(), "ledger.jsonl"), change...)
	return url
}

type reply struct {
	status int
	header http.Header
	body   []byte
}

// send makes one request; an error means that no whole answer came.
func send(ctx context.Context, method, url, key string, body any) (reply, error) {
	text, isText := body.(string)
	raw := []byte(text)
	if !isText && body != nil {
		raw, _ = json.Marshal(body) // maps of strings and numbers
	}
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(raw))
	if err != nil {
		return reply{}, err
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return reply{}, err
	}
	got, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, got}, errors.Join(err, response.Body.Close())
}

func must(t *testing.T, method, url string, body any) reply {
	t.Helper()
	r, err := send(t.Context(), method, url, apiKey, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return r
}

func as[T any](t *testing.T, r reply) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(r.body, &v); err != nil {
		t.Fatalf("%d %s: %v", r.status, r.body, err)
	}
	return v
}

func want(t *testing.T, r reply, status int, code string) {
	t.Helper()
	var refusal struct{ Error struct{ Code string } }
	_ = json.Unmarshal(r.body, &refusal)
	if r.status != status || refusal.Error.Code != code {
		t.Errorf("got %d %s, want %d %q", r.status, r.body, status, code)
	}
}

func charge(order string, amount int, method string) map[string]any {
	return map[string]any{"order_id": order, "amount_minor": amount, "currency": "GBP", "payment_method": method}
}

func refund(chargeID string, amount int) map[string]any {
	return map[string]any{"charge_id": chargeID, "amount_minor": amount, "currency": "GBP"}
}

// ledger reads all of the ledger in small pages.
func ledger(t *testing.T, url string) []*sandbox.Entry {
	t.Helper()
	var all []*sandbox.Entry
	for after := int64(0); ; {
		page := as[sandbox.Page](t, must(t, http.MethodGet, url+"/ledger?limit=7&after="+strconv.FormatInt(after, 10), nil))
		all = append(all, page.Entries...)
		if after = page.NextAfter; after == 0 {
			return all
		}
	}
}
