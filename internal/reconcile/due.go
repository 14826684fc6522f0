package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
)

// dueCalls tell the sweeper's index when the first of the entries that are set expires. One that is then not set does no
// harm there.
func (p *pass) dueCalls(repairs []*repair) []redisx.Call {
	var calls []redisx.Call
	for _, r := range repairs {
		if len(r.set) > 0 {
			first := slices.MinFunc(r.set, func(a, b entry) int { return cmp.Compare(a.expires, b.expires) })
			calls = append(calls, redisx.Command("ZADD", p.Keys.Due(r.shelf.id), "LT", first.expires, r.shelf.id.String()))
		}
	}
	return calls
}

// index tells the sweeper's index of all products that have holds, as often as everything is compared: a part of it that was
// lost is whole again then. It is no pair: what is not in it is only cleaned later.
func (p *pass) index(ctx context.Context, shelves []shelf) error {
	if !p.window.all || p.run.DryRun {
		return nil
	}
	var calls []redisx.Call
	for _, s := range shelves {
		if first := s.firstExpiry(); first < math.MaxInt64 {
			calls = append(calls, redisx.Command("ZADD", p.Keys.Due(s.id), "LT", first, s.id.String()))
		}
	}
	replies, err := p.Scripts.Run(ctx, calls)
	for _, r := range replies {
		if !wrongType(r.Err) { // which the sweeper sees too
			err = errors.Join(err, r.Err)
		}
	}
	if err != nil {
		return fmt.Errorf("index %d products: %w", len(calls), err)
	}
	return nil
}

// firstExpiry is when the first of the entries ends, in ms; the end of time when there is none.
func (s shelf) firstExpiry() int64 {
	first := int64(math.MaxInt64)
	for _, value := range s.entries {
		if h, readable := parse(value); readable {
			first = min(first, h.expires)
		}
	}
	return first
}
