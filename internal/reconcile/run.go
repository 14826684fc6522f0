package reconcile

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/lease"
)

// Action is what was done about a difference.
type Action string

// The actions. What was left had changed while it was looked at.
const (
	Repaired    Action = "repaired"
	Left        Action = "left"
	WouldRepair Action = "would_repair"
)

// The pairs of places that must agree.
const (
	pairStock = "stock"
	pairHolds = "holds"
	pairCart  = "cart"
)

// Difference is one thing on which Redis and Postgres did not agree.
type Difference struct {
	Pair     string `json:"pair" enums:"stock,holds,cart"`
	Key      string `json:"key" example:"stock:{0190…}"` // the key in Redis, without the namespace
	Redis    string `json:"redis"`                       // what was there
	Postgres string `json:"postgres"`                    // what ought to be there
	Action   Action `json:"action" enums:"repaired,left,would_repair" swaggertype:"string"`
}

// Run is one comparison and what came of it.
type Run struct {
	ID          uuid.UUID    `json:"id" format:"uuid"`
	Scope       Scope        `json:"scope" enums:"delta,full" swaggertype:"string"`
	Everything  bool         `json:"everything"` // all was compared, also by a delta that had nothing to begin from
	DryRun      bool         `json:"dry_run"`
	StartedAt   time.Time    `json:"started_at"`
	EndedAt     *time.Time   `json:"ended_at" extensions:"x-nullable"` // null while it runs, and for one that died
	Seconds     float64      `json:"seconds"`
	Compared    int64        `json:"compared"` // products once for each pair, and carts
	Drifted     int64        `json:"drifted"`
	Repaired    int64        `json:"repaired"`
	Differences []Difference `json:"differences"` // the first 10,000, in a list of runs 100; the counts are of all
	Error       string       `json:"error,omitempty"`
}

// answered is how many differences of a run its answer lists. All of them are stored.
const answered = 10_000

// window is what a run looks at: rows that changed after from and up to to, by Postgres' clock, or all.
type window struct {
	all      bool
	from, to time.Time
}

// pass is a run under way.
type pass struct {
	*Reconciler
	term     lease.Term
	run      Run
	window   window
	began    time.Time
	mu       sync.Mutex // over the run's counts, its differences and the doubts, since pages are compared at once
	doubts   doubts
	known    *known        // of a run over everything
	settled  bool          // the doubts are looked at for the second time
	restless bool          // some of them could not be judged then either
	waited   time.Duration // in which nothing was done, for doubts to settle
}

// compare makes a run and stores it, whatever comes of it.
func (r *Reconciler) compare(ctx context.Context, term lease.Term, scope Scope, dryRun bool) (*pass, error) {
	p := &pass{Reconciler: r, term: term, began: time.Now(), doubts: doubts{}}
	p.run = Run{ID: clock.NewID(), Scope: scope, DryRun: dryRun, Differences: []Difference{}}
	lost, err := r.memoryLost(ctx)
	if err != nil {
		return nil, err
	}
	whole := r.whole.Swap(true) // a doubt that comes from here on is for the next run
	if err = p.start(ctx, scope == Full || lost || !whole); err == nil {
		err = p.end(ctx, p.compareAll(ctx))
	}
	if err != nil || dryRun {
		if !whole {
			r.Doubt()
		}
	} else {
		r.left(p, lost || !whole)
	}
	r.metrics.ran(p.run)
	if err != nil {
		return p, err
	}
	r.Log.InfoContext(ctx, "reconciled", "run", p.run.ID, "scope", scope, "everything", p.window.all, "dry_run", dryRun,
		"compared", p.run.Compared, "drifted", p.run.Drifted, "repaired", p.run.Repaired, "seconds", p.run.Seconds)
	return p, nil
}

// left notes what a run could not judge or repair. What changed meanwhile is a doubt: its rows may be old ones, or there are none, so
// that nothing leads to it that changes from now on. What had changed within the cooldown is compared as soon as it is old enough where
// something may be lost, and not an interval later; a doubt has it compared as well, in its turn.
func (r *Reconciler) left(p *pass, hurry bool) {
	r.young.Store(nil)
	switch {
	case p.run.Drifted > p.run.Repaired || p.restless:
		r.Doubt()
	case hurry:
		grown := p.began.Add(r.Cooldown)
		r.young.Store(&grown)
	}
}

func (p *pass) compareAll(ctx context.Context) error {
	if p.window.all {
		p.known = newKnown()
	}
	if err := p.compareProducts(ctx); err != nil {
		return fmt.Errorf("compare products: %w", err)
	}
	if err := p.compareCarts(ctx); err != nil {
		return fmt.Errorf("compare carts: %w", err)
	}
	if p.window.all {
		if err := p.compareOrphans(ctx); err != nil {
			return fmt.Errorf("compare keys: %w", err)
		}
	}
	if !p.window.all {
		if err := p.compareCheckouts(ctx); err != nil {
			return fmt.Errorf("compare what checkouts have marked: %w", err)
		}
	}
	if err := p.settleDoubts(ctx); err != nil {
		return fmt.Errorf("look again: %w", err)
	}
	if err := p.forgetCheckouts(ctx); err != nil {
		return fmt.Errorf("forget checkouts: %w", err)
	}
	return nil
}

// compared counts what was looked at.
func (p *pass) compared(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.run.Compared += int64(n)
}

// differ notes differences with what was done about them: counted, measured, logged and stored.
func (p *pass) differ(ctx context.Context, found []Difference) error {
	for _, d := range found {
		p.metrics.differed(d)
		if d.Action == Repaired || !p.run.DryRun {
			p.Log.WarnContext(ctx, "Redis and Postgres differ", "run", p.run.ID, "pair", d.Pair, "key", d.Key, "redis", d.Redis,
				"postgres", d.Postgres, "action", d.Action)
		}
	}
	return storeDifferences(ctx, p.Postgres, p.run.ID, p.enter(found), found)
}

// enter counts differences, keeps the first of them for the answer, and gives how many there were before.
func (p *pass) enter(found []Difference) (before int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before = p.run.Drifted
	p.run.Drifted += int64(len(found))
	for _, d := range found {
		if d.Action == Repaired {
			p.run.Repaired++
		}
	}
	p.run.Differences = append(p.run.Differences, found[:min(len(found), answered-len(p.run.Differences))]...)
	return before
}

// action gives the word for a repair that a script answered, or that was not tried.
func (p *pass) action(done bool) Action {
	switch {
	case p.run.DryRun:
		return WouldRepair
	case done:
		return Repaired
	default:
		return Left
	}
}
