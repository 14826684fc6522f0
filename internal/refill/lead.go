package refill

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/lease"
)

const (
	lookEvery    = time.Second     // for who has asked
	depthTimeout = 5 * time.Second // for the broker's answer
	markLag      = 2 * time.Second // between the moment of a mark of the relay and its being noted
)

// lead looks for what is missing until the term is over. What fails is tried again at the next look.
func (r *Refiller) lead(ctx context.Context, term lease.Term) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var last time.Time
	for {
		all := time.Since(last) >= r.After/3
		if all {
			last = time.Now()
		}
		if err := r.look(ctx, term, all); err != nil && ctx.Err() == nil {
			r.Log.WarnContext(ctx, "what modules have not heard cannot be looked for", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// look sees to the modules that have asked, or to all.
func (r *Refiller) look(ctx context.Context, term lease.Term, all bool) error {
	if r.Publisher.Ready() != nil {
		return nil // it says so itself
	}
	states, err := r.states(ctx)
	if err != nil {
		return err
	}
	if states, err = r.afterPutBack(ctx, states); err != nil {
		return err
	}
	asked := false
	for _, s := range states {
		asked = asked || s.ready()
	}
	if !asked && !all {
		return nil
	}
	empty, err := r.emptyQueues(ctx)
	if err != nil {
		return err
	}
	// In the order of their marks, so that what one has read serves the next.
	slices.SortFunc(states, func(a, b state) int { return cmp.Compare(a.Mark, b.Mark) })
	var seen pages
	for _, s := range states {
		if all || s.ready() {
			if err := r.refill(ctx, term, s, empty[s.Module], &seen); err != nil {
				return fmt.Errorf("module %s: %w", s.Module, err)
			}
		}
	}
	return nil
}

// emptyQueues asks the broker for which modules nothing waits in any queue.
func (r *Refiller) emptyQueues(ctx context.Context) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, depthTimeout)
	defer cancel()
	depths, err := broker.Depths(ctx, r.Broker)
	if err != nil {
		return nil, err
	}
	queues := make(map[string]bool, len(depths))
	for _, d := range depths {
		queues[d.Queue] = d.Messages == 0
	}
	empty := make(map[string]bool, len(r.Broker.Topology.Queues))
	for name := range r.Broker.Topology.Queues {
		module := r.Broker.Topology.Module(name)
		before, known := empty[module]
		empty[module] = queues[r.Broker.Topology.Queue(name)] && (before || !known)
	}
	return empty, nil
}

// state is what is known of a module, with the clock and the relay's mark of the same moment.
type state struct {
	Module     string
	Mark       uint64     // transactions below have been heard in full
	AskedAt    *time.Time // nil: nobody asks
	RefilledAt *time.Time // nil: never
	Now        time.Time
	Relayed    uint64    // transactions below have been published
	RelayedAt  time.Time // when that was noted
	Idle       bool      // nothing waits for the relay
	Published  string    // snapshot of which everything visible has been published, too
}

// ready says that somebody asks, and that everything said until then has been published.
func (s state) ready() bool {
	return s.AskedAt != nil && (s.Idle || s.RelayedAt.After(s.AskedAt.Add(markLag)))
}

// Whether anything waits is asked of the last transaction there is, once, by the end of an index: not of all that are above the mark,
// which is planned as a scan of everything that is kept.
const statesSQL = `
	SELECT m.module, coalesce(f.mark, '0'), f.asked_at, f.refilled_at, clock_timestamp(), k.mark, k.at,
		coalesce((SELECT xid FROM shared.outbox ORDER BY xid DESC LIMIT 1) < greatest(k.mark, pg_snapshot_xmax(k.snapshot)), true)
		AND NOT EXISTS (SELECT FROM pg_snapshot_xip(k.snapshot) AS open(xid) JOIN shared.outbox USING (xid) WHERE xid >= k.mark),
		k.snapshot::text
	FROM unnest($1::text[]) AS m(module) LEFT JOIN shared.refills f USING (module), shared.relay_mark k ORDER BY m.module`

func (r *Refiller) states(ctx context.Context) ([]state, error) {
	rows, err := r.DB.Query(ctx, statesSQL, r.modules())
	if err != nil {
		return nil, fmt.Errorf("read the state of modules: %w", err)
	}
	states, err := pgx.CollectRows(rows, pgx.RowToStructByPos[state])
	if err != nil {
		return nil, fmt.Errorf("read the state of modules: %w", err)
	}
	return states, nil
}

// later reports whether a moment is later than now by more than clocks that are read one after the other can be: then Postgres'
// clock was put back since.
func (s state) later(at *time.Time) bool { return at != nil && at.After(s.Now.Add(markLag)) }

// afterPutBack has what was asked for and refilled before Postgres' clock was put back be so now, that nobody waits until its time
// has come again.
func (r *Refiller) afterPutBack(ctx context.Context, states []state) ([]state, error) {
	if !slices.ContainsFunc(states, func(s state) bool { return s.later(s.AskedAt) || s.later(s.RefilledAt) }) {
		return states, nil
	}
	_, err := r.DB.Exec(ctx, `
		UPDATE shared.refills SET asked_at = least(asked_at, clock_timestamp()), refilled_at = least(refilled_at, clock_timestamp())
		WHERE module = ANY ($1)`, r.modules())
	if err != nil {
		return nil, fmt.Errorf("take over that the clock was put back: %w", err)
	}
	return r.states(ctx)
}

// refill looks through what a module must have heard, from its mark on, and publishes again what it has lost.
func (r *Refiller) refill(ctx context.Context, term lease.Term, s state, empty bool, seen *pages) error {
	at := scan{xid: s.Mark, mark: s.Relayed}
	published := 0
	for more := true; more; {
		var gaps []gap
		var err error
		if gaps, more, err = r.collect(ctx, s, &at, seen); err != nil {
			return err
		}
		lost := s.lost(gaps, at, empty, r.After)
		if err := r.publish(ctx, s.Module, lost); err != nil {
			return err
		}
		published += len(lost)
		more = more && (len(lost) > 0 || len(gaps) == 0)
	}
	if err := r.note(ctx, term, s, at.mark, published); err != nil {
		return err
	}
	if published > 0 {
		r.facts.WithLabelValues(s.Module).Add(float64(published))
		r.Log.WarnContext(ctx, "published again what a module had not heard", "module", s.Module, "facts", published, "asked", s.ready(), "queue_empty", empty)
	}
	return nil
}

// lost gives those of a module's gaps that its queue does not hold any more.
func (s state) lost(gaps []gap, at scan, empty bool, after time.Duration) []gap {
	if s.ready() {
		return gaps
	}
	since := time.Time{} // of the last refill: its copies may be on their way
	if s.RefilledAt != nil {
		since = s.RefilledAt.Add(after)
	}
	if empty && s.Now.After(since) {
		return gaps
	}
	var lost []gap
	for _, g := range gaps {
		if at.heard.After(since) && at.heard.After(g.at.Add(after)) {
			lost = append(lost, g)
		}
	}
	return lost
}

// note writes down how far the module has heard everything, and what was published. The ask that was seen is answered.
func (r *Refiller) note(ctx context.Context, term lease.Term, s state, mark uint64, published int) error {
	if mark == s.Mark && published == 0 && !s.ready() {
		return nil
	}
	return r.DB.InTx(ctx, func(tx pgx.Tx) error {
		if err := lease.Fence(ctx, tx, term); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			INSERT INTO shared.refills AS f (module, mark, facts, refilled_at) VALUES ($1, $2::xid8, $3::bigint, CASE WHEN $3::bigint > 0 THEN clock_timestamp() END)
			ON CONFLICT (module) DO UPDATE SET mark = greatest(f.mark, excluded.mark), facts = f.facts + excluded.facts,
				refilled_at = coalesce(excluded.refilled_at, f.refilled_at),
				asked_at = CASE WHEN $4 AND f.asked_at = $5 THEN NULL ELSE f.asked_at END`,
			s.Module, mark, published, s.ready(), s.AskedAt)
		if err != nil {
			return fmt.Errorf("note how far it has heard: %w", err)
		}
		return nil
	})
}
