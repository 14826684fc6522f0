package order

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// lookInterval is how often the orders that are waited for are looked up at once, in case another instance keeps their view.
const lookInterval = 250 * time.Millisecond

// waiters lets requests wait for the ends of their orders without asking for each of them.
type waiters struct {
	mu      sync.Mutex
	waiting map[uuid.UUID][]chan struct{}
}

func newWaiters() *waiters { return &waiters{waiting: make(map[uuid.UUID][]chan struct{})} }

// add gives a channel that is closed when the order has ended, and a function that stops waiting.
func (w *waiters) add(id uuid.UUID) (<-chan struct{}, func()) {
	ch := make(chan struct{})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting[id] = append(w.waiting[id], ch)
	return ch, func() { w.remove(id, ch) }
}

func (w *waiters) remove(id uuid.UUID, ch chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := slices.DeleteFunc(w.waiting[id], func(c chan struct{}) bool { return c == ch })
	if len(left) == 0 {
		delete(w.waiting, id)
		return
	}
	w.waiting[id] = left
}

// ended wakes who waits for these orders.
func (w *waiters) ended(ids []uuid.UUID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		for _, ch := range w.waiting[id] {
			close(ch)
		}
		delete(w.waiting, id)
	}
}

func (w *waiters) ids() []uuid.UUID {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.waiting))
}

// look asks the read model which of the orders that are waited for have ended: one query for all of them.
func (w *waiters) look(ctx context.Context, db *postgres.DB) error {
	ids := w.ids()
	if len(ids) == 0 {
		return nil
	}
	ended, err := endedAmong(ctx, db, ids)
	if err != nil {
		return err
	}
	w.ended(ended)
	return nil
}

// Await gives the order once it has ended, or as it is when wait is over.
func (s *Service) Await(ctx context.Context, customer string, id uuid.UUID, wait time.Duration) (View, error) {
	ended, stop := s.wait.add(id)
	defer stop()
	view, err := s.Get(ctx, customer, id)
	if err != nil || wait <= 0 || view.Status.Final() {
		return view, err
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
	case <-ctx.Done():
		return view, nil
	}
	return s.Get(ctx, customer, id)
}
