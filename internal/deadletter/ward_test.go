package deadletter_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-checkout/holdfast/api"
	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/deadletter"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
	"github.com/holdfast-checkout/holdfast/internal/web"
	"github.com/holdfast-checkout/holdfast/internal/web/webtest"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const patience = 30 * time.Second

// ward is a module that digests nothing until it is healed, its dead letters, and the operators' API to them.
type ward struct {
	*testing.T
	env       *testkit.Env
	cfg       broker.Config
	publisher *broker.Publisher
	letters   *deadletter.Letters
	url       string
	client    *http.Client
	tokens    web.Tokens

	mu     sync.Mutex
	healed bool
	heard  []uuid.UUID
}

func newWard(t *testing.T) *ward {
	t.Helper()
	env := testkit.New(t)
	w := &ward{T: t, env: env, tokens: web.Tokens{Secret: []byte(strings.Repeat("secret", 8))}}
	w.cfg = broker.Config{URL: env.RabbitURL, Log: env.Log, Topology: broker.Topology{
		Namespace: env.Namespace, Queues: map[string][]string{"inventory": {"optimistic.order.created"}},
	}}
	w.publisher = broker.NewPublisher(w.cfg)
	w.letters = deadletter.New(env.DB, w.publisher, w.cfg.Topology, env.Log, nil)
	w.start(w.publisher.Run)
	w.start(broker.NewUndertaker(w.cfg, w.letters.Keep).Run)
	w.start(broker.NewConsumer(w.cfg, w.publisher, broker.Subscription{Module: "inventory", Attempts: 1, Handle: w.hear}).Run)
	w.serve()
	return w
}

func (w *ward) start(run func(context.Context) error) {
	ctx, stop := context.WithCancel(context.WithoutCancel(w.Context()))
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	w.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			w.Error(err)
		}
	})
}

// serve starts the HTTP server. Every answer is held against the API document.
func (w *ward) serve() {
	w.Helper()
	auth, err := web.NewAuth(w.tokens.Secret, "")
	if err != nil {
		w.Fatal(err)
	}
	server, err := web.New(web.Options{Addr: "127.0.0.1:0", Auth: auth, Log: w.env.Log, Registry: prometheus.NewRegistry()})
	if err != nil {
		w.Fatal(err)
	}
	w.letters.Routes(server.Routes())
	if err := server.Listen(w.Context()); err != nil {
		w.Fatal(err)
	}
	w.start(server.Run)
	transport := &http.Transport{}
	w.Cleanup(transport.CloseIdleConnections)
	w.url, w.client = "http://"+server.Addr(), &http.Client{Transport: webtest.Load(w, api.Document).Transport(w, transport)}
}

func (w *ward) hear(_ context.Context, facts []event.Fact) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.healed {
		return errors.New("no appetite\x00")
	}
	for _, f := range facts {
		w.heard = append(w.heard, f.ID)
	}
	return nil
}

func (w *ward) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.healed = true
}

// say publishes a fact and waits until it is a dead letter.
func (w *ward) say() (event.Fact, map[string]any) {
	w.Helper()
	f := event.New(event.OrderCreated, "optimistic", uuid.Must(uuid.NewV7()), event.Order{Customer: "ada"})
	err := w.publisher.Publish(w.Context(), broker.Message{
		ID: f.ID.String(), Exchange: w.cfg.Topology.Exchange(), Key: f.RoutingKey(), ContentType: event.ContentType, Body: event.Encode(f),
	})
	if err != nil {
		w.Fatal(err)
	}
	return f, w.await(f.ID.String(), func(map[string]any) bool { return true })
}

// await waits until the letter of a fact is as it should be.
func (w *ward) await(fact string, good func(map[string]any) bool) map[string]any {
	w.Helper()
	var found map[string]any
	testkit.Eventually(w, patience, func() bool {
		_, page := w.call("admin", http.MethodGet, "/dead-letters?limit=200")
		items, _ := page["items"].([]any)
		for _, item := range items {
			if letter, _ := item.(map[string]any); letter["fact_id"] == fact && good(letter) {
				found = letter
				return true
			}
		}
		return false
	})
	return found
}

func (w *ward) call(who, method, path string, body ...string) (int, map[string]any) {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), method, w.url+"/api/v1/admin"+path, strings.NewReader(strings.Join(body, "")))
	if err != nil {
		w.Fatal(err)
	}
	token, err := w.tokens.Issue(who, who == "admin", time.Hour)
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := w.client.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatal(err)
	}
	var answer map[string]any
	if len(text) > 0 {
		if err := json.Unmarshal(text, &answer); err != nil {
			w.Fatalf("%s %s answered %q: %v", method, path, text, err)
		}
	}
	return resp.StatusCode, answer
}

// isCleaned wants a letter that was replayed to go after the retention, with its history, and an open one to stay.
func (w *ward) isCleaned(replayed string) {
	w.Helper()
	open := broker.NewDeadLetter("inventory", "x", broker.ReasonUndecodable, []byte("junk"), errors.New("junk"))
	if err := w.letters.Keep(w.Context(), []broker.DeadLetter{open}); err != nil {
		w.Fatal(err)
	}
	for _, c := range []struct {
		retention time.Duration
		letter    string
		want      int
	}{
		{time.Hour, replayed, http.StatusOK},
		{0, replayed, http.StatusNotFound},
		{0, open.ID.String(), http.StatusOK},
	} {
		if _, err := w.letters.Clean(w.Context(), c.retention, c.retention); err != nil {
			w.Fatal(err)
		}
		if status, _ := w.call("admin", http.MethodGet, "/dead-letters/"+c.letter); status != c.want {
			w.Errorf("retention %s: %d, want %d", c.retention, status, c.want)
		}
	}
	var log int
	if err := w.env.DB.QueryRow(w.Context(), `SELECT count(*) FROM shared.dead_letter_log`).Scan(&log); err != nil || log != 0 {
		w.Errorf("%d entries are kept of a letter that is gone: %v", log, err)
	}
}
