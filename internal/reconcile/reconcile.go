// Package reconcile compares Redis with Postgres, which is the truth, and repairs Redis. Three pairs must agree:
//
//	stock  stock:{p}               with the row of inventory.stock       stock.go
//	holds  reserved:{p}, holds:{p} with cart lines and orders under way  holds.go
//	cart   cart:{c}                with the rows of the cart             carts.go
//
// A run walks over pages of products and carts, several at once: those that changed since the last run, up to a cooldown ago,
// or all of them. It reads Redis first and the rows after it, so the rows are at least as new; what differs is set right by a script that
// does so only if nothing has changed since it was read, and otherwise is left for the next run. What may be under way (a
// line being put into a cart, an order being made) is looked at a second time after the cooldown before it is judged.
// A product that Redis does not have is no difference: it is loaded when somebody asks for it.
//
// The SQL that reads the modules' tables is part of the comparisons: to compare two places is what this package is for. It
// writes to no table but its own three in schema shared.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/lease"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
)

// Scope is what a run compares.
type Scope string

// Delta compares what changed since the last run, Full everything.
const (
	Delta Scope = "delta"
	Full  Scope = "full"
)

// Loader puts products on the shelf that are damaged there, as the rows say, unless they change meanwhile.
type Loader interface {
	Load(ctx context.Context, productIDs []uuid.UUID) error
}

// Options of a reconciler. All but the three times are required.
type Options struct {
	Postgres *postgres.DB
	Redis    redis.UniversalClient
	Scripts  *redisx.Scripts // those of package lua
	Keys     redisx.Keys
	Shelf    Loader
	Lease    *lease.Lease
	Log      *slog.Logger
	Registry prometheus.Registerer
	Owners   bool // limits for customers are on: whose a hold is stands behind it

	Interval time.Duration // between scheduled runs; 5 min when 0
	Cooldown time.Duration // what changed within it is not judged; 10 s when 0
	Patience time.Duration // how long a run waits for another to end; 5 s when 0
}

// Reconciler runs comparisons, one at a time over all instances.
type Reconciler struct {
	Options
	metrics *metrics
	whole   atomic.Bool // everything was compared since the start of this instance and the last doubt
	// When what a run has left, since it was too young, can be judged; nil if there is no hurry.
	young atomic.Pointer[time.Time]
}

// New makes a reconciler. Run is its schedule.
func New(o Options) *Reconciler {
	if o.Interval == 0 {
		o.Interval = 5 * time.Minute
	}
	if o.Cooldown == 0 {
		o.Cooldown = 10 * time.Second
	}
	if o.Patience == 0 {
		o.Patience = 5 * time.Second
	}
	return &Reconciler{Options: o, metrics: newMetrics(o.Registry)}
}

// epochInterval is how often at least Redis is asked whether it still has its memory.
const epochInterval = time.Second

// Run compares everything at the start, then what changed, every interval, and everything again soon when Redis has lost its
// memory, somebody has a doubt, or a run has failed: after a crash it is what finds the holds that nobody wrote down. Any
// number of instances may run: one of them compares, and what one has compared no other does soon after.
func (r *Reconciler) Run(ctx context.Context) error {
	last := r.turn(ctx)
	tick, look := time.NewTicker(r.Interval), time.NewTicker(min(epochInterval, r.Interval))
	defer tick.Stop()
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-look.C:
			lost, err := r.memoryLost(ctx)
			if err != nil || !lost && !last.failed && !r.due(last) {
				continue
			}
		}
		last = r.turn(ctx)
	}
}

// turn is how a scheduled run went, and until when no mere doubt starts another: what takes long is not done all the time.
type turn struct {
	failed bool
	rest   time.Time
}

func (r *Reconciler) turn(ctx context.Context) turn {
	began := time.Now()
	p, ok := r.scheduled(ctx)
	if p != nil {
		began = began.Add(p.waited)
	}
	return turn{failed: !ok, rest: time.Now().Add(5 * time.Since(began))}
}

// due says whether a run is to be made before its time.
func (r *Reconciler) due(last turn) bool {
	return !r.whole.Load() && time.Now().After(last.rest) || r.grownUp()
}

// grownUp says whether what was too young for the last run can be judged now, and should be soon.
func (r *Reconciler) grownUp() bool {
	at := r.young.Load()
	return at != nil && time.Now().After(*at)
}

// Doubt says that Redis and Postgres may have parted where nobody could tidy up, as when one of them was gone in the middle
// of a request: everything is compared again soon. It never blocks.
func (r *Reconciler) Doubt() { r.whole.Store(false) }

// scheduled makes a run unless another instance is at it or has just been. It says whether that went well.
func (r *Reconciler) scheduled(ctx context.Context) (*pass, bool) {
	var p *pass
	err := r.alone(ctx, leaseName, r.Interval/10, func(ctx context.Context, term lease.Term) error {
		if r.whole.Load() && !r.grownUp() {
			fresh, err := r.ranWithin(ctx, r.Interval/2)
			if err != nil {
				return err
			}
			lost, err := r.memoryLost(ctx)
			if err != nil || fresh && !lost {
				return err
			}
		}
		var err error
		p, err = r.compare(ctx, term, Delta, false)
		return err
	})
	if err == nil || ctx.Err() != nil || fault.Is(err, fault.Conflict) {
		return p, true
	}
	r.Log.WarnContext(ctx, "reconciliation failed", "error", err, "unavailable", postgres.Unavailable(err) || redisx.Unavailable(err))
	return p, false
}

// Reconcile compares now and gives what it found. A dry run changes nothing but the list of runs. When another run does not
// end in time it is refused with conflict.
func (r *Reconciler) Reconcile(ctx context.Context, scope Scope, dryRun bool) (Run, error) {
	if scope != Delta && scope != Full {
		return Run{}, fault.New(fault.InvalidRequest, "the scope is delta or full")
	}
	var run Run
	err := r.alone(ctx, leaseName, r.Patience, func(ctx context.Context, term lease.Term) error {
		p, err := r.compare(ctx, term, scope, dryRun)
		if p != nil {
			run = p.run
		}
		return err
	})
	return run, err
}

const leaseName = "reconcile"

// alone does work under a lease, if it can be had within the patience.
func (r *Reconciler) alone(ctx context.Context, name string, patience time.Duration, work func(context.Context, lease.Term) error) error {
	if err := r.Postgres.Ping(ctx); err != nil { // a lease that cannot be asked for is no conflict
		return fmt.Errorf("reconcile: %w", err)
	}
	contending, stop := context.WithCancel(ctx)
	defer stop()
	timer := time.AfterFunc(patience, stop)
	defer timer.Stop()
	busy := fault.New(fault.Conflict, "Another reconciliation is running.")
	busy.RetryAfter = r.Cooldown
	err := error(busy)
	lost := r.Lease.Run(contending, name, func(ctx context.Context, term lease.Term) error {
		defer stop() // one turn is enough
		if timer.Stop() {
			err = work(ctx, term)
		}
		return err
	})
	return errors.Join(ctx.Err(), err, lost)
}
