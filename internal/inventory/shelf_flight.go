package inventory

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
)

// A product is loaded by one flight of one instance at a time, whoever asks for it. A flight is nobody's request: it goes on when
// those who wait for it have gone.

// loadState is what is known of a product that was not loaded.
type loadState int

const (
	isLoading loadState = iota
	isLoaded
	isUnknown // the books do not have it
)

// flight brings one product to the shelf, or waits until another instance has.
type flight struct {
	done  chan struct{} // closed when it is over
	long  chan struct{} // closed as soon as it is known to take several pages
	state loadState     // these two are to be read when it is over
	err   error

	isLong bool // long is closed; guarded by the mutex of all
}

// flights are those of one instance.
type flights struct {
	mu     sync.Mutex
	by     map[uuid.UUID]*flight
	places chan struct{} // bounds how many read rows at once
}

const (
	// flying is how many batches of products one instance loads at once; what it has in memory of their holds is bounded by that.
	flying = 4
	// together is how many products one batch has at most.
	together = 100
)

func newFlights() *flights {
	return &flights{by: map[uuid.UUID]*flight{}, places: make(chan struct{}, flying)}
}

// join gives the flights of products, and begins those that are not under way.
func (f *flights) join(products []uuid.UUID, begin func(fresh []uuid.UUID)) []*flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	joined := make([]*flight, len(products))
	var fresh []uuid.UUID
	for i, p := range products {
		if f.by[p] == nil {
			f.by[p] = &flight{done: make(chan struct{}), long: make(chan struct{})}
			fresh = append(fresh, p)
		}
		joined[i] = f.by[p]
	}
	if len(fresh) > 0 {
		begin(fresh)
	}
	return joined
}

// isLong says that a product is known to take several pages.
func (f *flights) isLong(p uuid.UUID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if one := f.by[p]; one != nil && !one.isLong {
		one.isLong = true
		close(one.long)
	}
}

// land ends the flight of a product, if it is still under way.
func (f *flights) land(p uuid.UUID, state loadState, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if one := f.by[p]; one != nil {
		delete(f.by, p)
		one.state, one.err = state, err
		close(one.done)
	}
}

// patience is how long one request waits for loads in all. It begins with the first. What is known to take several pages is waited
// for less: else hundreds would wait at the same moment, and all be served in the next.
type patience struct {
	most, forLong time.Duration
	ends, over    time.Time // of the two
}

func (p *patience) begin() {
	if p.ends.IsZero() {
		now := time.Now()
		p.ends, p.over = now.Add(p.most), now.Add(p.forLong)
	}
}

// wait waits for a flight, and says whether it is over.
func (p *patience) wait(ctx context.Context, f *flight) bool {
	p.begin()
	select {
	case <-f.done: // also when there is no time left
		return true
	default:
	}
	all, some := time.NewTimer(time.Until(p.ends)), time.NewTimer(time.Until(p.over))
	defer all.Stop()
	defer some.Stop()
	select {
	case <-f.done:
		return true
	case <-ctx.Done():
		return false
	case <-all.C:
		return false
	case <-some.C:
	}
	select { // it is waited for only while it may be a quick one
	case <-f.done:
		return true
	case <-ctx.Done():
	case <-all.C:
	case <-f.long:
	}
	return false
}

// load has products loaded, and says what has become of each by the end of the patience. The error is the first of a flight.
func (s *Shelf) load(ctx context.Context, products []uuid.UUID, wait *patience) (map[uuid.UUID]loadState, error) {
	joined := s.flights.join(products, func(fresh []uuid.UUID) { s.take(ctx, fresh) })
	states := make(map[uuid.UUID]loadState, len(products))
	for i, f := range joined {
		states[products[i]] = isLoading
		if !wait.wait(ctx, f) {
			continue
		}
		if f.err != nil {
			return nil, f.err
		}
		states[products[i]] = f.state
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return states, nil
}

// Load puts products on the shelf that are not there, or are damaged there, as the books and the owners of holds have them. It waits
// for all of them.
func (s *Shelf) Load(ctx context.Context, productIDs []uuid.UUID) error {
	for _, f := range s.flights.join(productIDs, func(fresh []uuid.UUID) { s.take(ctx, fresh) }) {
		select {
		case <-f.done:
			if f.err != nil {
				return f.err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
