package web

import (
	"container/list"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// freshFor is how long a connection that has sent nothing yet is not taken for an idle one.
const freshFor = time.Second

// connections bounds how many connections a listener has, in all and from one address, so that idle ones keep nobody out: a new
// connection that finds no place takes that of the one that has been idle for longest, from its own address if that one has too
// many. One that finds none idle is closed if its address has too many, and else waits until a place is free.
type connections struct {
	net.Listener
	max, perAddress int
	trusted         []netip.Prefix // proxies, which speak for many: no bound for one address
	closed          prometheus.Counter

	mu    sync.Mutex
	freed sync.Cond // a place is free, or a connection has become idle
	open  map[*connection]struct{}
	from  map[netip.Addr]int
	idle  *list.List // of *connection, idle for longest first
	done  bool
}

// connection is one that was accepted.
type connection struct {
	net.Conn
	of    *connections
	addr  netip.Addr    // not valid: counts for no address
	since time.Time     // accepted
	place *list.Element // in idle; nil while a request runs
}

func newConnections(l net.Listener, limit, perAddress int, trusted []netip.Prefix, closed prometheus.Counter) *connections {
	s := &connections{
		Listener: l, max: limit, perAddress: perAddress, trusted: trusted, closed: closed,
		open: make(map[*connection]struct{}), from: make(map[netip.Addr]int), idle: list.New(),
	}
	s.freed.L = &s.mu
	return s
}

// Accept implements net.Listener.
func (s *connections) Accept() (net.Conn, error) {
	for {
		accepted, err := s.Listener.Accept()
		if err != nil {
			return nil, err
		}
		conn := &connection{Conn: accepted, of: s, addr: s.addressOf(accepted), since: time.Now()}
		if s.admit(conn) {
			return conn, nil
		}
		s.closed.Inc()
		_ = accepted.Close()
	}
}

// Close implements net.Listener.
func (s *connections) Close() error {
	s.mu.Lock()
	s.done = true
	s.freed.Broadcast()
	s.mu.Unlock()
	return s.Listener.Close()
}

// addressOf returns whom a connection counts for: nobody if it is a trusted proxy's.
func (s *connections) addressOf(conn net.Conn) netip.Addr {
	tcp, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	addr := tcp.AddrPort().Addr().Unmap()
	if slices.ContainsFunc(s.trusted, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return netip.Addr{}
	}
	return addr
}

// admit finds a place for a new connection. It reports false if it must be closed.
func (s *connections) admit(conn *connection) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if conn.addr.IsValid() && s.from[conn.addr] >= s.perAddress && !s.evict(func(c *connection) bool { return c.addr == conn.addr }) {
		return false
	}
	for len(s.open) >= s.max && !s.done && !s.evict(func(*connection) bool { return true }) {
		// A fresh connection becomes an idle one by the clock alone.
		wake := time.AfterFunc(freshFor, s.freed.Broadcast)
		s.freed.Wait()
		wake.Stop()
	}
	s.open[conn] = struct{}{}
	if conn.addr.IsValid() {
		s.from[conn.addr]++
	}
	conn.place = s.idle.PushBack(conn) // until its request begins
	return true
}

// evict closes the connection that has been idle for longest of those meant, if there is one.
func (s *connections) evict(meant func(*connection) bool) bool {
	for e := s.idle.Front(); e != nil; e = e.Next() {
		if c := e.Value.(*connection); meant(c) && time.Since(c.since) >= freshFor {
			s.forget(c)
			s.closed.Inc()
			_ = c.Conn.Close()
			return true
		}
	}
	return false
}

// forget gives a connection's place back.
func (s *connections) forget(c *connection) {
	if _, there := s.open[c]; !there {
		return
	}
	delete(s.open, c)
	if c.addr.IsValid() {
		if s.from[c.addr]--; s.from[c.addr] == 0 {
			delete(s.from, c.addr)
		}
	}
	if c.place != nil {
		s.idle.Remove(c.place)
		c.place = nil
	}
	s.freed.Signal()
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.of.mu.Lock()
	c.of.forget(c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// stateChanged is for http.Server.ConnState: it tells idle connections from those with a request.
func stateChanged(conn net.Conn, state http.ConnState) {
	c, ok := conn.(*connection)
	if !ok {
		return
	}
	s := c.of
	s.mu.Lock()
	defer s.mu.Unlock()
	switch _, there := s.open[c]; {
	case !there:
	case state == http.StateIdle && c.place == nil:
		c.place = s.idle.PushBack(c)
		s.freed.Signal()
	case state != http.StateIdle && state != http.StateNew && c.place != nil:
		s.idle.Remove(c.place)
		c.place = nil
	}
}
