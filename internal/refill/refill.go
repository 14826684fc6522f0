// Package refill publishes again what a module should have heard and has not, because its queue was purged or deleted, or lost
// with its node. What was said is in the outbox, what was heard in the inbox, and the difference is what is missing.
//
// A fact that merely waits in a healthy queue is missing from the inbox, too. So nothing is published again before it is known
// to be lost: the relay has published it (it lies below the relay's mark or in its snapshot), it is of some age, it is no open dead letter, and
// the queue is empty or has moved past it: the module has heard facts that were said well after it. A queue that had to be made
// anew, and an operator, ask for more: everything that is unheard at that moment. What is published once too often is absorbed
// by the inbox.
package refill

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/lease"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/run"
)

// LeaseName is the lease of the one instance that refills.
const LeaseName = "refill"

// Options of a refiller.
type Options struct {
	DB         *postgres.DB
	Broker     broker.Config // whose topology says who hears what
	Publisher  *broker.Publisher
	Lease      *lease.Lease
	After      time.Duration // how old a fact is before it is looked for; 0 means 15 s
	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: not registered

	// Quarantine takes rows of the outbox that are no events: no module could hear them. It must be repeatable.
	Quarantine func(context.Context, []broker.DeadLetter) error

	// Foreign gives the routing keys that a module hears in other versions of this program only. nil: there are none. A leader of
	// an older version must not take what it does not know for what nobody has to hear.
	Foreign func(ctx context.Context, module string) ([]string, error)
}

// Refiller looks for what is missing. Any number may run: one of them works.
type Refiller struct {
	Options
	facts *prometheus.CounterVec // module

	mu   sync.Mutex
	anew map[string]bool // modules whose queues were made anew, not yet written down
	bell chan struct{}   // holds a token when there are any
}

// New makes a refiller. It does nothing until Run.
func New(o Options) *Refiller {
	if o.After <= 0 {
		o.After = 15 * time.Second
	}
	o.Log = o.Log.With("part", "refill")
	r := &Refiller{Options: o, anew: map[string]bool{}, bell: make(chan struct{}, 1), facts: prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "holdfast", Subsystem: "broker", Name: "refilled_total", Help: "Facts that were published again because a module had not heard them.",
	}, []string{"module"})}
	if o.Registerer != nil {
		o.Registerer.MustRegister(r.facts)
	}
	return r
}

// Run works until ctx ends.
func (r *Refiller) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.Lease.Run(ctx, LeaseName, r.lead) })
	group.Go(func() error { return r.keepAsking(ctx) })
	return group.Wait()
}

// Anew says that a queue was not there and had to be made: what was in it is gone. It returns at once.
func (r *Refiller) Anew(queue string) {
	name, ours := strings.CutPrefix(queue, r.Broker.Topology.Queue(""))
	if !ours {
		return
	}
	module := r.Broker.Topology.Module(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.anew[module] = true
	select {
	case r.bell <- struct{}{}:
	default:
	}
}

// keepAsking writes down whose queues were made anew, for whoever leads.
func (r *Refiller) keepAsking(ctx context.Context) error {
	for {
		select {
		case <-r.bell:
		case <-ctx.Done():
			return nil
		}
		for modules := r.takeAnew(); len(modules) > 0; {
			_, err := r.Ask(ctx, modules...)
			if err == nil {
				r.tell(ctx, modules)
				break
			}
			r.Log.WarnContext(ctx, "refill cannot be asked for yet", "modules", modules, "error", err)
			if run.Pause(ctx, time.Second) != nil {
				return nil
			}
		}
	}
}

// tell says in the log that queues were not there. It is no trouble where nothing was heard: a first start makes them all. Only what was
// heard last is looked at, since of a module that has heard nothing there is nothing to be found in all the others' facts.
func (r *Refiller) tell(ctx context.Context, modules []string) {
	level, text, heard := slog.LevelWarn, "queues were not there: what their modules have not heard is published again", true
	err := r.DB.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM (SELECT module FROM shared.inbox ORDER BY fact_id DESC LIMIT 1000) AS last WHERE module = ANY($1))`, modules).Scan(&heard)
	if err == nil && !heard {
		level, text = slog.LevelInfo, "queues were declared for the first time"
	}
	r.Log.Log(ctx, level, text, "modules", modules)
}

func (r *Refiller) takeAnew() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	modules := slices.Sorted(maps.Keys(r.anew))
	clear(r.anew)
	return modules
}

// modules are all who hear, by name.
func (r *Refiller) modules() []string { return r.Broker.Topology.Modules() }
