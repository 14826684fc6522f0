package statements_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/statements"
)

// whole is the package whose statements read everything: it proves what holds of all rows, in one snapshot, when it is asked to.
const whole = "audit"

// fillDesk lays the provider's books beside ours, as they agree.
const fillDesk = `INSERT INTO audit_entries (provider, account, kind, id, key, order_id, charge_id, amount_minor, currency, status, at)
	SELECT provider, account, kind, provider_id, kind || '-' || order_id, order_id, CASE kind WHEN 'refund' THEN replace(provider_id, 'refund', 'charge') ELSE '' END,
		amount_minor, currency, 'succeeded', at FROM payment.transfers; ANALYZE audit_entries`

// reads holds the auditor's statements to what can be had where everything is read: with four times as many rows it goes through four
// times as many pages and rows, so that nothing is looked through once for each row of another, and no sort or hash takes more memory than
// it may. It sends each once, by a plan for its arguments.
func reads(t *testing.T, withFew, withMany *made) {
	t.Helper()
	patience := constant(t, "patience")
	for _, conn := range []*made{withFew, withMany} {
		run(t, conn.Conn, "SET default_statistics_target = 2000; SET client_min_messages = warning; SET auto_explain.log_min_duration = -1")
		run(t, conn.Conn, constant(t, "layTable"))
		run(t, conn.Conn, fillDesk)
	}
	for _, s := range slices.Concat(ofWhole(t), dear) {
		withFew.settings, withMany.settings = patience, patience
		if strings.HasPrefix(s.Place, "desk.go") { // before the snapshot is taken
			withFew.settings, withMany.settings = "", ""
		}
		before, after := work(t, withFew, s), work(t, withMany, s)
		isDear := after.done > before.done*linear+least || after.memory > memory
		if isDear != (s.Package == "") && s.Allowed["growth"] == "" {
			t.Errorf("%s, %s: goes through %.0f pages and rows with %d finished orders and %.0f with %d, and takes %.0f kB\n%s",
				s.Package, s.Place, before.done, few, after.done, many, after.memory, s.SQL)
		}
		if *only != "" {
			t.Logf("%s, %s: %+v, %+v", s.Package, s.Place, before, after)
		}
	}
}

const (
	linear = many / few * 1.25
	least  = 5000
	memory = 36 << 10 // kB of one sort or hash: half as much again as patience gives, for what Postgres takes beside
)

// ofWhole lists what the auditor asks, but for what it asks within others.
func ofWhole(t *testing.T) []statements.Statement {
	t.Helper()
	listed, err := statements.Listed()
	if err != nil {
		t.Fatal(err)
	}
	wanted := regexp.MustCompile(*only)
	return slices.DeleteFunc(slices.Clone(listed), func(s statements.Statement) bool {
		return s.Package != whole || s.Allowed["plan"] != "" || !wanted.MatchString(s.Package+" "+s.Place+" "+s.Key()) ||
			slices.ContainsFunc(listed, func(other statements.Statement) bool { return strings.Contains(other.Key(), "("+s.Key()+")") })
	})
}

// worked is what a statement went through, and the memory of its largest sort or hash.
type worked struct{ done, memory float64 }

func work(t *testing.T, conn *made, s statements.Statement) (w worked) {
	t.Helper()
	p, err := explainOnce(t, conn, s, "force_custom_plan", running)
	if err != nil {
		t.Errorf("%s, %s: %v\n%s", s.Package, s.Place, err, s.SQL)
		return worked{}
	}
	w.done = float64(p.pages())
	p.walk(func(p plan) {
		w.done += (p.Rows + p.Removed + p.RemovedToo) * p.Loops
		w.memory = max(w.memory, p.Peak)
		if p.SortedIn == "Memory" {
			w.memory = max(w.memory, p.Sorted)
		}
	})
	return w
}

// dear is a statement that must be found out: it looks through a part of the orders for each of a part of the orders.
var dear = []statements.Statement{{SQL: `WITH part AS MATERIALIZED (SELECT created_at FROM orders.view ORDER BY id LIMIT (SELECT count(*) / 100 FROM orders.view))
	SELECT count(*) FROM part a JOIN part b ON a.created_at < b.created_at`}}

func constant(t *testing.T, name string) string {
	t.Helper()
	text, err := statements.Constant(filepath.Join("..", whole), name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
