package inventory

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/lua"
)

const (
	firstLook = 10 * time.Millisecond  // after which a load of another instance is looked at again, then after twice that, and so on
	lastLook  = 100 * time.Millisecond // at most
	roundTime = 5 * time.Second        // for reading and writing one page
)

// loading is a product that a flight is to bring to the shelf.
type loading struct {
	reading
	token string    // of the claim that Redis has of this load; "": another loads it
	began time.Time // of the claim
	done  bool
	sent  bool // all of the last page
	stale bool // a newer version of the stock is known than the one that was read
}

// take has products loaded, in batches. Nobody's request is behind it any more: it ends when all are loaded, or cannot be.
func (s *Shelf) take(ctx context.Context, products []uuid.UUID) {
	ctx = context.WithoutCancel(ctx)
	for batch := range slices.Chunk(products, together) {
		go s.fly(ctx, batch)
	}
}

// fly loads what nobody else loads, page by page, and looks from time to time whether others have loaded the rest, or have lost it.
func (s *Shelf) fly(ctx context.Context, products []uuid.UUID) {
	open := make([]*loading, len(products))
	for i, p := range products {
		open[i] = &loading{reading: reading{product: p}}
	}
	pause, look := firstLook, time.Time{}
	for len(open) > 0 {
		var err error
		if time.Now().After(look) {
			if err = s.open(ctx, open); err == nil {
				look, pause = time.Now().Add(pause), min(2*pause, lastLook)
			}
		}
		mine := slices.DeleteFunc(slices.Clone(open), func(l *loading) bool { return l.token == "" || l.done })
		switch {
		case err != nil:
		case len(mine) > 0:
			err = s.nextPage(ctx, mine)
		case slices.ContainsFunc(open, func(l *loading) bool { return !l.done }):
			time.Sleep(time.Until(look))
		}
		if err != nil {
			s.giveUp(ctx, open, err)
			return
		}
		open = slices.DeleteFunc(open, func(l *loading) bool { return l.done })
	}
}

// giveUp ends the flights of products that cannot be loaded now. Redis keeps what is written, and who asks next goes on from there.
func (s *Shelf) giveUp(ctx context.Context, open []*loading, err error) {
	s.log.WarnContext(ctx, "products cannot be loaded into Redis", "products", len(open), "error", err)
	for _, l := range open {
		if !l.done {
			s.loads.failed(l)
			s.flights.land(l.product, isLoading, err)
		}
	}
}

// open claims those products that nobody is loading.
func (s *Shelf) open(ctx context.Context, all []*loading) error {
	var calls []redisx.Call
	var asked []*loading
	var tokens []string
	for _, l := range all {
		if l.token == "" && !l.done {
			asked, tokens = append(asked, l), append(tokens, rand.Text()[:16])
			calls = append(calls, redisx.Call{Script: lua.Open, Keys: s.keys.Product(l.product), Args: []any{tokens[len(tokens)-1]}})
		}
	}
	replies, err := s.scripts.Run(ctx, calls)
	if err != nil {
		return err
	}
	for i, l := range asked {
		answer, err := listOf(replies[i])
		if err != nil {
			return fmt.Errorf("open product %s: %w", l.product, err)
		}
		at, _ := answer[2].(string)
		switch number(answer, 0) {
		case yes:
			s.landed(l, isLoaded)
			continue
		case no:
			l.token, l.began = tokens[i], time.Now()
			if l.at, err = placeOf(at); err != nil {
				return fmt.Errorf("open product %s: %w", l.product, err)
			}
			s.loads.began(l)
		}
		if at != "" {
			s.flights.isLong(l.product)
		}
	}
	return nil
}

// nextPage reads the next holds of products, and writes them; with the last holds of a product, its stock.
func (s *Shelf) nextPage(ctx context.Context, mine []*loading) error {
	s.flights.places <- struct{}{}
	defer func() { <-s.flights.places }()
	ctx, cancel := context.WithTimeout(ctx, roundTime)
	defer cancel()
	list := make([]*reading, len(mine))
	for i, l := range mine {
		list[i] = &l.reading
	}
	if err := s.read(ctx, list); err != nil {
		return err
	}
	if err := s.write(ctx, mine); err != nil {
		return err
	}
	for _, l := range mine {
		if l.token != "" && !l.done && !l.complete {
			s.flights.isLong(l.product)
		}
	}
	return nil
}

// landed ends the flight of a product.
func (s *Shelf) landed(l *loading, state loadState) {
	l.done = true
	s.loads.ended(l)
	s.flights.land(l.product, state, nil)
}
