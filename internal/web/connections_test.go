package web_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/web"
)

// dialFrom connects from a loopback address.
func (r *testServer) dialFrom(t *testing.T, from string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
	conn, err := d.DialContext(t.Context(), "tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// occupy begins a request that goes on for as long as the connection is there.
func occupy(t *testing.T, conn net.Conn) {
	t.Helper()
	if _, err := io.WriteString(conn, "GET /api/v1/stream HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
}

// closed waits until the other side has closed a connection, and wants nothing to come before.
func closed(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d bytes: %v", n, err)
	}
}

// Idle connections keep nobody out: the one that has been idle for longest makes room, also one that never said anything.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	t.Parallel()
	r := start(t, func(o *web.Options) { o.MaxConns, o.MaxConnsOfOne = 2, 2 })
	silent, idle := r.dial(t), r.dial(t)
	if got := get(t, idle); got != http.StatusOK {
		t.Fatalf("answered %d", got)
	}
	third := r.dialFrom(t, "127.0.0.2")
	if got := get(t, third); got != http.StatusOK {
		t.Fatalf("answered %d", got)
	}
	closed(t, silent)
	if got := get(t, r.dialFrom(t, "127.0.0.3")); got != http.StatusOK {
		t.Fatalf("answered %d", got)
	}
	closed(t, idle)
}

// Connections with a request under way are left alone: a further one waits until one of them has ended.
func TestBusyConnectionsStay(t *testing.T) {
	t.Parallel()
	r := start(t, func(o *web.Options) { o.MaxConns, o.MaxConnsOfOne = 2, 2 })
	first, second := r.dial(t), r.dial(t)
	occupy(t, first)
	occupy(t, second)
	third := r.dialFrom(t, "127.0.0.2")
	if _, err := io.WriteString(third, livez); err != nil {
		t.Fatal(err)
	}
	if err := third.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := third.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a third connection beside two: %d, %v", n, err)
	}
	first.Close()
	if err := third.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := third.Read(make([]byte, 1)); n != 1 {
		t.Fatalf("the third connection was not served after the first had gone: %v", err)
	}
}

// One address has its share, and no more: a further connection of it takes the place of an idle one of its own, or none.
func TestOneAddressHasItsShare(t *testing.T) {
	t.Parallel()
	r := start(t, func(o *web.Options) {
		o.MaxConns, o.MaxConnsOfOne = 4, 2
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.8/32")}
	})
	other := r.dialFrom(t, "127.0.0.2")
	if got := get(t, other); got != http.StatusOK {
		t.Fatalf("answered %d", got)
	}
	first, second := r.dial(t), r.dial(t)
	occupy(t, first)
	occupy(t, second)
	closed(t, r.dial(t))
	if got := get(t, other); got != http.StatusOK {
		t.Fatalf("another address: answered %d", got)
	}
	second.Close()
	for range 3 {
		proxied := r.dialFrom(t, "127.0.0.8")
		if got := get(t, proxied); got != http.StatusOK {
			t.Fatalf("a trusted proxy: answered %d", got)
		}
	}
}

// X-Forwarded-For is believed of trusted proxies only, as far as they have written it.
func TestClientAddress(t *testing.T) {
	t.Parallel()
	r := start(t, func(o *web.Options) {
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.8/32"), netip.MustParsePrefix("10.1.0.0/16")}
	})
	for from, want := range map[string]string{"127.0.0.8": "203.0.113.9", "127.0.0.2": "127.0.0.2"} {
		conn := r.dialFrom(t, from)
		if _, err := io.WriteString(conn, "GET /api/v1/address HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.1, 203.0.113.9, 10.1.2.3\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || string(body) != want {
			t.Errorf("from %s: %s, %v, want %s", from, body, err, want)
		}
	}
}
