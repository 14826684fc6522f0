package web_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

// streamed is the beginning of an answer, and what follows.
type streamed struct {
	status int
	header http.Header
	body   io.ReadCloser // closed when the test ends
}

// stream asks for the test's stream. Its client has no time-out of its own.
func (r *testServer) stream(token string, header ...string) streamed {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.url("/api/v1/stream"), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := (&http.Client{Transport: r.client.Transport}).Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { resp.Body.Close() })
	return streamed{resp.StatusCode, resp.Header, resp.Body}
}

// event reads the next event of a stream, without the lines that are none.
func event(t *testing.T, from *bufio.Reader) (lines []string) {
	t.Helper()
	for {
		line, err := from.ReadString('\n')
		if err != nil {
			t.Fatalf("after %q: %v", lines, err)
		}
		switch line = strings.TrimSuffix(line, "\n"); {
		case line == "" && len(lines) > 0:
			return lines
		case line != "" && !strings.HasPrefix(line, ":") && !strings.HasPrefix(line, "retry:"):
			lines = append(lines, line)
		}
	}
}

// A stream is not cut by the time that other requests have; it goes on after the last event that a client has got, and ends, cleanly
// and at once, when the server does.
func TestStream(t *testing.T) {
	t.Parallel()
	const usual = 50 * time.Millisecond
	r := start(t, func(o *web.Options) { o.RequestTimeout = usual })
	resp := r.stream("", "Last-Event-ID", "41")
	if got := resp.header.Get("Content-Type"); resp.status != http.StatusOK || got != "text/event-stream" || resp.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", resp.status, resp.header)
	}
	body := bufio.NewReader(resp.body)
	for _, want := range []string{"42", "43", "44"} {
		if got := strings.Join(event(t, body), "|"); got != "id: "+want+"|event: count|data: {\"n\":"+want+"}" {
			t.Errorf("got %s", got)
		}
		if want != "44" {
			time.Sleep(2 * usual) // longer than a request may take
			r.next <- struct{}{}
		}
	}
	r.stop()
	if rest, err := io.ReadAll(body); err != nil || len(rest) > 0 {
		t.Errorf("the stream broke off with %q, %v", rest, err)
	}
	if err := <-r.ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	r.ended = nil
}

// There are so many streams and no more, in all and for one customer; a place is free again once its client has left.
func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	ann, ben, cid := r.token("ann", false), r.token("ben", false), r.token("cid", false)
	want := func(token string, status int) streamed {
		t.Helper()
		resp := r.stream(token)
		if resp.status != status {
			t.Fatalf("answered %d, not %d", resp.status, status)
		}
		return resp
	}
	first := want(ann, http.StatusOK)
	want(ann, http.StatusOK)
	if refused := want(ann, http.StatusTooManyRequests); refused.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	want(ben, http.StatusOK)
	want(cid, http.StatusTooManyRequests)
	first.body.Close()
	testkit.Eventually(t, 20*time.Second, func() bool { return r.stream(cid).status == http.StatusOK })
}

// Who asks for a stream's head alone gets it, and no stream.
func TestStreamByHead(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	if a := r.do(http.MethodHead, "/api/v1/stream", ""); a.status != http.StatusOK || a.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("%d %v", a.status, a.header)
	}
}
