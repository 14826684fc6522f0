package app_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/outbox"
	"github.com/holdfast-checkout/holdfast/internal/stack"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// Partitions are made and taken away while a transaction that has read every table is forgotten, a backup goes nowhere and an audit
// stands still in its middle. Customers buy in every strategy all the while: nobody who writes waits for a lock, every order ends as if
// nothing had been, the backup and the audit come to their end, and what they have kept from being taken away goes then.
func TestDrillBesideReaders(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"cdc", "polling"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			env, servers := testkit.PrivatePostgres(t)
			b := newBeside(t, env, servers, outboxMode(mode))
			var customers sync.WaitGroup
			b.buyAll(&customers, "before")
			b.watch()
			testkit.Eventually(t, time.Minute, func() bool { return !b.turn() }) // what the instance's own turn has left, too
			others := b.alone()                                                  // it does not come between again
			old := b.old()
			leave := []func(){b.standingAudit(), b.forgottenReader(), b.backup()}
			others()
			turns := testkit.Size(20, 200)
			for n := range turns {
				if n%10 == 0 {
					b.buyAll(&customers, fmt.Sprint("during-", n))
				}
				if !b.turn() {
					t.Error("partitions that are being read have gone")
				}
			}
			customers.Wait()
			for n, leave := range leave {
				b.named(old, readers[n])
				leave()
			}
			testkit.Eventually(t, time.Minute, func() bool { return !b.turn() })
			b.named("", "")
			b.nobodyWaited()
			b.judge()
		})
	}
}

// beside is a sale on a Postgres in which others keep transactions open.
type beside struct {
	*sale
	servers *stack.Stack
	turned  int // how often the partitions have turned
	tables  map[int]string
}

// readers are what those who read call themselves, the first to come first.
var readers = []string{"holdfast audit", "", "pg_dump"}

func newBeside(t *testing.T, env *testkit.Env, servers *stack.Stack, change ...settings) *beside {
	t.Helper()
	s := openOn(t, env, append(change, func(c *config.Config) { c.StrategiesAllowed = allStrategies })...)
	return &beside{sale: &sale{shop: s, mug: s.product("MUG", 1275, 10_000), orders: map[string]placed{}}, servers: servers, tables: map[int]string{}}
}

func (b *beside) exec(sql string, args ...any) {
	b.t.Helper()
	if _, err := b.env.DB.Exec(b.t.Context(), sql, args...); err != nil {
		b.t.Fatal(err)
	}
}

// alone keeps everybody else from turning partitions.
func (b *beside) alone() (others func()) {
	b.t.Helper()
	conn := b.connect()
	if _, err := conn.Exec(b.t.Context(), `SELECT pg_advisory_lock(hashtext('shared.partitions'))`); err != nil {
		b.t.Fatal(err)
	}
	return func() { _ = conn.Close(b.t.Context()) }
}

// old makes a partition of the outbox whose time is over for an instance, too. That is attached, which makes nobody wait.
func (b *beside) old() (name string) {
	b.t.Helper()
	day := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -3)
	name = day.Format("outbox_20060102_15")
	b.exec(`CREATE TABLE shared.` + name + ` (LIKE shared.outbox INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)`)
	b.exec(fmt.Sprintf(`ALTER TABLE shared.outbox ATTACH PARTITION shared.%s FOR VALUES FROM ('%s') TO ('%s')`,
		name, day.Format(time.RFC3339), day.Add(6*time.Hour).Format(time.RFC3339)))
	return name
}

// named wants the status to say which partition is still there, and for whom it waits; none: that all have gone. So do the metrics.
func (b *beside) named(partition, reader string) {
	b.t.Helper()
	testkit.Eventually(b.t, time.Minute, func() error {
		var status struct {
			Left []outbox.Left `json:"partitions_left"`
		}
		b.operator().must(http.StatusOK, http.MethodGet, "/admin/status", nil).into(b.t, &status)
		metrics := b.metricsNow()
		if partition == "" && len(status.Left) == 0 && strings.Contains(metrics, `holdfast_partitions_left{table="outbox"} 0`) {
			return nil
		}
		if len(status.Left) != 1 || partition == "" {
			return fmt.Errorf("left are %+v", status.Left)
		}
		l := status.Left[0]
		if l.Oldest != partition || l.State != "detaching" || l.Reader == nil || l.Reader.Application != reader || l.Reader.Since == nil {
			return fmt.Errorf("left is %+v, read by %+v, want %s, by %q", l, l.Reader, partition, reader)
		}
		by := fmt.Sprintf(`holdfast_partitions_read_by{gid="",pid="%d",table="outbox"} 1`, l.Reader.PID)
		if !strings.Contains(metrics, `holdfast_partitions_left{table="outbox"} 1`) || !strings.Contains(metrics, by) {
			return errors.New("the metrics do not say so")
		}
		return nil
	})
}

// turn is a look at the partitions six hours later than the last: one more is made, and those of an hour ago have had their time. It
// reports whether some of them are left.
func (b *beside) turn() bool {
	b.t.Helper()
	b.turned++
	left, err := outbox.KeepPartitions(b.t.Context(), b.env.DB, outbox.Keep{Outbox: time.Hour, Inbox: time.Hour, Ahead: 72*time.Hour + time.Duration(b.turned)*6*time.Hour})
	if err != nil {
		b.t.Fatal(err)
	}
	return left != nil
}

// holds asks Postgres something.
func (b *beside) holds(sql string) (yes bool) {
	b.t.Helper()
	if err := b.env.DB.QueryRow(b.t.Context(), sql).Scan(&yes); err != nil {
		b.t.Fatal(err)
	}
	return yes
}

// eventually waits for something to hold in Postgres.
func (b *beside) eventually(sql string) {
	b.t.Helper()
	testkit.Eventually(b.t, time.Minute, func() bool { return b.holds(sql) })
}

// watch has Postgres write down who waits for a lock for 10 ms, from now on.
func (b *beside) watch() {
	b.t.Helper()
	for _, sql := range []string{`ALTER SYSTEM SET log_lock_waits = on`, `ALTER SYSTEM SET deadlock_timeout = '10ms'`, `SELECT pg_reload_conf()`} {
		b.exec(sql)
	}
	b.eventually(`SELECT current_setting('log_lock_waits')::bool`)
	b.know()
}

// know learns the names of the tables of facts and their partitions.
func (b *beside) know() {
	b.t.Helper()
	rows, err := b.env.DB.Query(b.t.Context(), `SELECT oid::int, relname FROM pg_class WHERE relnamespace = 'shared'::regnamespace AND relname ~ '^(out|in)box(_\d|$)'`)
	if err != nil {
		b.t.Fatal(err)
	}
	var oid int
	var name string
	_, err = pgx.ForEachRow(rows, []any{&oid, &name}, func() error { b.tables[oid] = name; return nil })
	if err != nil {
		b.t.Fatal(err)
	}
}

// waits are lines of Postgres' log about those who wait for a lock.
var waits = regexp.MustCompile(`process \d+ (?:still waiting for|acquired) (\w+) on (?:relation (\d+)|.*)`)

// nobodyWaited wants no reader or writer of the tables of facts to have waited for them. Who turns the partitions did.
func (b *beside) nobodyWaited() {
	b.t.Helper()
	b.know()
	log, err := os.ReadFile(b.servers.Postgres().LogPath())
	if err != nil {
		b.t.Fatal(err)
	}
	lines := waits.FindAllSubmatch(log, -1)
	if len(lines) == 0 {
		b.t.Error("nobody is said to have waited, not even whoever turned the partitions")
	}
	for _, line := range lines {
		oid, _ := strconv.Atoi(string(line[2]))
		switch name, mode := b.tables[oid], string(line[1]); mode {
		case "RowExclusiveLock", "RowShareLock", "AccessShareLock":
			if name != "" {
				b.t.Errorf("somebody waited for %s: %s", name, line[0])
			}
		}
	}
}
