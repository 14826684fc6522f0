package statements_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// made is a connection to a made database, which tells the plans of what triggers and functions send while a statement runs.
type made struct {
	*pgx.Conn
	still    func()
	settings string // of the transaction in which statements are explained
	nested   []nested
	called   map[string]bool // what has sent something so far
}

// nested is a statement that was sent by a trigger, a function or a reference while another one ran.
type nested struct {
	Text string `json:"Query Text"`
	Plan plan
	by   string
}

// toExplain has Postgres tell the plan of each statement within another.
func toExplain(t *testing.T, server, database string, still func()) *made {
	t.Helper()
	config, err := pgx.ParseConfig(urlOf(t, server, database))
	if err != nil {
		t.Fatal(err)
	}
	m := &made{still: still, called: map[string]bool{}}
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { m.hear(t, n) }
	if m.Conn, err = pgx.ConnectConfig(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close(context.WithoutCancel(t.Context())) })
	set(t, m.Conn)
	run(t, m.Conn, `LOAD 'auto_explain'; SET auto_explain.log_nested_statements = on; SET auto_explain.log_format = json;
		SET auto_explain.log_analyze = on; SET auto_explain.log_buffers = on; SET auto_explain.log_timing = off;
		SET auto_explain.log_verbose = on; SET auto_explain.log_level = notice; SET auto_explain.log_min_duration = 0`)
	return m
}

func (m *made) hear(t *testing.T, n *pgconn.Notice) {
	_, text, found := strings.Cut(n.Message, "plan:")
	if !found || n.Where == "" { // of the statement itself
		return
	}
	one := nested{by: n.Where}
	if err := json.Unmarshal([]byte(text), &one); err != nil {
		t.Errorf("what plan is %s? %v", text, err)
		return
	}
	one.Plan.ran = true
	m.nested = append(m.nested, one)
	m.called[n.Where] = true
}

// judgeNested holds what a statement has had sent to the same as itself.
func judgeNested(wrong map[string]string, before, after plan, tables map[string]int) {
	read := map[string]int{} // pages by statement, however often it was sent
	for _, one := range before.nested {
		read[one.Text] += one.Plan.pages()
	}
	now := map[string]int{}
	for _, one := range after.nested {
		now[one.Text] += one.Plan.pages()
		found := map[string]string{}
		judgeScans(found, one.Plan, tables)
		for fault, text := range found {
			wrong[fault] = fmt.Sprintf("%s: %s\n%s", one.by, text, one.Text)
		}
	}
	for text, n := range now {
		if was, sent := read[text]; sent && hasGrown(was, n) {
			wrong["growth"] = fmt.Sprintf("within it %d pages are read with %d finished orders and %d with %d\n%s", was, few, n, many, text)
		}
	}
}

// lookForUncalled fails for functions of ours that ask tables and were not called by any statement, so that nobody has seen how.
func lookForUncalled(t *testing.T, m *made) {
	t.Helper()
	rows, err := m.Query(t.Context(), `SELECT oid::regproc::text FROM pg_proc
		WHERE pronamespace IN (SELECT oid FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema|made)')
		AND prosrc ~* '\m(FROM|JOIN|UPDATE|INTO)\s+[a-z_]+\.[a-z_]+'`)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		seen := false
		for where := range m.called {
			seen = seen || strings.Contains(where, " "+name+"(") || strings.Contains(where, `"`+name+`"`)
		}
		if !seen {
			t.Errorf("no statement that is listed calls %s: list one with arguments for which it is called, so that its plans are seen", name)
		}
	}
	t.Logf("%d functions ask tables: %v", len(names), names)
}
