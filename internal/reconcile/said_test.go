package reconcile_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-checkout/holdfast/internal/reconcile"
)

// Every repair is a line of level WARN, a count and a row, with the same words in all of them.
func TestEveryRepairIsSaidCountedAndStored(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	product := p.product(10)
	id := p.cart(map[uuid.UUID]int64{product: 3})
	p.agree()
	var lines bytes.Buffer
	registry := prometheus.NewRegistry()
	o := p.options(time.Hour)
	o.Log, o.Registry = slog.New(slog.NewJSONHandler(&lines, &slog.HandlerOptions{Level: slog.LevelWarn})), registry
	p.reconciler = reconcile.New(o)
	p.redis("HSET", p.keys.Product(product)[0], "n", "1")
	p.release(id, product)
	p.redis("DEL", p.keys.Cart(id))
	p.want(p.reconcile(reconcile.Full, true), "stock would_repair", "holds would_repair", "cart would_repair")
	if lines.Len() > 0 {
		t.Errorf("a dry run warns: %s", lines.String())
	}
	run := p.full()
	p.want(run, "stock repaired", "holds repaired", "cart repaired")
	said := map[string]reconcile.Difference{}
	for decoder := json.NewDecoder(&lines); decoder.More(); {
		var line struct {
			Level, Msg string
			reconcile.Difference
		}
		if err := decoder.Decode(&line); err != nil {
			t.Fatal(err)
		}
		if _, twice := said[line.Pair]; twice || line.Level != "WARN" {
			t.Errorf("said again, or as %s: %s", line.Level, line.Msg)
		}
		said[line.Pair] = line.Difference
	}
	for _, d := range run.Differences {
		if diff := cmp.Diff(d, said[d.Pair]); diff != "" {
			t.Errorf("the line of %s (-found +said):\n%s", d.Pair, diff)
		}
		if n := p.stored(run.ID, d); n != 1 {
			t.Errorf("%d rows of %s", n, d.Pair)
		}
		for action, want := range map[reconcile.Action]float64{reconcile.Repaired: 1, reconcile.WouldRepair: 1, reconcile.Left: 0} {
			if n := counted(t, registry, d.Pair, string(action)); n != want {
				t.Errorf("%s %s was counted %v times, want %v", d.Pair, action, n, want)
			}
		}
	}
}

// stored counts the rows of a difference.
func (p *place) stored(run uuid.UUID, d reconcile.Difference) (n int) {
	p.Helper()
	err := p.env.DB.QueryRow(p.Context(), `SELECT count(*) FROM shared.reconciliation_differences
		WHERE run_id = $1 AND pair = $2 AND key = $3 AND redis = $4 AND postgres = $5 AND action = $6`,
		run, d.Pair, d.Key, d.Redis, d.Postgres, string(d.Action)).Scan(&n)
	if err != nil {
		p.Fatal(err)
	}
	return n
}

// counted reads the metric of differences.
func counted(t *testing.T, registry *prometheus.Registry, pair, action string) (n float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if f.GetName() == "holdfast_reconcile_differences_total" && labels["pair"] == pair && labels["action"] == action {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

// An instance that is started again compares everything once and goes on from the mark that was stored, in which nothing that
// changed while nobody ran is lost. A run that fails, or only looks, leaves the mark where it was.
func TestTheMarkOutlivesItsInstance(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	product := p.product(10)
	p.full()
	was := p.mark()
	p.reconciler = p.instance(time.Hour)
	if now := p.mark(); !now.Equal(was) {
		t.Errorf("a start moved the mark from %v to %v", was, now)
	}
	if run := p.reconcile(reconcile.Delta, true); !run.Everything || !p.mark().Equal(was) {
		t.Errorf("the first run after the start compared everything: %v; dry, it moved the mark to %v", run.Everything, p.mark())
	}
	p.redis("HSET", p.keys.Product(product)[0], "n", "1")
	run := p.reconcile(reconcile.Delta, false)
	p.want(run, "stock repaired")
	if now := p.mark(); !run.Everything || !now.After(was) {
		t.Errorf("everything: %v, the mark is at %v after %v", run.Everything, now, was)
	}
	was = p.mark()
	p.exec(`UPDATE inventory.movements SET at = $1::timestamptz + interval '1 millisecond'`, was) // a change that no run has looked at
	p.redis("HSET", p.keys.Product(product)[0], "n", "1")
	if run := p.reconcile(reconcile.Delta, false); run.Everything || run.Repaired != 1 {
		t.Errorf("from the mark on: %+v", run)
	}
}

func (p *place) mark() (mark time.Time) {
	p.Helper()
	if err := p.env.DB.QueryRow(p.Context(), `SELECT mark FROM shared.reconcile_mark`).Scan(&mark); err != nil {
		p.Fatal(err)
	}
	return mark
}
