package statements_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/statements"
)

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
	Hit        int     `json:"Shared Hit Blocks"`
	Read       int     `json:"Shared Read Blocks"`
	Peak       float64 `json:"Peak Memory Usage"` // kB, of a hash
	Sorted     float64 `json:"Sort Space Used"`   // kB
	SortedIn   string  `json:"Sort Space Type"`
	Plans      []plan
	ran        bool
	nested     []nested
}

func (p plan) pages() int { return p.Hit + p.Read }

// how a statement is explained by running it, which is taken back, and by planning it alone.
const (
	running  = "ANALYZE, BUFFERS, VERBOSE, TIMING OFF, FORMAT JSON"
	planning = "VERBOSE, FORMAT JSON"
)

var modes = []string{"force_custom_plan", "force_generic_plan"}

// explain runs a statement with a plan that was made for its arguments and with one for any, and takes back what it did.
func explain(t *testing.T, conn *made, s statements.Statement) []plan {
	t.Helper()
	var plans []plan
	for _, mode := range modes {
		conn.nested = nil
		p, err := explainOnce(t, conn, s, mode, running)
		p.ran, p.nested = err == nil, conn.nested
		if *only != "" {
			text, err := explainText(t, conn, s, mode, "ANALYZE, BUFFERS, TIMING OFF")
			t.Logf("%s, %s, %s(%s) %v\n%s\n%s", s.Package, s.Place, mode, s.Args, err, s.SQL, text)
		}
		if strings.HasPrefix(postgres.Code(err), "23") { // rows that are there already, or refer to some that are not
			p, err = explainOnce(t, conn, s, mode, planning)
		}
		if err != nil {
			t.Errorf("%s, %s: explain with %s: %v\n%s", s.Package, s.Place, s.Args, err, s.SQL)
			return nil
		}
		plans = append(plans, p)
	}
	return plans
}

func explainOnce(t *testing.T, conn *made, s statements.Statement, mode, how string) (plan, error) {
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
func explainText(t *testing.T, conn *made, s statements.Statement, mode, how string) (string, error) {
	t.Helper()
	conn.still()
	run(t, conn.Conn, "BEGIN; SET LOCAL statement_timeout = '60s'; SET LOCAL plan_cache_mode = "+mode+"; "+conn.settings)
	defer run(t, conn.Conn, "ROLLBACK; DEALLOCATE ALL")
	sql := strings.ReplaceAll(s.SQL, "shared.outbox_partition", "shared."+youngest(t, conn.Conn))
	if err := conn.PgConn().Exec(t.Context(), "PREPARE explained AS "+sql).Close(); err != nil {
		return "", err
	}
	name := "explained"
	switch {
	case s.Args != "":
		name += "(" + s.Args + ")"
	case s.Parameters() > 0:
		name += "(" + someOf(t, conn.Conn) + ")"
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

// some are arguments by type, for statements that are listed without any.
var some = map[string]string{
	"uuid": "id(9500)", "uuid[]": "ids(9500, 10)", "text": "'alice'", "text[]": "'{alice}'", "boolean": "'false'", "boolean[]": "'{false}'",
	"timestamp with time zone": "now()", "timestamp with time zone[]": "array_fill(now(), '{10}')", "interval": "'1 hour'", "xid8": "mark()",
	"bytea": `'\x7b7d'`, "bytea[]": `'{"\\x7b7d"}'`, "jsonb": "'{}'", "bigint": "'100'", "integer": "'100'", "bigint[]": "'{100}'",
	"integer[]": "'{100}'", "smallint[]": "'{1}'", "date": "'2020-01-01'", "date[]": "'{2020-01-01}'",
}

// someOf gives arguments for what is prepared.
func someOf(t *testing.T, conn *pgx.Conn) string {
	t.Helper()
	results, err := conn.PgConn().Exec(t.Context(), "SELECT unnest(parameter_types)::text FROM pg_prepared_statements WHERE name = 'explained'").ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, row := range results[0].Rows {
		arg := some[string(row[0])]
		if arg == "" {
			arg = "NULL"
		}
		all = append(all, arg)
	}
	return strings.Join(all, ", ")
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
