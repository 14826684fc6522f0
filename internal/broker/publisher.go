package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
)

const (
	// window bounds the messages that are on their way unconfirmed, and windowBytes their bodies.
	window      = 1024
	windowBytes = 16 << 20
)

// Publisher brings messages into queues. It keeps what is unconfirmed and sends it again, in order, over a fresh connection
// after every kind of failure: a lost connection, a missing confirm, a refusal, a return. So a message may be in its queue
// more than once, and is never lost while the publisher runs. Safe for use by many goroutines.
type Publisher struct {
	cfg     Config
	log     *slog.Logger
	queue   chan *Receipt
	stopped chan struct{}
	state   atomic.Pointer[string] // why it is not ready; nil: it is

	unconfirmed atomic.Int64 // sent and not settled

	backlog []*Receipt // to be sent before anything from queue; owned by Run
}

// NewPublisher makes a publisher. It does nothing until Run.
func NewPublisher(cfg Config) *Publisher {
	p := &Publisher{
		cfg: cfg, log: cfg.Log.With("part", "publisher"),
		queue: make(chan *Receipt, 64), stopped: make(chan struct{}),
	}
	p.notReady("not connected yet")
	return p
}

// Run publishes until ctx ends. It can be called once.
func (p *Publisher) Run(ctx context.Context) error {
	defer close(p.stopped)
	defer p.notReady("stopped")
	lost := p.cfg.metrics().reconnects.WithLabelValues("publisher").Inc
	supervise(ctx, p.log, lost, p.session)
	return nil
}

// Send takes a message over and returns once there is room for it on the way: it waits while the window is full or there is
// no connection. It fails with ErrUnpublishable, ErrStopped or the error of ctx.
func (p *Publisher) Send(ctx context.Context, m Message) (*Receipt, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	r := &Receipt{message: m, done: make(chan struct{}), stopped: p.stopped}
	select {
	case p.queue <- r:
		return r, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.stopped:
		return nil, ErrStopped
	}
}

// Publish sends messages and waits until all are confirmed.
func (p *Publisher) Publish(ctx context.Context, messages ...Message) error {
	receipts := make([]*Receipt, 0, len(messages))
	for _, m := range messages {
		r, err := p.Send(ctx, m)
		if err != nil {
			return fmt.Errorf("publish %s to %s: %w", m.ID, m.Key, err)
		}
		receipts = append(receipts, r)
	}
	for _, r := range receipts {
		if err := r.Wait(ctx); err != nil {
			return fmt.Errorf("publish %s to %s: %w", r.message.ID, r.message.Key, err)
		}
	}
	return nil
}

// Ready says why messages cannot be published right now, or nil.
func (p *Publisher) Ready() error {
	if why := p.state.Load(); why != nil {
		return errors.New("RabbitMQ: " + *why)
	}
	return nil
}

func (p *Publisher) notReady(why string) { p.state.Store(&why) }
func (p *Publisher) ready()              { p.state.Store(nil) }

// PublisherStatus is how a publisher is doing.
type PublisherStatus struct {
	Ready       bool   `json:"ready"`
	Why         string `json:"why,omitempty"` // it is not ready
	Unconfirmed int64  `json:"unconfirmed"`   // messages sent and not yet confirmed
	Window      int64  `json:"window"`        // most that may be
}

// Status says how it is doing.
func (p *Publisher) Status() PublisherStatus {
	s := PublisherStatus{Ready: true, Unconfirmed: p.unconfirmed.Load(), Window: window}
	if why := p.state.Load(); why != nil {
		s.Ready, s.Why = false, *why
	}
	return s
}
