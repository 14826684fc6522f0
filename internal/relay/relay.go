// Package relay brings facts from the outbox to the broker, each at least once, and never says of one that it is out before
// the broker has confirmed it. There are two ways with the same promises: cdc reads the outbox from the write-ahead log by
// logical replication, in commit order; polling asks for new rows.
//
// Both keep one mark, in shared.relay_mark: every row of a transaction below it has been published. It only grows. Beside
// it is a snapshot of which everything visible has been published. Who takes over, in either mode, goes on from
// both, so that a lost slot or a change of mode loses nothing.
package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/lease"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// Mode is how new rows are found.
type Mode string

// The modes.
const (
	CDC     Mode = "cdc"
	Polling Mode = "polling"
)

// Options of a relay.
type Options struct {
	Mode         Mode
	DB           *postgres.DB
	PostgresURL  string // of the same database; replication connections go there directly, past any pooler
	Publisher    *broker.Publisher
	Topology     broker.Topology
	Lease        *lease.Lease  // elects the leader of polling; gives the reader of the log its term
	PollInterval time.Duration // 0 means 5 s
	PackFacts    int           // most facts in one message; 0 means 100

	// SenderTimeout is after how long Postgres and the reader of the log give each other up that say nothing, so that another
	// instance takes over; 0 means 10 s.
	SenderTimeout time.Duration

	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: not registered

	// Quarantine takes rows that no broker would take, so that they do not stand in the way of the others. It must be
	// repeatable.
	Quarantine func(context.Context, []broker.DeadLetter) error
}

// Relay is one instance's relay. Any number of instances may run: one reads, the others stand by.
type Relay struct {
	Options
	slot      string       // name of the replication slot, and of the channel for notifications
	leading   atomic.Bool  // this instance reads
	heldSince atomic.Int64 // since when facts are held back that are not visible yet, in Unix nanoseconds, or 0
	ring      chan struct{}
	wake      chan struct{}
	m         *metrics

	markEvery time.Duration // see there; tests shorten it
}

// New makes a relay. It does nothing until Run.
func New(o Options) (*Relay, error) {
	if o.Mode != CDC && o.Mode != Polling {
		return nil, fmt.Errorf("relay: unknown mode %q", o.Mode)
	}
	if o.Quarantine == nil {
		return nil, errors.New("relay: nowhere to put what cannot be published")
	}
	if o.PollInterval <= 0 {
		o.PollInterval = 5 * time.Second
	}
	if o.PackFacts <= 0 {
		o.PackFacts = packFacts
	}
	if o.SenderTimeout <= 0 {
		o.SenderTimeout = 10 * time.Second
	}
	o.Log = o.Log.With("part", "relay", "mode", string(o.Mode))
	return &Relay{
		Options: o, slot: slotName(o.Topology.Namespace), m: newMetrics(o.Registerer),
		ring: make(chan struct{}, 1), wake: make(chan struct{}, 1), markEvery: markEvery,
	}, nil
}

// Run relays until ctx ends.
func (r *Relay) Run(ctx context.Context) error {
	run := r.runCDC
	if r.Mode == Polling {
		run = r.runPolling
	}
	return together(ctx, run, r.measure)
}

// Ring says that a transaction with facts was committed. It returns at once, and means something in polling mode only.
func (r *Relay) Ring() {
	if r.Mode == Polling {
		poke(r.ring)
	}
}

// poke leaves a token in a channel that has room for one.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// lead tells who looks that this instance reads, and returns how to say that it does no more.
func (r *Relay) lead(term lease.Term) (stop func()) {
	r.leading.Store(true)
	r.m.leading.Set(1)
	r.Log.Info("relay reads the outbox", "term", term.Number)
	return func() {
		r.leading.Store(false)
		r.m.leading.Set(0)
	}
}
