package app_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// told is one event of an order's stream.
type told struct {
	id    string
	order order
}

// events opens the stream of an order. It goes past the client that holds answers against the document: that one reads to the end.
func (c customer) events(id, last string) io.Reader {
	c.shop.t.Helper()
	req, err := http.NewRequestWithContext(c.shop.t.Context(), http.MethodGet, c.shop.url+"/api/v1/orders/"+id+"/events", nil)
	if err != nil {
		c.shop.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		c.shop.t.Fatalf("%v, %v", resp, err)
	}
	c.shop.t.Cleanup(func() { resp.Body.Close() })
	return resp.Body
}

// toldBy reads events to the end of a stream.
func toldBy(t *testing.T, stream io.Reader) (list []told) {
	t.Helper()
	lines := bufio.NewScanner(stream)
	var next told
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "id":
			next.id = value
		case "data":
			if err := json.Unmarshal([]byte(value), &next.order); err != nil {
				t.Fatalf("%s: %v", value, err)
			}
			list = append(list, next)
			next = told{}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatalf("after %d events: %v", len(list), err)
	}
	return list
}

// An order that one instance took is watched, and waited for, on another.
func TestAnOrderIsWatchedOnAnotherInstance(t *testing.T) {
	t.Parallel()
	s := open(t)
	other := *s
	other.start()
	mug := s.product("MUG", 1275, 10)
	alice, elsewhere := s.customer("alice"), other.customer("alice")

	var o order
	body := buyNow(mug, 2, "pm_slow")
	alice.must(http.StatusAccepted, http.MethodPost, "/orders", body, "Idempotency-Key", "k").into(t, &o)
	stream := elsewhere.events(o.ID, "")
	elsewhere.must(http.StatusCreated, http.MethodPost, "/orders", body, "Idempotency-Key", "k", "Prefer", "wait=30").into(t, &o)
	news := toldBy(t, stream)
	versions := map[string]bool{}
	for i, n := range news {
		final := i == len(news)-1
		if versions[n.id] || n.id != fmt.Sprint(n.order.Version) || n.order.ID != o.ID || n.order.final() != final {
			t.Errorf("event %d of %d: %+v", i, len(news), n)
		}
		versions[n.id] = true
	}
	if len(news) < 2 || news[len(news)-1].order.Status != "COMPLETED" || o.Status != "COMPLETED" {
		t.Fatalf("%d events; whoever waited got %+v", len(news), o)
	}

	path, last := "/orders/"+o.ID+"/events", news[len(news)-1].id
	alice.must(http.StatusNoContent, http.MethodGet, path, nil, "Last-Event-ID", last)
	for _, from := range []string{"1", "no number", "99"} {
		again := toldBy(t, strings.NewReader(string(alice.must(http.StatusOK, http.MethodGet, path, nil, "Last-Event-ID", from).body)))
		if len(again) != 1 || again[0].id != last {
			t.Errorf("after %s: %+v", from, again)
		}
	}
	s.customer("mallory").refused(404, "not-found", http.MethodGet, path, nil)
	alice.refused(404, "not-found", http.MethodGet, "/orders/nothing/events", nil)

	alice.must(http.StatusAccepted, http.MethodPost, "/orders/"+o.ID+"/cancel", nil)
	news = toldBy(t, elsewhere.events(o.ID, last))
	if len(news) == 0 || news[len(news)-1].order.Status != "CANCELLED" {
		t.Errorf("after the cancel: %+v", news)
	}

	// Nothing ends this one: its stream ends with the instance, which does not wait for it.
	s.stopProvider()
	alice.must(http.StatusAccepted, http.MethodPost, "/orders", buyNow(mug, 1, "pm_ok"), "Idempotency-Key", "left").into(t, &o)
	stream = elsewhere.events(o.ID, "")
	other.stop()
	for _, n := range toldBy(t, stream) {
		if n.order.final() {
			t.Errorf("%+v", n)
		}
	}
}
