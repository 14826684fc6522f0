package statements_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/statements"
)

// fixed are the tables of which there is one row, or one for each job, module or provider: reading all of it is as good as an index. The
// provider's statement has what was read of its list and has not met our books yet, which is a page or two.
var fixed = []string{"relay_mark", "leases", "reconcile_mark", "redis_memory", "refills", "hunts", "bindings", "goose_db_version", "statement"}

// only is for looking into a plan: go test ./internal/statements -v -args -only 'order store.go lock'
var only = flag.String("only", "", "explain only statements whose package, place and text match this, and print their plans")

// whole are packages whose statements read everything, with the reason.
var whole = map[string]string{"audit": "it proves what holds of all rows, in one snapshot, when it is asked to"}

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
		return whole[s.Package] != "" || s.Allowed["plan"] != "" || !wanted.MatchString(s.Package+" "+s.Place+" "+s.Key())
	})
	began := time.Now()
	took := func(what string) { t.Logf("%s after %.1f s", what, time.Since(began).Seconds()) }
	conn := newMade(t)
	took("make few")
	before := make([][]plan, len(listed))
	for i, s := range listed {
		before[i] = explain(t, conn, s)
	}
	took("explain")
	fill(t, conn, 1-many, -few)
	took("make many")
	tables := rowsOf(t, conn)
	for i, s := range listed {
		after := explain(t, conn, s)
		for mode := range min(len(after), len(before[i])) {
			judge(t, s, mode, before[i][mode], after[mode], tables)
		}
	}
}

// plan is what EXPLAIN says of a statement or a part of it.
type plan struct {
	Node       string `json:"Node Type"`
	Schema     string
	Relation   string  `json:"Relation Name"`
	Rows       float64 `json:"Actual Rows"`
	Loops      float64 `json:"Actual Loops"`
	Removed    float64 `json:"Rows Removed by Filter"`
	RemovedToo float64 `json:"Rows Removed by Join Filter"`
	Filter     string
	Hit        int `json:"Shared Hit Blocks"`
	Read       int `json:"Shared Read Blocks"`
	Plans      []plan
	ran        bool
}

func (p plan) pages() int { return p.Hit + p.Read }

var modes = []string{"force_custom_plan", "force_generic_plan"}

// explain runs a statement with a plan that was made for its arguments and with one for any, and takes back what it did.
func explain(t *testing.T, conn *pgx.Conn, s statements.Statement) []plan {
	t.Helper()
	var plans []plan
	for _, mode := range modes {
		p, err := explainOnce(t, conn, s, mode, "ANALYZE, BUFFERS, VERBOSE, TIMING OFF, FORMAT JSON")
		p.ran = err == nil
		if *only != "" {
			text, err := explainText(t, conn, s, mode, "ANALYZE, BUFFERS, TIMING OFF")
			t.Logf("%s, %s, %s(%s) %v\n%s\n%s", s.Package, s.Place, mode, s.Args, err, s.SQL, text)
		}
		if strings.HasPrefix(postgres.Code(err), "23") { // rows that are there already, or refer to some that are not
			p, err = explainOnce(t, conn, s, mode, "VERBOSE, FORMAT JSON")
		}
		if err != nil {
			t.Errorf("%s, %s: explain with %s: %v\n%s", s.Package, s.Place, s.Args, err, s.SQL)
			return nil
		}
		plans = append(plans, p)
	}
	return plans
}

func explainOnce(t *testing.T, conn *pgx.Conn, s statements.Statement, mode, how string) (plan, error) {
	t.Helper()
	text, err := explainText(t, conn, s, mode, how)
	if err != nil {
		return plan{}, err
	}
	var said []struct{ Plan plan }
	if err := json.Unmarshal([]byte(text), &said); err != nil || len(said) != 1 {
		return plan{}, errors.Join(err, fmt.Errorf("what plan is %s?", text))
	}
	return said[0].Plan, nil
}

// explainText gives what EXPLAIN answers.
func explainText(t *testing.T, conn *pgx.Conn, s statements.Statement, mode, how string) (string, error) {
	t.Helper()
	name := "explained"
	if s.Args != "" {
		name += "(" + s.Args + ")"
	}
	run(t, conn, "BEGIN; SET LOCAL statement_timeout = '20s'; SET LOCAL plan_cache_mode = "+mode)
	defer run(t, conn, "ROLLBACK; DEALLOCATE ALL")
	sql := strings.ReplaceAll(s.SQL, "shared.outbox_partition", "shared."+youngest(t, conn))
	if err := conn.PgConn().Exec(t.Context(), "PREPARE explained AS "+sql).Close(); err != nil {
		return "", err
	}
	results, err := conn.PgConn().Exec(t.Context(), "EXPLAIN ("+how+") EXECUTE "+name).ReadAll()
	if err != nil {
		return "", err
	}
	var lines []string
	for _, row := range results[0].Rows {
		lines = append(lines, string(row[0]))
	}
	return strings.Join(lines, "\n"), nil
}

// youngest is the partition of the outbox that has the youngest facts.
func youngest(t *testing.T, conn *pgx.Conn) string {
	t.Helper()
	rows, err := conn.PgConn().Exec(t.Context(), "SELECT tableoid::regclass::text FROM shared.outbox ORDER BY xid DESC LIMIT 1").ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(string(rows[0].Rows[0][0]), "shared.")
}

// rowsOf says how many rows tables have; partitions are named by themselves.
func rowsOf(t *testing.T, conn *pgx.Conn) map[string]int {
	t.Helper()
	rows, err := conn.Query(t.Context(), `SELECT relname, greatest(reltuples, 0)::int FROM pg_class WHERE relkind = 'r'`)
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string]int{}
	var name string
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&name, &n}, func() error { tables[name] = n; return nil }); err != nil {
		t.Fatal(err)
	}
	return tables
}

func judge(t *testing.T, s statements.Statement, mode int, before, after plan, tables map[string]int) {
	t.Helper()
	var wrong []string
	note := func(fault, text string) {
		if s.Allowed[fault] == "" {
			wrong = append(wrong, text)
		}
	}
	after.walk(func(p plan) {
		if p.Node == "Seq Scan" && grows(p.Relation, tables) {
			note("scan", fmt.Sprintf("reads all of %s.%s", p.Schema, p.Relation))
		}
		if away := (p.Removed + p.RemovedToo) * p.Loops; p.Schema != "pg_catalog" && away > p.Rows*p.Loops+thrown {
			note("filter", fmt.Sprintf("throws away %.0f rows of %s %s and keeps %.0f: %s", away, p.Node, p.Relation, p.Rows*p.Loops, p.Filter))
		}
	})
	if before.ran && after.ran && after.pages() > before.pages()*3/2+pages {
		note("growth", fmt.Sprintf("reads %d pages with %d finished orders and %d with %d", before.pages(), few, after.pages(), many))
	}
	if len(wrong) > 0 {
		t.Errorf("%s, %s, %s(%s): %s\n%s", s.Package, s.Place, modes[mode], s.Args, strings.Join(wrong, "; "), s.SQL)
	}
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
