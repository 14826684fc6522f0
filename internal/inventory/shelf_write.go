package inventory

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/lua"
)

// Whoever else asks Redis for something waits for a page, so it is small: no more than this, some 2 ms of Redis' time, goes in one
// packet.
const (
	entriesPerPage = 100
	callsPerPage   = 25
)

// rest is how long the loader of many holds lets others go first after each page. It is what keeps a load of 50,000 from taking a
// processor for itself, and still within five seconds.
const rest = 3 * time.Millisecond

// insist is for how long a page is sent again to a Redis that does not answer in time. It is shorter than the claim, which another
// takes over then.
const insist = 1500 * time.Millisecond

// portion is one call of the script load.
type portion struct {
	of    *loading
	holds []LiveHold
	last  bool
}

// write sends what was read of products. Those that are not the caller's any more lose their token, to be opened again.
func (s *Shelf) write(ctx context.Context, all []*loading) error {
	for _, l := range all {
		l.sent = false
		if l.complete && l.stock == nil {
			if err := s.forget(ctx, l); err != nil {
				return err
			}
		}
	}
	for {
		var packet []portion
		entries := 0
		for _, l := range all {
			next, ok := l.portion()
			if !ok {
				continue
			}
			if len(packet) == callsPerPage || len(packet) > 0 && entries+len(next.holds) > entriesPerPage {
				break
			}
			packet, entries = append(packet, next), entries+len(next.holds)
		}
		if len(packet) == 0 {
			return s.finish(ctx, all)
		}
		if err := s.send(ctx, packet); err != nil {
			return err
		}
		if packet[0].of.was != (place{}) { // not the first rows of it
			time.Sleep(rest)
		}
	}
}

// portion gives what is to be sent next of a page, if anything is left.
func (l *loading) portion() (portion, bool) {
	if l.done || l.token == "" || l.sent {
		return portion{}, false
	}
	n := min(len(l.holds), entriesPerPage)
	return portion{of: l, holds: l.holds[:n], last: n == len(l.holds)}, true
}

// send sends a packet until it is answered.
func (s *Shelf) send(ctx context.Context, packet []portion) error {
	var calls []redisx.Call
	for _, p := range packet {
		calls = append(calls, s.loadCall(p))
	}
	for _, p := range packet {
		if soonest := soonest(p.holds); !soonest.IsZero() {
			product := p.of.product
			calls = append(calls, redisx.Command("ZADD", s.keys.Due(product), "LT", soonest.UnixMilli(), product.String()))
		}
	}
	replies, err := s.insist(ctx, calls)
	if err != nil {
		return err
	}
	for i, p := range packet {
		answer, err := listOf(replies[i])
		if err != nil {
			return fmt.Errorf("load product %s: %w", p.of.product, err)
		}
		s.written(p, number(answer, 0))
	}
	return nil
}

// insist runs calls that it does no harm to run twice.
func (s *Shelf) insist(ctx context.Context, calls []redisx.Call) ([]redisx.Reply, error) {
	for began := time.Now(); ; {
		replies, err := s.pages.Run(ctx, calls)
		if !redisx.Unavailable(err) || ctx.Err() != nil || time.Since(began) > insist {
			return replies, err
		}
		time.Sleep(firstLook)
	}
}

// Answers of the script load.
const (
	pageWritten = 0
	pageLast    = 1
	pageRefused = 2
	pageStale   = 3
)

// written takes note of what a portion was answered.
func (s *Shelf) written(p portion, code int64) {
	l := p.of
	l.holds, l.sent = l.holds[len(p.holds):], p.last
	switch code {
	case pageLast:
		s.landed(l, isLoaded)
	case pageRefused: // it stood still for too long, or Redis lost its memory
		s.loads.lost(l)
		l.reading, l.token = reading{product: l.product}, ""
	case pageStale:
		l.stale = true
	}
}

func (s *Shelf) loadCall(p portion) redisx.Call {
	l := p.of
	args := []any{l.token, l.was.String(), "", ""}
	if p.last {
		args[1] = l.at.String()
		if l.complete {
			args[2], args[3] = l.stock.available, l.stock.version
		}
	}
	for _, h := range p.holds {
		args = append(args, h.HoldID.String(), h.Quantity, s.Limits.dated(h))
	}
	return redisx.Call{Script: lua.Load, Keys: s.keys.Product(l.product), Args: args}
}

// finish reads the stock again of those products of which a newer version has been heard of, and finishes their loads with it.
func (s *Shelf) finish(ctx context.Context, all []*loading) error {
	for {
		var stale []*loading
		var ids []uuid.UUID
		for _, l := range all {
			if l.stale && !l.done && l.token != "" {
				stale, ids = append(stale, l), append(ids, l.product)
			}
		}
		if len(stale) == 0 {
			return nil
		}
		stock, _, err := readBooks(ctx, s.db, ids, nil)
		if err != nil {
			return err
		}
		for _, l := range stale {
			if row := stock[l.product]; row != nil {
				l.stock = row
			}
			l.stale = false
			if err := s.send(ctx, []portion{{of: l, last: true}}); err != nil {
				return err
			}
		}
	}
}

// forget takes what a load has left of a product that the books do not have.
func (s *Shelf) forget(ctx context.Context, l *loading) error {
	keys := s.keys.Product(l.product)
	_, err := s.insist(ctx, []redisx.Call{redisx.Command("UNLINK", keys[0], keys[5])})
	if err == nil {
		s.landed(l, isUnknown)
	}
	return err
}

// soonest is the first expiry of holds, or zero.
func soonest(holds []LiveHold) time.Time {
	var first time.Time
	for _, h := range holds {
		if first.IsZero() || h.ExpiresAt.Before(first) {
			first = h.ExpiresAt
		}
	}
	return first
}
