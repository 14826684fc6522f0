//go:build drill

package audit_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/archive"
	"github.com/holdfast-checkout/holdfast/internal/audit"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/saga"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// Finished orders are audited beside the provider's list of their charges. It tells the time, the memory of this process and of Postgres'
// at their highest, and what each invariant took. STORED in the environment says how many.
func TestDrillStoredAudit(t *testing.T) {
	storeOf(t, 200_000).audit("live", false)
}

// The same, when nine of ten are archived.
func TestDrillArchivedAudit(t *testing.T) {
	s := storeOf(t, 50_000)
	s.audit("live", false)
	began := time.Now()
	result, err := archive.Run(t.Context(), s.env.DB, archive.Options{OlderThan: 90 * 24 * time.Hour, Log: s.env.Log})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d orders were archived in %.1f s", result.Moved, time.Since(began).Seconds())
	s.exec(`ANALYZE`)
	s.audit("nine of ten archived", false)
	s.audit("and the documents", true)
}

// store is a database with many finished orders.
type store struct {
	*testing.T
	env    *testkit.Env
	orders int
	url    string       // of the provider's list
	desk   *postgres.DB // of the auditor
}

func storeOf(t *testing.T, orders int) *store {
	t.Helper()
	if n, err := strconv.Atoi(os.Getenv("STORED")); err == nil {
		orders = n
	}
	s := &store{T: t, env: testkit.New(t), orders: orders}
	began := time.Now()
	testkit.Finished(t, s.env.DB, orders*9/10, 5000, time.Now().Add(-time.Duration(orders)*time.Second-120*24*time.Hour))
	testkit.Finished(t, s.env.DB, orders/10, 5000, time.Now().Add(-30*24*time.Hour))
	s.exec(`CREATE TABLE public.ledger AS SELECT row_number() OVER (ORDER BY at, provider_id) AS seq, t.* FROM payment.transfers t`)
	s.exec(`ALTER TABLE public.ledger ADD PRIMARY KEY (seq)`)
	s.exec(`ANALYZE`)
	t.Logf("%d orders were made in %.0f s", orders, time.Since(began).Seconds())
	ledger := httptest.NewServer(listOf(t, s.env.DB))
	t.Cleanup(ledger.Close)
	s.url = ledger.URL
	var err error
	s.desk, err = postgres.Open(t.Context(), s.env.PostgresURL, postgres.Options{MaxConns: 4, StatementTimeout: time.Hour, ApplicationName: "audited"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.desk.Close)
	return s
}

// exec runs a statement that takes its time.
func (s *store) exec(sql string) {
	s.Helper()
	err := pgx.BeginFunc(s.Context(), s.env.DB, func(tx pgx.Tx) error {
		_, err := tx.Exec(s.Context(), `SET LOCAL statement_timeout = 0`)
		if err == nil {
			_, err = tx.Exec(s.Context(), sql)
		}
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
}

func (s *store) audit(what string, archived bool) {
	s.Helper()
	book, err := saga.NewBook(saga.All(), saga.Optimistic.Name, nil)
	if err != nil {
		s.Fatal(err)
	}
	stop, peak := watch(s.T, s.env.DB)
	began := time.Now()
	report := run(s.T, audit.Options{
		Postgres: s.desk, Redis: s.env.Redis, Namespace: s.env.Namespace, Broker: s.env.RabbitURL, Hears: book.Hears(), Follows: book.Follows(),
		Ends: book.Ends, States: book.States(), Ledgers: []audit.Ledger{{URL: s.url}}, Cooldown: -1, Archive: archived,
	})
	took := time.Since(began)
	stop()
	each := ""
	for _, v := range report.Verdicts {
		each += fmt.Sprintf(" %s %.1f", v.ID, v.Seconds)
	}
	s.Logf("%s: %d orders in %.1f s; this process %d MB at most, Postgres' %d MB;%s", what, s.orders, took.Seconds(), ownPeak(), *peak>>10, each)
	if report.ExitCode() != audit.ExitOK {
		s.Errorf("%s: %s", what, printed(s.T, report))
	}
}

// listOf shows a provider's ledger that lies in the database.
func listOf(t *testing.T, db *postgres.DB) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/account" {
			_ = json.NewEncoder(w).Encode(map[string]any{"id": "finished"})
			return
		}
		after, _ := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
		limit, _ := strconv.ParseInt(r.URL.Query().Get("limit"), 10, 64)
		var entries json.RawMessage
		var last int64
		err := db.QueryRow(context.WithoutCancel(t.Context()), `
			SELECT coalesce(jsonb_agg(jsonb_build_object('seq', seq, 'kind', kind, 'id', provider_id, 'key', kind || '-' || order_id, 'order_id', order_id,
				'charge_id', CASE kind WHEN 'refund' THEN 'ch_' || substr(provider_id, 4) ELSE '' END, 'amount_minor', amount_minor,
				'currency', currency, 'status', 'succeeded') ORDER BY seq), '[]'), coalesce(max(seq), 0)
			FROM (SELECT * FROM public.ledger WHERE seq > $1 ORDER BY seq LIMIT $2) l`, after, limit).Scan(&entries, &last)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"entries": entries, "next_after": last})
	}
}

// watch looks at the memory that the auditor's connections have for themselves in Postgres, until it is stopped; peak is in kB.
func watch(t *testing.T, db *postgres.DB) (stop func(), peak *int64) {
	peak = new(int64)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			rows, err := db.Query(context.WithoutCancel(t.Context()), `SELECT pid FROM pg_stat_activity WHERE application_name = 'audited'`)
			if err != nil {
				continue
			}
			pids, _ := pgx.CollectRows(rows, pgx.RowTo[int32])
			var all int64
			for _, pid := range pids {
				all += statusOf(fmt.Sprintf("/proc/%d/status", pid), "RssAnon:")
			}
			*peak = max(*peak, all)
		}
	}()
	return func() { close(done); <-ended }, peak
}

// ownPeak is this process' highest, in MB.
func ownPeak() int64 { return statusOf("/proc/self/status", "VmHWM:") >> 10 }

// statusOf gives a number of a process' status, in kB.
func statusOf(file, name string) (kb int64) {
	f, err := os.Open(file)
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, found := strings.CutPrefix(lines.Text(), name); found {
			kb, _ = strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		}
	}
	return kb
}
