//go:build drill

package app_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const idleOnes = 5000

// Five thousand connections that have asked once and then idle, from one address or from as many as there are connections, keep nobody
// out and hold nobody up: neither others' requests, on connections that are kept or new ones, nor the probes of both listeners.
func TestDrillIdleConnections(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = free.Close()
	s := open(t)
	s.product("MUG", 1275, 10)
	s.cfg.AdminAddr = free.Addr().String()
	m := s.processes()
	for name, from := range map[string]func(int) net.IP{
		"one address":    func(int) net.IP { return net.IPv4(127, 0, 0, 2) },
		"many addresses": func(i int) net.IP { return net.IPv4(127, 1, byte(i/250), byte(1+i%250)) },
	} {
		before := m.measure()
		held := idle(t, strings.TrimPrefix(m.url, "http://"), from)
		while := m.measure()
		open := 0
		for _, conn := range held {
			if conn.SetReadDeadline(time.Now().Add(time.Millisecond)); !shut(conn) {
				open++
			}
			_ = conn.Close()
		}
		for _, w := range slices.Sorted(maps.Keys(before)) {
			b, n := before[w], while[w]
			t.Logf("%s, %d of %d still open: %-28s p50 %6s -> %6s, p99 %6s -> %6s, %.2f times", name, open, len(held), w,
				b.at(50), n.at(50), b.at(99), n.at(99), float64(n.at(99))/float64(b.at(99)))
			if n.at(99) > 2*b.at(99)+time.Millisecond {
				t.Errorf("%s: the p99 of %s was %s and is %s", name, w, b.at(99), n.at(99))
			}
		}
	}
}

// shut reports whether the other side has closed a connection of which a read ends at once.
func shut(conn net.Conn) bool {
	_, err := conn.Read(make([]byte, 1))
	timeout, is := err.(net.Error)
	return !is || !timeout.Timeout()
}

// idle opens connections that ask once and then say nothing.
func idle(t *testing.T, addr string, from func(int) net.IP) []net.Conn {
	t.Helper()
	held := make([]net.Conn, idleOnes)
	var all sync.WaitGroup
	slots := make(chan struct{}, 50)
	for i := range held {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from(i)}, Timeout: 20 * time.Second}
			conn, err := d.DialContext(t.Context(), "tcp", addr)
			if err != nil {
				t.Errorf("connection %d: %v", i, err)
				return
			}
			held[i] = conn
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"); err == nil {
				if res, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil { // else it was closed: its address has too many
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
				}
			}
			_ = conn.SetDeadline(time.Time{})
		})
	}
	all.Wait()
	return slices.DeleteFunc(held, func(c net.Conn) bool { return c == nil })
}

// times are how long requests took, sorted.
type times []time.Duration

func (t times) at(percent int) time.Duration {
	return t[len(t)*percent/100].Round(10 * time.Microsecond)
}

// measure makes requests in turn, two at a time, and says how long each kind took.
func (m *mortal) measure() map[string]times {
	m.t.Helper()
	kept := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 10}, Timeout: 20 * time.Second}
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	defer kept.CloseIdleConnections()
	admin := "http://" + m.cfg.AdminAddr
	asked := map[string]func() (*http.Response, error){}
	for _, path := range []string{"/api/v1/products", "/livez", "/readyz"} {
		asked["kept, "+path] = func() (*http.Response, error) { return kept.Get(m.url + path) }
		asked["new, "+path] = func() (*http.Response, error) { return fresh.Get(m.url + path) }
		if path != "/api/v1/products" {
			asked["new, admin "+path] = func() (*http.Response, error) { return fresh.Get(admin + path) }
		}
	}
	took := map[string]times{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for range 400 {
				for name, ask := range asked {
					began := time.Now()
					res, err := ask()
					if err == nil {
						_, err = io.Copy(io.Discard, res.Body)
						_ = res.Body.Close()
						if err == nil && res.StatusCode != http.StatusOK {
							err = fmt.Errorf("answered %d", res.StatusCode)
						}
					}
					if err != nil {
						m.t.Errorf("%s: %v", name, err)
					}
					mu.Lock()
					took[name] = append(took[name], time.Since(began))
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	for _, t := range took {
		slices.Sort(t)
	}
	return took
}
