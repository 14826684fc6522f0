package statements_test

import (
	"flag"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/statements"
)

// fixed are the tables of which there is one row, or one for each job, module, account or month: reading all of it is as good as an index. The
// provider's statement has what was read of its list and has not met our books yet, which is a page or two.
var fixed = []string{"relay_mark", "leases", "reconcile_mark", "redis_memory", "refills", "hunts", "bindings", "goose_db_version", "months", "statement", "closed_accounts"}

// only is for looking into a plan: go test ./internal/statements -v -args -only 'order store.go lock'
var only = flag.String("only", "", "explain only statements whose package, place and text match this, and print their plans")

const (
	thrown = 200 // rows that a filter may throw away whatever it keeps
	pages  = 40  // that a statement may read more where there is four times as much that is finished
)

// Every statement of the product finds what it wants by an index, with the parameters known as the plan is made and without, and
// costs the same however much is finished.
func TestStatementsFindWhatTheyWant(t *testing.T) {
	t.Parallel()
	listed, err := statements.Listed()
	if err != nil {
		t.Fatal(err)
	}
	wanted := regexp.MustCompile(*only)
	listed = slices.DeleteFunc(listed, func(s statements.Statement) bool {
		return s.Package == whole || s.Allowed["plan"] != "" || !wanted.MatchString(s.Package+" "+s.Place+" "+s.Key())
	})
	began := time.Now()
	took := func(what string) { t.Logf("%s after %.1f s", what, time.Since(began).Seconds()) }
	withFew, withMany := newMade(t)
	took("make")
	tables := rowsOf(t, withMany.Conn)
	for _, s := range listed {
		before, after := explain(t, withFew, s), explain(t, withMany, s)
		for mode := range min(len(after), len(before)) {
			for fault, text := range judge(before[mode], after[mode], tables) {
				if s.Allowed[fault] == "" {
					t.Errorf("%s, %s, %s(%s): %s\n%s", s.Package, s.Place, modes[mode], s.Args, text, s.SQL)
				}
			}
		}
	}
	for _, bad := range bad {
		before, after := explain(t, withFew, bad.Statement), explain(t, withMany, bad.Statement)
		for mode := range modes {
			if found := judge(before[mode], after[mode], tables); found[bad.fault] == "" {
				t.Errorf("nothing is wrong with %s, %s: %v", bad.SQL, modes[mode], found)
			}
		}
	}
	if *only == "" {
		lookForUncalled(t, withMany)
	}
	took("explain")
	reads(t, withFew, withMany)
	took("explain what reads everything")
}

// bad are statements that must be found out.
var bad = []struct {
	statements.Statement
	fault string
}{
	{statements.Statement{SQL: "SELECT id FROM orders.orders WHERE payment_method = $1", Args: "'cash'"}, "scan"},
	{statements.Statement{SQL: "SELECT id FROM orders.view WHERE customer = $1 AND version = $2", Args: "'alice', '9'"}, "filter"},
	{statements.Statement{SQL: "SELECT count(*) FROM orders.view WHERE customer = $1", Args: "'alice'"}, "growth"},
	{statements.Statement{SQL: "SELECT id FROM orders.orders ORDER BY id OFFSET $1 LIMIT 5", Args: "'40000'"}, "growth"},
	{statements.Statement{SQL: "DELETE FROM orders.lines WHERE product_id = $1", Args: "id(9499)"}, "scan"},
}

// judge gives what is wrong with a statement, by the kind of fault.
func judge(before, after plan, tables map[string]int) map[string]string {
	wrong := map[string]string{}
	judgeScans(wrong, after, tables)
	judgeNested(wrong, before, after, tables)
	if before.ran && after.ran && hasGrown(before.pages(), after.pages()) {
		wrong["growth"] = fmt.Sprintf("reads %d pages with %d finished orders and %d with %d", before.pages(), few, after.pages(), many)
	}
	return wrong
}

func hasGrown(before, after int) bool { return after > before*3/2+pages }

// judgeScans notes what is read and not wanted.
func judgeScans(wrong map[string]string, after plan, tables map[string]int) {
	after.walk(func(p plan) {
		if p.Node == "Seq Scan" && grows(p.Relation, tables) {
			wrong["scan"] = fmt.Sprintf("reads all of %s.%s", p.Schema, p.Relation)
		}
		if away := (p.Removed + p.RemovedToo) * p.Loops; p.Schema != "pg_catalog" && away > p.Rows*p.Loops+thrown {
			wrong["filter"] = fmt.Sprintf("throws away %.0f rows of %s %s and keeps %.0f: %s", away, p.Node, p.Relation, p.Rows*p.Loops, p.Filter)
		}
	})
}

func (p plan) walk(do func(plan)) {
	do(p)
	for _, part := range p.Plans {
		part.walk(do)
	}
}

var ofTime = regexp.MustCompile(`^(outbox|inbox)_[0-9_]+$`)

// grows reports whether a table has ever more rows. Partitions of times to come have none yet.
func grows(table string, tables map[string]int) bool {
	n, ours := tables[table]
	return ours && !slices.Contains(fixed, table) && !strings.HasPrefix(table, "pg_") && (n > 0 || !ofTime.MatchString(table))
}
