package web_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

// dial opens a bare connection that gives up by itself.
func (r *testServer) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// raw sends bytes as they are and reads one answer.
func (r *testServer) raw(t *testing.T, text string) answer {
	t.Helper()
	conn := r.dial(t)
	go func() { _, _ = io.WriteString(conn, text) }() // the server may answer, and close, before it has read all
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body) // ends in a reset when the server has closed on what it had not read
	return answer{resp.StatusCode, resp.Header, string(body)}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	r := start(t, func(o *web.Options) { o.MaxBody = 1000 })
	const head = "Host: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
	large := `{"name":"` + strings.Repeat("x", 2000) + `"}`
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	if _, err := zip.Write(bytes.Repeat([]byte(" "), 10<<20)); err != nil || zip.Close() != nil {
		t.Fatal(err)
	}
	post := func(headers, body string) string {
		return "POST /api/v1/sample HTTP/1.1\r\n" + head + headers + "\r\n" + body
	}
	chunk := func(body string) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body) }
	for name, tc := range map[string]struct {
		request string
		status  int
		problem string
	}{
		"1 MiB header":            {"GET /livez HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 1<<20) + "\r\n\r\n", 431, ""},
		"1 MiB token":             {"GET /api/v1/who HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + strings.Repeat("a.", 1<<19) + "\r\n\r\n", 431, ""},
		"many headers":            {"GET /livez HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: b\r\n", 10000) + "\r\n", 431, ""},
		"long path":               {"GET /" + strings.Repeat("a", 1<<20) + " HTTP/1.1\r\nHost: x\r\n\r\n", 431, ""},
		"large body":              {post(fmt.Sprintf("Content-Length: %d\r\n", len(large)), large), 413, "too-large"},
		"large body announced":    {post("Content-Length: 1000000000000\r\n", "{"), 413, "too-large"},
		"large body in chunks":    {post("Transfer-Encoding: chunked\r\n", chunk(large)), 413, "too-large"},
		"body in chunks":          {post("Transfer-Encoding: chunked\r\n", chunk(`{"name":"x"}`)), 200, ""},
		"body cut off in a chunk": {post("Transfer-Encoding: chunked\r\n", "zz\r\n"), 400, "invalid-request"},
		"negative length":         {post("Content-Length: -1\r\n", ""), 400, ""},
		"two lengths":             {post("Content-Length: 12\r\nContent-Length: 13\r\n", `{"name":"x"}`), 400, ""},
		"unknown coding":          {post("Transfer-Encoding: gzip\r\n", ""), 501, ""},
		"gzip bomb":               {post(fmt.Sprintf("Content-Encoding: gzip\r\nContent-Length: %d\r\n", zipped.Len()), zipped.String()), 415, "invalid-request"},
		"two hosts":               {"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, ""},
		"no host":                 {"GET /livez HTTP/1.1\r\n\r\n", 400, ""},
		"space before the colon":  {"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\n", 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := r.raw(t, tc.request)
			if a.status != tc.status {
				t.Fatalf("answered %d %.200s, want %d", a.status, a.body, tc.status)
			}
			if tc.problem != "" && a.problem(t).Type != "/problems/"+tc.problem {
				t.Errorf("answered %s", a.body)
			}
		})
	}
}

// A length beside chunks is either refused or not believed: never are the bytes after the chunks another request's start.
func TestLengthBesideChunks(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	conn := r.dial(t)
	const body = "c\r\n{\"name\":\"x\"}\r\n0\r\n\r\n"
	smuggled := "GET /api/v1/panic HTTP/1.1\r\nHost: x\r\n\r\n"
	fmt.Fprintf(conn, "POST /api/v1/sample HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n%s%s",
		len(body)+len(smuggled), body, smuggled)
	all, err := io.ReadAll(conn)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		t.Logf("connection ended with %v", err)
	}
	if n := strings.Count(string(all), "HTTP/1.1 "); n != 1 {
		t.Fatalf("%d answers on one connection:\n%s", n, all)
	}
}

// A client that sends its header or its body byte by byte is closed, while others are served.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	r := start(t, func(o *web.Options) { o.ReadTimeout = time.Second })
	for name, tc := range map[string]struct {
		begin string
	}{
		"header": {"GET /livez HTTP/1.1\r\nHost: x\r\n"},
		"body":   {"POST /api/v1/sample HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, begun := r.dial(t), time.Now()
			if _, err := io.WriteString(conn, tc.begin); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			dripped := make(chan struct{})
			go func() {
				defer close(dripped)
				drip(ctx, conn)
			}()
			answered, _ := io.ReadAll(conn)
			took := time.Since(begun)
			cancel()
			<-dripped
			if took > 10*time.Second {
				t.Errorf("closed after %s", took)
			}
			if name == "body" && !strings.HasPrefix(string(answered), "HTTP/1.1 408 ") {
				t.Errorf("a slow body was answered %.300s", answered)
			}
		})
	}
	t.Run("others", func(t *testing.T) {
		t.Parallel()
		if a := r.do(http.MethodGet, "/livez", ""); a.status != http.StatusOK {
			t.Errorf("answered %d", a.status)
		}
	})
}

// drip writes a byte now and then until it cannot.
func drip(ctx context.Context, conn net.Conn) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := conn.Write([]byte("a")); err != nil {
				return
			}
		}
	}
}

const livez = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"

func get(t *testing.T, conn net.Conn) int {
	t.Helper()
	if _, err := io.WriteString(conn, livez); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// A wait may be longer than the time-outs for reading and for usual requests.
func TestWaitOutlivesTheUsualTime(t *testing.T) {
	t.Parallel()
	r := start(t, func(o *web.Options) { o.RequestTimeout = 200 * time.Millisecond })
	begun := time.Now()
	a := r.do(http.MethodGet, "/api/v1/wait", "", "Prefer", "respond-async, wait=1")
	if a.status != http.StatusOK || time.Since(begun) < time.Second {
		t.Errorf("answered %d %s after %s", a.status, a.body, time.Since(begun))
	}
	if got := a.header.Get("Preference-Applied"); got != "wait=1" {
		t.Errorf("Preference-Applied is %q", got)
	}
}

// Who has taken all places for waits is answered without waiting.
func TestWaitsOfOneCustomerAreBounded(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	ask := func(sub string) answer {
		return r.do(http.MethodGet, "/api/v1/wait/in", "", "Prefer", "wait=20", "Authorization", r.token(sub, false))
	}
	first := make(chan answer)
	go func() { first <- ask("ann") }()
	<-r.waiting
	if a := ask("ann"); a.status != http.StatusOK || a.body != "0\n" || a.header.Get("Preference-Applied") != "" {
		t.Errorf("a second wait of a customer: %d %s", a.status, a.body)
	}
	second := make(chan answer)
	go func() { second <- ask("bob") }()
	<-r.waiting
	r.next <- struct{}{}
	r.next <- struct{}{}
	for _, waited := range []chan answer{first, second} {
		if a := <-waited; a.body != "20\n" || a.header.Get("Preference-Applied") != "wait=20" {
			t.Errorf("answered %d %s", a.status, a.body)
		}
	}
	go func() { first <- ask("ann") }()
	<-r.waiting // its place was given back
	r.next <- struct{}{}
	<-first
}

func TestRequestsEndInTime(t *testing.T) {
	t.Parallel()
	r := start(t, func(o *web.Options) { o.RequestTimeout = 50 * time.Millisecond })
	a := r.do(http.MethodGet, "/api/v1/stuck", "")
	if p := a.problem(t); a.status != http.StatusServiceUnavailable || p.Type != "/problems/unavailable" || a.header.Get("Retry-After") != "1" {
		t.Errorf("answered %d %s", a.status, a.body)
	}
}

// A client that leaves ends its request.
func TestClientLeaves(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	conn := r.dial(t)
	if _, err := io.WriteString(conn, "GET /api/v1/stuck HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 20*time.Second, func() bool { return r.running() == 1 })
	conn.Close()
	testkit.Eventually(t, 20*time.Second, func() bool { return r.running() == 0 })
}

// A client that asks for much and never reads is cut off.
func TestClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	r := start(t, func(o *web.Options) { o.RequestTimeout = 100 * time.Millisecond })
	conn := r.dial(t)
	const often = 40 // times 1.7 MB is more than any socket's buffer
	if _, err := io.WriteString(conn, strings.Repeat("GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n", often)); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 20*time.Second, func() bool { return r.running() == 1 })
	testkit.Eventually(t, 20*time.Second, func() bool { return r.running() == 0 })
}
