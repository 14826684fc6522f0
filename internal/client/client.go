// Package client is the HTTP API as a program sees it that plays customers and their operator: one request and its answer, a catalogue,
// and a purchase that is followed to its end.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxAnswer bounds what is read of one answer.
const maxAnswer = 32 << 20

// Client sends requests to one server. Safe for use by many goroutines.
type Client struct {
	base string // with /api/v1
	http *http.Client
}

// New makes a client of the server at url for so many requests at once, each of which may take timeout with its answer.
func New(url string, atOnce int, timeout time.Duration) *Client {
	transport := &http.Transport{MaxIdleConns: atOnce, MaxIdleConnsPerHost: atOnce, IdleConnTimeout: 30 * time.Second, DisableCompression: true}
	return &Client{base: strings.TrimRight(url, "/") + "/api/v1", http: &http.Client{
		Transport: transport, Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close ends the connections that wait for another request.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Request is one request, which is the same however often it is sent.
type Request struct {
	Method, Path string // without /api/v1
	Token        string
	Key          string        // Idempotency-Key; empty: none
	Wait         time.Duration // for which the answer may be held back until an order's end; 0: not at all
	Body         []byte        // JSON; nil: none
}

// Answer is what the server said.
type Answer struct {
	Status int
	Body   []byte
	After  time.Duration // Retry-After; 0: not said
	Took   time.Duration // from the request until the whole answer
}

// Send sends a request once. An answer of any status is no error.
func (c *Client) Send(ctx context.Context, r Request) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, c.base+r.Path, bytes.NewReader(r.Body))
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+r.Token)
	if r.Body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.Key != "" {
		req.Header.Set("Idempotency-Key", r.Key)
	}
	if r.Wait > 0 {
		req.Header.Set("Prefer", fmt.Sprintf("wait=%d", int(r.Wait.Seconds())))
	}
	began := time.Now()
	res, err := c.http.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return Answer{}, fmt.Errorf("read answer %d: %w", res.StatusCode, err)
	}
	if len(body) > maxAnswer {
		return Answer{}, fmt.Errorf("answer %d is longer than %d bytes", res.StatusCode, maxAnswer)
	}
	return Answer{Status: res.StatusCode, Body: body, After: retryAfter(res.Header), Took: time.Since(began)}, nil
}

// retryAfter reads the header's seconds. The form with a date is not waited for.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// String is status and the beginning of the body, for a person.
func (a Answer) String() string {
	return fmt.Sprintf("%d %s", a.Status, a.Body[:min(len(a.Body), 300)])
}

// Into reads the JSON of an answer that is no refusal.
func (a Answer) Into(v any) error {
	if a.Status >= 300 {
		return fmt.Errorf("answered %s", a)
	}
	if err := json.Unmarshal(a.Body, v); err != nil {
		return fmt.Errorf("answered %s: %w", a, err)
	}
	return nil
}
