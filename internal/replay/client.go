package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/run"
)

// maxAnswer bounds what is read of one answer.
const maxAnswer = 32 << 20

// Pauses before a request is tried again: doubling from the first to the last, or what the server asks for.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
	askedPause = 30 * time.Second // the longest Retry-After that is obeyed
)

// client sends requests and stays with each of them until the server has answered it.
type client struct {
	base     string
	http     *http.Client
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
	status int
	body   []byte
	after  time.Duration // Retry-After; 0: not said
	took   time.Duration // of the attempt that was answered
	unsure bool          // an attempt before it may have been carried out as well
}

func newClient(o Options, retried func()) *client {
	pool := 2*o.Concurrency + 2 // twins send two at once
	transport := &http.Transport{MaxIdleConns: pool, MaxIdleConnsPerHost: pool, IdleConnTimeout: 30 * time.Second, DisableCompression: true}
	return &client{
		base: strings.TrimRight(o.BaseURL, "/") + "/api/v1",
		http: &http.Client{
			Transport: transport, Timeout: o.RequestTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		tokens:   tokens{source: o.Tokens, known: map[holder]string{}},
		patience: o.Patience, retried: retried,
	}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// send sends r until it is answered: a lost connection, a time-out, "too many", "in use" and every 5xx are tried again with
// the same key, until the patience is over.
func (c *client) send(ctx context.Context, r request) (answer, error) {
	end := time.Now().Add(c.patience)
	unsure, renewed := false, false
	for attempt := 0; ; attempt++ {
		a, err := c.attempt(ctx, r)
		switch {
		case ctx.Err() != nil:
			return answer{}, ctx.Err()
		case err == nil && a.status == http.StatusUnauthorized && !renewed:
			renewed = true // the token may have grown old
			c.tokens.forget(r.sub, r.admin)
			continue
		case err == nil && !a.retry():
			a.unsure = unsure
			return a, nil
		}
		unsure = unsure || err != nil || a.status >= 500
		wait := pause(attempt, a.after)
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
func (c *client) attempt(ctx context.Context, r request) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, c.base+r.path, bytes.NewReader(r.body))
	if err != nil {
		return answer{}, err
	}
	token, err := c.tokens.get(r.sub, r.admin)
	if err != nil {
		return answer{}, fmt.Errorf("token for %q: %w", r.sub, err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.key != "" {
		req.Header.Set("Idempotency-Key", r.key)
	}
	began := time.Now()
	res, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return answer{}, fmt.Errorf("read answer %d: %w", res.StatusCode, err)
	}
	if len(body) > maxAnswer {
		return answer{}, fmt.Errorf("answer %d is longer than %d bytes", res.StatusCode, maxAnswer)
	}
	return answer{status: res.StatusCode, body: body, after: retryAfter(res.Header), took: time.Since(began)}, nil
}

// retry says whether the answer is none: the same request may get another one later.
func (a answer) retry() bool {
	switch {
	case a.status >= 500, a.status == http.StatusTooManyRequests, a.status == http.StatusRequestTimeout:
		return true
	case a.status == http.StatusConflict:
		return a.after > 0 || a.problem().kind() == "idempotency-key-in-use" // a conflict that will pass
	}
	return false
}

// pause doubles with each attempt, with jitter, and is never shorter than what the server asked for.
func pause(attempt int, asked time.Duration) time.Duration {
	wait := min(firstPause<<min(attempt, 10), lastPause)
	wait = wait/2 + rand.N(wait/2)
	return max(wait, min(asked, askedPause))
}

// retryAfter reads the header's seconds. The form with a date is not waited for.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

func lastWord(a answer, err error) string {
	if err != nil {
		return err.Error()
	}
	return a.String()
}

// String is status and the beginning of the body, for a person.
func (a answer) String() string {
	return fmt.Sprintf("%d %s", a.status, a.body[:min(len(a.body), 300)])
}

// decode reads an answer's JSON.
func decode[T any](a answer) (T, error) {
	var v T
	if err := json.Unmarshal(a.body, &v); err != nil {
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
