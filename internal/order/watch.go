package order

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// lookInterval is how often the orders that are watched are looked up at once, in case another instance keeps their view;
// lookPage is how many are read by one query.
const (
	lookInterval = 250 * time.Millisecond
	lookPage     = 500
)

// Watch is somebody who wants to hear of an order. News gives the newest state that was not taken yet, never an old one.
type Watch struct {
	News chan View // of one place

	id      uuid.UUID
	endOnly bool  // nothing but the end is news
	seen    int64 // the version that was last told
	of      *watchers
}

// Stop ends a watch.
func (w *Watch) Stop() { w.of.remove(w) }

// watchers lets any number of requests watch orders: one part of the process reads the read model for all of them, in one query.
type watchers struct {
	mu      sync.Mutex
	watched map[uuid.UUID][]*Watch
	changed map[uuid.UUID]bool // of those that are watched, by this instance, and not looked up yet
	bell    chan struct{}      // rung when there are changed ones
}

func newWatchers() *watchers {
	return &watchers{watched: make(map[uuid.UUID][]*Watch), changed: make(map[uuid.UUID]bool), bell: make(chan struct{}, 1)}
}

func (w *watchers) add(id uuid.UUID, endOnly bool) *Watch {
	watch := &Watch{News: make(chan View, 1), id: id, endOnly: endOnly, of: w}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watched[id] = append(w.watched[id], watch)
	return watch
}

func (w *watchers) remove(watch *Watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	left := slices.DeleteFunc(w.watched[watch.id], func(other *Watch) bool { return other == watch })
	if len(left) == 0 {
		delete(w.watched, watch.id)
		delete(w.changed, watch.id)
		return
	}
	w.watched[watch.id] = left
}

// tell says that this instance has written the views of orders. It never blocks.
func (w *watchers) tell(ids ...uuid.UUID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		if len(w.watched[id]) > 0 {
			w.changed[id] = true
		}
	}
	if len(w.changed) > 0 {
		select {
		case w.bell <- struct{}{}:
		default:
		}
	}
}

// look tells the watchers what is new of their orders: of all, or of those that this instance has changed.
func (w *watchers) look(ctx context.Context, db *postgres.DB, all bool) error {
	for asked := range slices.Chunk(w.ask(all), lookPage) {
		views, err := newsOf(ctx, db, asked)
		if err != nil {
			return err
		}
		w.publish(views)
	}
	return nil
}

// question asks for an order at a version above seen, or only once it has ended.
type question struct {
	id      uuid.UUID
	seen    int64
	endOnly bool
}

// ask gives what the watchers want to know, a question for each order.
func (w *watchers) ask(all bool) []question {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := maps.Keys(w.changed)
	if all {
		ids = maps.Keys(w.watched)
	}
	var asked []question
	for id := range ids {
		q := question{id: id, seen: w.watched[id][0].seen, endOnly: true}
		for _, watch := range w.watched[id] {
			q.seen, q.endOnly = min(q.seen, watch.seen), q.endOnly && watch.endOnly
		}
		asked = append(asked, q)
	}
	clear(w.changed)
	return asked
}

// publish hands views to those who watch them.
func (w *watchers) publish(views []View) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, view := range views {
		for _, watch := range w.watched[view.ID] {
			watch.take(view)
		}
	}
}

// take puts a view in the place of one that nobody has taken. Only publish calls it, so there is room after that.
func (w *Watch) take(view View) {
	if view.Version <= w.seen || w.endOnly && !view.Status.Final() {
		return
	}
	w.seen = view.Version
	select {
	case <-w.News:
	default:
	}
	w.News <- view
}

// newsOf reads the views that answer questions: one query.
func newsOf(ctx context.Context, db *postgres.DB, asked []question) ([]View, error) {
	ids, seen, endOnly := make([]uuid.UUID, len(asked)), make([]int64, len(asked)), make([]bool, len(asked))
	for i, q := range asked {
		ids[i], seen[i], endOnly[i] = q.id, q.seen, q.endOnly
	}
	rows, err := db.Query(ctx, `
		SELECT `+viewColumns+` FROM orders.view JOIN unnest($1::uuid[], $2::bigint[], $3::bool[]) AS asked(id, seen, end_only) USING (id)
		WHERE version > seen AND (ended_at IS NOT NULL OR NOT end_only)`, ids, seen, endOnly)
	if err != nil {
		return nil, fmt.Errorf("news of %d orders: %w", len(asked), err)
	}
	views, err := pgx.CollectRows(rows, scanView)
	if err != nil {
		return nil, fmt.Errorf("news of %d orders: %w", len(asked), err)
	}
	return views, nil
}

// Watch begins to watch an order, until it is stopped. It does not ask whose order it is: Get does.
func (s *Service) Watch(id uuid.UUID) *Watch { return s.watchers.add(id, false) }

// Await gives the order once it has ended, or as it is when wait is over.
func (s *Service) Await(ctx context.Context, customer string, id uuid.UUID, wait time.Duration) (View, error) {
	watch := s.watchers.add(id, true)
	defer watch.Stop()
	view, err := s.Get(ctx, customer, id)
	if err != nil || wait <= 0 || view.Status.Final() {
		return view, err
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case view = <-watch.News:
		return view, nil
	case <-timer.C:
		return s.Get(ctx, customer, id)
	case <-ctx.Done():
		return view, nil
	}
}
