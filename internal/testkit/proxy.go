package testkit

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy stands between a client and a server, on a loopback address of its own, and can take the network away.
type Proxy struct {
	target string
	listen net.Listener
	wg     sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond // when deaf, mute or closed have
	deaf    bool       // nothing passes from clients to the server
	mute    bool       // nothing passes from the server to clients
	closed  bool
	conns   map[net.Conn]struct{}

	passed atomic.Int64 // bytes from the server to clients
	rate   atomic.Int64 // bytes a second that the server may say on one connection; 0: any number
}

// NewProxy makes a way to an address that works until the test cuts it. It is gone when the test has ended.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen for a proxy: %v", err)
	}
	p := &Proxy{target: target, listen: l, conns: map[net.Conn]struct{}{}}
	p.changed = sync.NewCond(&p.mu)
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Addr is where clients reach the server.
func (p *Proxy) Addr() string { return p.listen.Addr().String() }

// Passed is how many bytes the server has been heard to say.
func (p *Proxy) Passed() int64 { return p.passed.Load() }

// Cut makes a black hole: connections stay open, new ones are taken, and nothing passes either way.
func (p *Proxy) Cut() { p.set(true, true) }

// Mute swallows what the server says: clients are heard, and get no answer.
func (p *Proxy) Mute() { p.set(false, true) }

// Throttle lets the server say no more than so many bytes a second on each connection; 0: as many as it likes.
func (p *Proxy) Throttle(rate int) { p.rate.Store(int64(rate)) }

// Heal lets everything through again, in the order in which it was said.
func (p *Proxy) Heal() { p.set(false, false) }

// Drop ends all connections that there are.
func (p *Proxy) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *Proxy) set(deaf, mute bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf, p.mute = deaf, mute
	p.changed.Broadcast()
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.changed.Broadcast()
	p.mu.Unlock()
	_ = p.listen.Close()
	p.Drop()
	p.wg.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listen.Accept()
		if err != nil {
			return // closed
		}
		server, err := net.DialTimeout("tcp", p.target, 5*time.Second)
		if err != nil {
			_ = client.Close()
			continue
		}
		if !p.keep(client, server) {
			return
		}
		p.wg.Go(func() { p.carry(server, client, func() bool { return p.deaf }, nil) })
		p.wg.Go(func() { p.carry(client, server, func() bool { return p.mute }, &p.passed) })
	}
}

// keep remembers a pair of connections, or closes it when the proxy is closed.
func (p *Proxy) keep(pair ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range pair {
		p.conns[c] = struct{}{}
		if p.closed {
			_ = c.Close()
		}
	}
	return !p.closed
}

// carry passes on what is said in one direction, and ends both connections with the first of them.
func (p *Proxy) carry(to, from net.Conn, held func() bool, count *atomic.Int64) {
	defer func() {
		_, _ = to.Close(), from.Close()
		p.mu.Lock()
		delete(p.conns, to)
		p.mu.Unlock()
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && p.wait(held) != nil {
			return
		}
		if _, failed := to.Write(buf[:n]); failed != nil {
			return
		}
		if count != nil {
			count.Add(int64(n))
			p.slowly(n)
		}
		if err != nil {
			return
		}
	}
}

// slowly takes the time that bytes take at the rate.
func (p *Proxy) slowly(n int) {
	if rate := p.rate.Load(); rate > 0 {
		time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
	}
}

// wait waits while a direction is held.
func (p *Proxy) wait(held func() bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for held() && !p.closed {
		p.changed.Wait()
	}
	if p.closed {
		return errors.New("proxy closed")
	}
	return nil
}
