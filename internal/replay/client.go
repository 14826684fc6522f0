package replay

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/client"
	"github.com/holdfast-checkout/holdfast/internal/run"
)

// Pauses before a request is tried again: doubling from the first to the last, or what the server asks for.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
	askedPause = 30 * time.Second // the longest Retry-After that is obeyed
)

// retrying sends requests and stays with each of them until the server has answered it.
type retrying struct {
	*client.Client
	tokens   tokens
	patience time.Duration
	retried  func() // told of every attempt beyond the first
}

// request is one request, which is the same however often it is sent.
type request struct {
	method, path string
	sub          string
	admin        bool
	key          string // Idempotency-Key; empty: none
	body         []byte
}

// answer is what the server said at last.
type answer struct {
	client.Answer
	unsure bool // an attempt before it may have been carried out as well
}

func newClient(o Options, retried func()) *retrying {
	return &retrying{
		Client: client.New(o.BaseURL, 2*o.Concurrency+2, o.RequestTimeout), // twins send two at once
		tokens: tokens{source: o.Tokens, known: map[holder]string{}}, patience: o.Patience, retried: retried,
	}
}

// send sends r until it is answered: a lost connection, a time-out, "too many", "in use" and every 5xx are tried again with
// the same key, until the patience is over.
func (c *retrying) send(ctx context.Context, r request) (answer, error) {
	end := time.Now().Add(c.patience)
	unsure, renewed := false, false
	for attempt := 0; ; attempt++ {
		a, err := c.attempt(ctx, r)
		switch {
		case ctx.Err() != nil:
			return answer{}, ctx.Err()
		case err == nil && a.Status == http.StatusUnauthorized && !renewed:
			renewed = true // the token may have grown old
			c.tokens.forget(r.sub, r.admin)
			continue
		case err == nil && !a.retry():
			a.unsure = unsure
			return a, nil
		}
		unsure = unsure || err != nil || a.Status >= 500
		wait := pause(attempt, a.After)
		if time.Now().Add(wait).After(end) {
			return answer{}, fmt.Errorf("%s %s: not answered within %s: last %s", r.method, r.path, c.patience, lastWord(a, err))
		}
		c.retried()
		if err := run.Pause(ctx, wait); err != nil {
			return answer{}, err
		}
	}
}

// attempt sends r once.
func (c *retrying) attempt(ctx context.Context, r request) (answer, error) {
	token, err := c.tokens.get(r.sub, r.admin)
	if err != nil {
		return answer{}, fmt.Errorf("token for %q: %w", r.sub, err)
	}
	a, err := c.Send(ctx, client.Request{Method: r.method, Path: r.path, Token: token, Key: r.key, Body: r.body})
	return answer{Answer: a}, err
}

// retry says whether the answer is none: the same request may get another one later.
func (a answer) retry() bool {
	switch {
	case a.Status >= 500, a.Status == http.StatusTooManyRequests, a.Status == http.StatusRequestTimeout:
		return true
	case a.Status == http.StatusConflict:
		return a.After > 0 || a.problem().kind() == "idempotency-key-in-use" // a conflict that will pass
	}
	return false
}

// pause doubles with each attempt, with jitter, and is never shorter than what the server asked for.
func pause(attempt int, asked time.Duration) time.Duration {
	wait := min(firstPause<<min(attempt, 10), lastPause)
	wait = wait/2 + rand.N(wait/2)
	return max(wait, min(asked, askedPause))
}

func lastWord(a answer, err error) string {
	if err != nil {
		return err.Error()
	}
	return a.String()
}

// decode reads an answer's JSON.
func decode[T any](a answer) (T, error) {
	var v T
	if err := json.Unmarshal(a.Body, &v); err != nil {
		return v, fmt.Errorf("answer %s: %w", a, err)
	}
	return v, nil
}

// tokens keeps the token of each holder.
type tokens struct {
	source Tokens
	mu     sync.Mutex
	known  map[holder]string
}

type holder struct {
	sub   string
	admin bool
}

func (t *tokens) get(sub string, admin bool) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if token, ok := t.known[holder{sub, admin}]; ok {
		return token, nil
	}
	token, err := t.source(sub, admin)
	if err == nil {
		t.known[holder{sub, admin}] = token
	}
	return token, err
}

func (t *tokens) forget(sub string, admin bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.known, holder{sub, admin})
}
