package broker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	dialTimeout  = 5 * time.Second
	handshake    = 10 * time.Second // of a node that is frozen: another may be well
	writeTimeout = 5 * time.Second
	heartbeat    = 5 * time.Second
	silence      = 3 * heartbeat   // a broker that has sent not even a heartbeat for so long is dead
	wholeTime    = 5 * time.Second // for a request that is finished though the one who made it is to stop
)

// deadlineConn gives every read and write a deadline. The library has none on writes, so that a frozen broker would block
// it for ever, and sets the one on reads only after the first frame that follows the handshake.
type deadlineConn struct{ net.Conn }

// Write fails when the broker takes nothing for writeTimeout.
func (c deadlineConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// Read fails when the broker says nothing for the time of three heartbeats.
func (c deadlineConn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(silence)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

// SetDeadline keeps a deadline where the library would clear it while a read is waiting.
func (c deadlineConn) SetDeadline(t time.Time) error {
	if t.IsZero() {
		t = time.Now().Add(silence)
	}
	return c.Conn.SetDeadline(t)
}

// link is one connection, to be thrown away at its first failure.
type link struct {
	*amqp.Connection
	raw  net.Conn
	busy chan struct{} // has a token while a request is under way that must not be cut short
}

// dial connects to any of the nodes that the URL names, by chance, so that connections spread over them; name is shown in RabbitMQ's
// list of connections. It returns soon after ctx ends.
func dial(ctx context.Context, cfg Config, name string) (*link, error) {
	urls := strings.Split(cfg.URL, ",")
	rand.Shuffle(len(urls), func(i, j int) { urls[i], urls[j] = urls[j], urls[i] })
	var errs []error
	for _, url := range urls {
		l, err := dialNode(ctx, cfg, strings.TrimSpace(url), name)
		if err == nil {
			return l, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// dialNode connects to one node.
func dialNode(ctx context.Context, cfg Config, url, name string) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout+handshake)
	defer cancel()
	l := link{busy: make(chan struct{}, 1)}
	var unwatch func() bool
	conn, err := amqp.DialConfig(url, amqp.Config{
		Heartbeat:  heartbeat,
		Properties: amqp.Table{"connection_name": cfg.Topology.Namespace + " " + name},
		Dial: func(network, address string) (net.Conn, error) {
			raw, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			l.raw = raw
			unwatch = context.AfterFunc(ctx, func() { _ = raw.Close() })
			return deadlineConn{raw}, nil
		},
	})
	if unwatch != nil {
		unwatch()
	}
	if err != nil {
		if l.raw != nil {
			_ = l.raw.Close()
		}
		return nil, fmt.Errorf("connect to RabbitMQ: %w", err)
	}
	l.Connection = conn
	return &l, nil
}

// during cuts the connection when ctx ends while fn runs: the library's requests know no context.
func (l *link) during(ctx context.Context, fn func() error) error {
	unwatch := context.AfterFunc(ctx, l.leave)
	defer unwatch()
	if err := fn(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return err
	}
	return nil
}

// whole makes a request that during does not cut short, unless its answer takes longer than wholeTime. RabbitMQ carries on with what
// it was asked to do when the connection is gone, and then nobody knows when it has ended: who deletes a queue whose declaring is under
// way can break RabbitMQ 3.10's dead lettering for good, and with it every queue that is declared from then on, of anybody.
func (l *link) whole(request func() error) error {
	l.busy <- struct{}{}
	defer func() { <-l.busy }()
	return request()
}

// leave cuts the connection once no request is under way that has to be whole.
func (l *link) leave() {
	select {
	case l.busy <- struct{}{}:
		defer func() { <-l.busy }()
	case <-time.After(wholeTime):
	}
	l.cut()
}

// cut ends the connection without a word; whatever waits on it fails.
func (l *link) cut() { _ = l.raw.Close() }

// close says goodbye, briefly, and ends the connection whatever the broker does.
func (l *link) close() {
	last := time.AfterFunc(2*time.Second, l.cut)
	defer last.Stop()
	_ = l.CloseDeadline(time.Now().Add(time.Second))
	l.cut()
}
