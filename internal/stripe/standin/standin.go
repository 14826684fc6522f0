// Package standin stands in for Stripe in tests: a server that remembers, with several accounts, each reached by keys of its own. It
// keeps to Stripe's documented interface as far as Holdfast uses it: PaymentIntents, Refunds, Disputes, Events, webhooks and the account, idempotency keys,
// and lists with limit, starting_after, ending_before and ranges of created, the newest first.
package standin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Object is one of Stripe's, as it is shown.
type Object map[string]any

// Server is the stand-in.
type Server struct {
	URL string

	mu     sync.Mutex
	keys   map[string]*Account // by the key that leads to it
	serial int
	Now    func() time.Time // what it takes for the time
}

// Account is what one account of Stripe's holds, each kind the oldest first.
type Account struct {
	server   *Server
	id       string
	intents  []Object
	refunds  []Object
	disputes []Object
	events   []Object
	told     chan<- Object    // to whom events go; nil: to nobody
	kept     map[string]reply // by idempotency key
	asked    []string         // method, path and query or form
	keys     []string         // under which was asked for refunds, one after the other
}

type reply struct {
	status int
	body   any
}

// Start runs one until the test ends.
func Start(t *testing.T) *Server {
	t.Helper()
	s := &Server{keys: map[string]*Account{}, Now: time.Now}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Open makes an account that is reached by keys, all of them secret keys of test mode.
func (s *Server) Open(id string, keys ...string) *Account {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &Account{server: s, id: id, kept: map[string]reply{}}
	for _, key := range keys {
		s.keys[key] = a
	}
	return a
}

// Asked counts the requests to the account that hold a text in their method, path, query or form.
func (a *Account) Asked(text string) (n int) {
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	for _, asked := range a.asked {
		if strings.Contains(asked, text) {
			n++
		}
	}
	return n
}

// Change changes one of the account's objects, as Stripe does by itself when a refund ends or a person does something in its dashboard.
func (a *Account) Change(id string, change Object) {
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	for _, o := range slices.Concat(a.intents, a.refunds) {
		if o["id"] == id {
			for key, value := range change {
				o[key] = value
			}
		}
	}
}

// Refunds gives the account's refunds as they are now, the oldest first.
func (a *Account) Refunds() []Object {
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	return slices.Clone(a.refunds)
}

// RefundKeys gives the keys under which refunds were asked for, each once.
func (a *Account) RefundKeys() []string {
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	return slices.Clone(a.keys)
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	said := s.answer(r)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(said.status)
	_ = json.NewEncoder(w).Encode(said.body) // fails only if the client is gone
}

func (s *Server) answer(r *http.Request) reply {
	a := s.keys[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	if a == nil {
		return refuse(http.StatusUnauthorized, "invalid_request_error", "", "")
	}
	if err := r.ParseForm(); err != nil {
		return refuse(http.StatusBadRequest, "invalid_request_error", "", "")
	}
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	a.asked = append(a.asked, r.Method+" "+path+"?"+r.Form.Encode())
	key := r.Header.Get("Idempotency-Key")
	if said, known := a.kept[key]; known && r.Method == http.MethodPost {
		return said
	}
	if r.Method == http.MethodPost && path == "refunds" {
		a.keys = append(a.keys, key)
	}
	said := a.do(r.Method, strings.Split(path, "/"), r.Form)
	if key != "" && r.Method == http.MethodPost {
		a.kept[key] = frozen(said)
	}
	return said
}

// frozen is an answer that stays as it was when its object changes.
func frozen(said reply) reply {
	raw, err := json.Marshal(said.body)
	if err != nil {
		panic(err)
	}
	return reply{said.status, json.RawMessage(raw)}
}

func (a *Account) do(method string, path []string, form url.Values) reply {
	switch what := method + " " + path[0]; {
	case what == "GET account":
		return reply{http.StatusOK, Object{"id": a.id, "object": "account"}}
	case what == "GET payment_intents" && len(path) == 1:
		return list("/v1/payment_intents", a.intents, form)
	case what == "POST payment_intents" && len(path) == 1:
		return a.open(form)
	case what == "GET refunds" && len(path) == 1:
		return list("/v1/refunds", a.refunds, form)
	case what == "POST refunds" && len(path) == 1:
		return a.refund(form)
	case what == "GET disputes" && len(path) == 1:
		return list("/v1/disputes", a.disputes, form)
	case what == "GET events" && len(path) == 1:
		return list("/v1/events", a.events, form)
	case path[0] == "payment_intents":
		pi := find(a.intents, path[1])
		if pi == nil {
			return refuse(http.StatusNotFound, "invalid_request_error", "resource_missing", "intent")
		}
		return a.doTo(pi, strings.Join(append([]string{method}, path[2:]...), " "), form)
	}
	return refuse(http.StatusNotFound, "invalid_request_error", "", "")
}

func (a *Account) doTo(pi Object, what string, form url.Values) reply {
	switch what {
	case "GET":
		return reply{http.StatusOK, a.expanded(pi)}
	case "POST confirm":
		return a.confirm(pi, form.Get("payment_method"))
	case "POST cancel":
		return a.cancel(pi, form.Get("cancellation_reason"))
	}
	return refuse(http.StatusNotFound, "invalid_request_error", "", "")
}

func find(all []Object, id string) Object {
	if i := slices.IndexFunc(all, func(o Object) bool { return o["id"] == id }); i >= 0 {
		return all[i]
	}
	return nil
}

func refuse(status int, kind, code, param string) reply {
	return reply{status, Object{"error": Object{"type": kind, "code": code, "param": param, "message": "in words"}}}
}

// id makes one that tells nothing.
func (a *Account) newID(prefix string) string {
	a.server.serial++
	return fmt.Sprintf("%s_%s_%d", prefix, a.id, a.server.serial)
}
