package deadletter_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/deadletter"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

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

// A letter that the broker did not take stays open, and its log says so.
func TestLetterThatWasNotTakenStays(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	_, shown := w.say()
	id := uuid.MustParse(shown["id"].(string))
	stopped, stop := context.WithCancel(t.Context())
	stop()
	publisher := broker.NewPublisher(w.cfg)
	if err := publisher.Run(stopped); err != nil {
		t.Fatal(err)
	}
	letters := deadletter.New(w.env.DB, publisher, w.cfg.Topology, w.env.Log, nil)
	if _, err := letters.Replay(t.Context(), id, "admin"); err == nil {
		t.Fatal("replayed by a publisher that has stopped")
	}
	letter, err := w.letters.Find(t.Context(), id)
	if err != nil || letter.ReplayedAt != nil {
		t.Errorf("%+v, %v", letter, err)
	}
	history, err := w.letters.History(t.Context(), id)
	if err != nil || len(history) != 1 || history[0].Result != "not taken" {
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
