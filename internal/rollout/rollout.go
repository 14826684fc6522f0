// Package rollout lets two versions of Holdfast run beside each other, while one replaces the other or is taken back. A fact
// that comes to a module on an instance whose version has no row for it waits in Postgres for an instance that has; and what
// every version binds is written down, so that an older one does not judge by its own rows what it cannot know.
//
//	rollout.go   Rollout, storing what nobody here knows, and the part that runs
//	release.go   handing on what this version has a row for, and giving up what nobody came for
//	bindings.go  what the versions bind
//	status.go    what operators see
package rollout

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/run"
)

// Row is what a module of this version can handle: facts of a row of a table, up to a version of their data's shape.
type Row struct {
	Module  string
	Key     string // <strategy>.<name>
	Version int
}

// Options of a rollout.
type Options struct {
	DB         *postgres.DB
	Publisher  *broker.Publisher // has to run when facts are handed on
	Topology   broker.Topology
	Rows       []Row
	Patience   time.Duration // how long a fact waits before it is a dead letter; 0 means 24 h
	Log        *slog.Logger
	Registerer prometheus.Registerer // nil: not registered

	// Bury keeps dead letters. It must be repeatable.
	Bury func(context.Context, []broker.DeadLetter) error
}

// Rollout is one instance's part in it.
type Rollout struct {
	Options
	modules, keys []string // of Rows, at each place one
	versions      []int
	waiting       *prometheus.GaugeVec // module, key
	released      prometheus.Counter
}

// New makes it. It does nothing until Run, but for Put and Record.
func New(o Options) *Rollout {
	if o.Patience <= 0 {
		o.Patience = 24 * time.Hour
	}
	o.Log = o.Log.With("part", "rollout")
	r := &Rollout{
		Options: o,
		waiting: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "holdfast", Name: "waiting_facts", Help: "Facts that wait for an instance whose version has a row for them; the same on every instance.",
		}, []string{"module", "key"}),
		released: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "holdfast", Name: "waiting_facts_released_total", Help: "Facts that had waited for a version like this one, and that this instance put into their modules' queues.",
		}),
	}
	for _, row := range o.Rows {
		r.modules, r.keys, r.versions = append(r.modules, row.Module), append(r.keys, row.Key), append(r.versions, row.Version)
	}
	if o.Registerer != nil {
		o.Registerer.MustRegister(r.waiting, r.released)
	}
	return r
}

// Put stores facts that a module was handed here and that this version has no row for. One that was handed on before and came
// back here keeps the age that it had.
func (r *Rollout) Put(ctx context.Context, module string, facts []broker.Unknown) error {
	n := len(facts)
	ids, orders, keys, versions, bodies := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]string, n), make([]int, n), make([][]byte, n)
	for i, f := range facts {
		ids[i], orders[i], keys[i], versions[i], bodies[i] = f.Fact.ID, f.Fact.OrderID, f.Fact.Row(), f.Fact.Version, f.Body
	}
	_, err := r.DB.Exec(ctx, `
		INSERT INTO shared.waiting_facts (fact_id, module, key, version, order_id, body)
		SELECT DISTINCT ON (id) id, $1, key, version, nullif(order_id, $7), body
		FROM unnest($2::uuid[], $3::text[], $4::int[], $5::uuid[], $6::bytea[]) AS f(id, key, version, order_id, body) ORDER BY id
		ON CONFLICT (fact_id, module) DO UPDATE SET due = now(), sent = false`, module, ids, keys, versions, orders, bodies, uuid.Nil)
	if err != nil {
		return fmt.Errorf("store %d facts of %s that no row is for: %w", n, module, err)
	}
	return nil
}

const (
	handOnEvery  = 500 * time.Millisecond // looking for what this version has a row for
	measureEvery = 5 * time.Second        // counting for the gauge, and giving up
)

// Run hands on and gives up until ctx ends.
func (r *Rollout) Run(ctx context.Context) error {
	var measured time.Time
	failing := false
	for {
		err := r.release(ctx)
		if time.Since(measured) >= measureEvery {
			measured = time.Now()
			for _, do := range []func(context.Context) error{r.giveUp, r.measure} {
				if err == nil {
					err = do(ctx)
				}
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		if failed := err != nil; failed != failing {
			if failing = failed; failing {
				r.Log.WarnContext(ctx, "facts of other versions cannot be seen to", "error", err)
			}
		}
		if run.Pause(ctx, handOnEvery) != nil {
			return nil
		}
	}
}
