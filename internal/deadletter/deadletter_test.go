package deadletter_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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

func TestDeadLetterIsReplayed(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	f, letter := w.say()
	want := map[string]any{
		"module": "inventory", "name": "order.created", "routing_key": "optimistic.order.created", "reason": "exhausted",
		"first_error": "no appetite?", "last_error": "no appetite?", "attempts": 1.0, "body": string(event.Encode(f)),
	}
	got := map[string]any{}
	for key := range want {
		got[key] = letter[key]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("letter (-want +got):\n%s", diff)
	}
	id, _ := letter["id"].(string)

	if status, _ := w.call("admin", http.MethodPost, "/dead-letters/"+id+"/replay"); status != http.StatusAccepted {
		t.Fatalf("replay: %d", status)
	}
	again := w.await(f.ID.String(), func(l map[string]any) bool { return l["attempts"] == 2.0 })
	if again["id"] != id || again["replayed_at"] != nil {
		t.Errorf("a fact that failed again is %v", again)
	}

	w.heal()
	if status, _ := w.call("admin", http.MethodPost, "/dead-letters/"+id+"/replay"); status != http.StatusAccepted {
		t.Fatalf("replay: %d", status)
	}
	w.await(f.ID.String(), func(l map[string]any) bool { return l["replayed_at"] != nil })
	testkit.Eventually(t, patience, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.heard) == 1 && w.heard[0] == f.ID
	})
	_, got = w.call("admin", http.MethodGet, "/dead-letters/"+id)
	results := actions(got, func(a map[string]any) string { return fmt.Sprint(a["action"], " by ", a["by"], ": ", a["result"]) })
	if diff := cmp.Diff([]string{"replay by admin: sent", "replay by admin: died again"}, results); diff != "" {
		t.Errorf("history, newest first (-want +got):\n%s", diff)
	}
	if got["replayed_by"] != "admin" {
		t.Errorf("replayed by %v", got["replayed_by"])
	}
	w.isCleaned(id)
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
		if err := w.letters.Clean(w.Context(), c.retention); err != nil {
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

// actions is the history of a letter, in words.
func actions(letter map[string]any, word func(map[string]any) string) []string {
	var words []string
	history, _ := letter["history"].([]any)
	for _, one := range history {
		action, _ := one.(map[string]any)
		words = append(words, word(action))
	}
	return words
}

// A module's letters are replayed together, those of others and of other reasons stay, and what dies again is left.
func TestDeadLettersOfAKindAreReplayed(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	var letters []broker.DeadLetter
	for i := range 250 { // more than a page
		f := event.New(event.OrderCreated, "optimistic", uuid.Must(uuid.NewV7()), event.Order{Customer: "ada"})
		body := event.Encode(f)
		if i == 7 {
			body = append(body, strings.Repeat(" ", 9<<20)...) // more than a page has bytes
		}
		letters = append(letters, broker.NewDeadLetter("inventory", "", broker.ReasonExhausted, body, errors.New("no appetite")))
	}
	other := broker.NewDeadLetter("inventory", "x", broker.ReasonUndecodable, []byte("junk"), errors.New("junk"))
	elsewhere := broker.NewDeadLetter("relay", "x", broker.ReasonPermanent, []byte("large"), errors.New("too large"))
	if err := w.letters.Keep(t.Context(), append(letters, other, elsewhere)); err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]int{
		`{"module":"inventory","type":"order.failed"}`: 0, `{"module":"shelf"}`: 0, `{"module":"relay"}`: 0,
	} {
		if status, done := w.call("admin", http.MethodPost, "/dead-letters/replay", body); status != http.StatusAccepted || done["replayed"] != float64(want) {
			t.Errorf("%s: %d %v, want %d", body, status, done, want)
		}
	}
	w.heal()
	status, done := w.call("admin", http.MethodPost, "/dead-letters/replay", `{"module":"inventory","type":"order.created","reason":"exhausted"}`)
	if status != http.StatusAccepted || done["replayed"] != float64(len(letters)) || done["left"] != 0.0 {
		t.Errorf("replay: %d %v", status, done)
	}
	testkit.Eventually(t, patience, func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.heard) != len(letters) {
			return fmt.Errorf("heard %d of %d", len(w.heard), len(letters))
		}
		return nil
	})
	_, page := w.call("admin", http.MethodGet, "/dead-letters?state=open")
	if items, _ := page["items"].([]any); len(items) != 2 {
		t.Errorf("%d letters are open, want the 2 that were not meant", len(items))
	}
	_, page = w.call("admin", http.MethodGet, "/dead-letters?module=inventory&type=order.created&reason=exhausted&limit=200")
	items, _ := page["items"].([]any)
	for _, item := range items {
		letter, _ := item.(map[string]any)
		if body, _ := letter["body"].(string); len(body) > 4<<10 {
			t.Errorf("a list shows %d bytes of a body", len(body))
		}
	}
	if len(items) != 200 {
		t.Errorf("%d letters on a page", len(items))
	}
}

// What was done about a letter is known when it is gone.
func TestDeletedLetterIsRemembered(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	_, letter := w.say()
	id, _ := letter["id"].(string)
	if status, _ := w.call("admin", http.MethodDelete, "/dead-letters/"+id+"?reason=test+order"); status != http.StatusNoContent {
		t.Fatalf("delete: %d", status)
	}
	history, err := w.letters.History(t.Context(), uuid.MustParse(id))
	if err != nil || len(history) != 1 || history[0].Action != "delete" || history[0].By != "admin" || history[0].Reason != "test order" {
		t.Errorf("%+v, %v", history, err)
	}
}

func TestDeadLettersOverHTTP(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	var ids []string
	for range 3 {
		_, letter := w.say()
		id, _ := letter["id"].(string)
		ids = append([]string{id}, ids...)
	}
	var listed []string
	for path := "/dead-letters?limit=2"; path != ""; {
		status, page := w.call("admin", http.MethodGet, path)
		if status != http.StatusOK {
			t.Fatalf("list: %d %v", status, page)
		}
		items, _ := page["items"].([]any)
		for _, item := range items {
			letter, _ := item.(map[string]any)
			id, _ := letter["id"].(string)
			listed = append(listed, id)
		}
		path = ""
		if next, ok := page["next_cursor"].(string); ok {
			path = "/dead-letters?limit=2&cursor=" + next
		}
	}
	if diff := cmp.Diff(ids, listed); diff != "" {
		t.Errorf("pages, newest first (-want +got):\n%s", diff)
	}
	strange := broker.NewDeadLetter("relay", "optimistic.order.created", broker.ReasonPermanent, []byte{0xff, 0}, errors.New("too large"))
	if err := w.letters.Keep(t.Context(), []broker.DeadLetter{strange}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		who, method, path string
		want              int
	}{
		{"ada", http.MethodGet, "/dead-letters", http.StatusForbidden},
		{"ada", http.MethodPost, "/dead-letters/" + ids[0] + "/replay", http.StatusForbidden},
		{"admin", http.MethodPost, "/dead-letters/" + uuid.NewString() + "/replay", http.StatusNotFound},
		{"admin", http.MethodPost, "/dead-letters/" + strange.ID.String() + "/replay", http.StatusConflict},
		{"admin", http.MethodPost, "/dead-letters/x/replay", http.StatusNotFound},
		{"admin", http.MethodDelete, "/dead-letters/" + ids[0], http.StatusBadRequest},
		{"admin", http.MethodDelete, "/dead-letters/" + ids[0] + "?reason=%20", http.StatusBadRequest},
		{"admin", http.MethodDelete, "/dead-letters/" + ids[0] + "?reason=test+order", http.StatusNoContent},
		{"admin", http.MethodDelete, "/dead-letters/" + ids[0] + "?reason=test+order", http.StatusNotFound},
		{"admin", http.MethodDelete, "/dead-letters/" + strange.ID.String() + "?reason=junk", http.StatusNoContent},
		{"admin", http.MethodGet, "/dead-letters?limit=0", http.StatusBadRequest},
		{"admin", http.MethodGet, "/dead-letters?cursor=x", http.StatusBadRequest},
		{"admin", http.MethodGet, "/dead-letters?state=dead", http.StatusBadRequest},
		{"admin", http.MethodGet, "/dead-letters?kind=x", http.StatusBadRequest},
		{"admin", http.MethodGet, "/dead-letters/" + uuid.NewString(), http.StatusNotFound},
		{"ada", http.MethodPost, "/dead-letters/replay", http.StatusForbidden},
	} {
		if status, body := w.call(tc.who, tc.method, tc.path); status != tc.want {
			t.Errorf("%s %s as %s: %d %v, want %d", tc.method, tc.path, tc.who, status, body, tc.want)
		}
	}
	_, page := w.call("admin", http.MethodGet, "/dead-letters")
	if items, _ := page["items"].([]any); len(items) != 2 {
		t.Errorf("%d letters are left, want 2", len(items))
	}
}
