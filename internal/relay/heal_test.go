package relay

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/outbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// harm is something that is done to a relay that reads. It says facts in the middle of it, and these must come out.
type harm struct {
	trouble trouble // what is told of, "" where there is nothing to tell
	do      func(t *testing.T, b *bench, r *Relay) []event.Fact
}

// harms follow one another; the last changes the table for good.
var harms = []struct {
	name string
	harm
}{
	{"slot dropped", harm{slotMissing, dropTheSlot}},
	{"slot made again by hand", harm{"", remakeTheSlot}},
	{"publication dropped", harm{publicationOff, dropThePublication}},
	{"publication dropped and made again", harm{slotUnreadable, remakeThePublication}},
	{"table out of the publication for now", harm{publicationOff, leaveThePublication}},
	{"publication of all tables", harm{foreignRows, publishEverything}},
	{"deposed", harm{readerDeposed, depose}},
	{"connection ended", harm{"", endTheConnection}},
	{"relation changed", harm{"", changeTheRelation}},
}

// After each harm everything that was committed is published, nothing that was held back stands in the way, and the trouble is
// told of, with nobody's help.
func TestHeals(t *testing.T) {
	t.Parallel()
	bench := newBench(t, testkit.New(t))
	for _, harm := range harms {
		t.Run(harm.name, func(t *testing.T) {
			b := bench.again()
			r := b.relay(t, CDC)
			startLeading(t, r)
			before, after := facts(10), facts(10)
			b.say(t, before...)
			b.heard.wait(t, before...)
			b.rest(t, r)
			b.known(t, r)
			between := harm.do(t, b, r)
			b.say(t, after...)
			b.heard.wait(t, append(between, after...)...)
			if harm.trouble != "" {
				b.told(t, r, harm.trouble)
			}
			b.rest(t, r)
		})
	}
}

// withoutSlot drops the slot under the reader, which is thrown out for it, and does something before it can come back.
func withoutSlot(t *testing.T, b *bench, r *Relay, do func()) {
	t.Helper()
	testkit.Eventually(t, patience, func() error {
		_, err := b.DB.Exec(t.Context(), `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1`, r.slot)
		if err == nil {
			_, err = b.DB.Exec(t.Context(), `SELECT pg_drop_replication_slot($1)`, r.slot)
		}
		return err
	})
	do()
}

func dropTheSlot(t *testing.T, b *bench, r *Relay) []event.Fact {
	between := facts(10)
	withoutSlot(t, b, r, func() { b.say(t, between...) })
	return between
}

// remakeTheSlot leaves a slot that looks as if nothing had happened: only that it is ahead of what is published betrays it.
func remakeTheSlot(t *testing.T, b *bench, r *Relay) []event.Fact {
	lost := facts(10)
	withoutSlot(t, b, r, func() {
		b.say(t, lost...)
		if _, err := b.DB.Exec(t.Context(), `SELECT pg_create_logical_replication_slot($1, 'pgoutput')`, r.slot); err != nil {
			t.Log("the relay was faster:", err)
		}
	})
	return lost
}

func dropThePublication(t *testing.T, b *bench, _ *Relay) []event.Fact {
	b.exec(t, `DROP PUBLICATION holdfast_outbox`)
	between := facts(5)
	b.say(t, between...)
	return between
}

const makePublication = `CREATE PUBLICATION holdfast_outbox FOR TABLE shared.outbox WITH (publish = 'insert', publish_via_partition_root = true)`

// remakeThePublication spoils the slot for good: rows that were written without the publication can never be read from it.
func remakeThePublication(t *testing.T, b *bench, _ *Relay) []event.Fact {
	between := facts(5)
	err := b.DB.InTx(t.Context(), func(tx pgx.Tx) error { // so that nobody else makes it meanwhile
		for _, sql := range []string{`LOCK shared.relay_mark IN ACCESS EXCLUSIVE MODE`, `DROP PUBLICATION holdfast_outbox`} {
			if _, err := tx.Exec(t.Context(), sql); err != nil {
				return err
			}
		}
		return outbox.Append(t.Context(), tx, between...)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.DB.Exec(t.Context(), makePublication); err != nil {
		t.Log("the relay was faster:", err)
	}
	return between
}

// leaveThePublication gives no error anywhere: the rows are just not in the stream.
func leaveThePublication(t *testing.T, b *bench, _ *Relay) []event.Fact {
	between := facts(5)
	b.exec(t, `ALTER PUBLICATION holdfast_outbox DROP TABLE shared.outbox`)
	b.say(t, between...)
	if _, err := b.DB.Exec(t.Context(), `ALTER PUBLICATION holdfast_outbox ADD TABLE shared.outbox`); err != nil {
		t.Log("the relay was faster:", err)
	}
	return between
}

func publishEverything(t *testing.T, b *bench, _ *Relay) []event.Fact {
	b.exec(t, `CREATE TABLE strange (id uuid, name text)`)
	b.exec(t, `ALTER PUBLICATION holdfast_outbox ADD TABLE strange`)
	between := facts(5)
	b.exec(t, `INSERT INTO strange VALUES (gen_random_uuid(), 'x')`)
	b.say(t, between...)
	return between
}

func depose(t *testing.T, b *bench, _ *Relay) []event.Fact {
	b.exec(t, `UPDATE shared.leases SET holder = 'another', term = term + 1, expires_at = now() WHERE name = 'relay'`)
	return nil
}

func endTheConnection(t *testing.T, b *bench, r *Relay) []event.Fact {
	between := facts(10)
	b.say(t, between[:5]...)
	b.exec(t, `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1`, r.slot)
	b.say(t, between[5:]...)
	return between
}

// changeTheRelation adds a column and moves another to the end, under the stream.
func changeTheRelation(t *testing.T, b *bench, _ *Relay) []event.Fact {
	between := facts(10)
	b.exec(t, `ALTER TABLE shared.outbox ADD COLUMN more text NOT NULL DEFAULT 'x'`)
	b.say(t, between[:5]...)
	b.exec(t, `ALTER TABLE shared.outbox RENAME COLUMN name TO old_name; ALTER TABLE shared.outbox ADD COLUMN name text;
		ALTER TABLE shared.outbox ALTER COLUMN old_name DROP NOT NULL; ALTER TABLE shared.outbox ALTER COLUMN old_name SET DEFAULT 'x'`)
	b.say(t, between[5:]...)
	return between
}

// What was carried into another server has ids of transactions that mean nothing there: it is published again, all of it,
// and the mark begins anew.
func TestAnotherServer(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{CDC, Polling} {
		bench := newBench(t, testkit.New(t))
		for name, sql := range map[trouble]string{
			systemChanged:   `UPDATE shared.outbox SET xid = '900000000000'; UPDATE shared.relay_mark SET system = 'another', mark = '800000000000', lsn = 'F/0'`,
			timelineChanged: `UPDATE shared.relay_mark SET timeline = timeline + 1, lsn = 'F/0'`,
		} {
			t.Run(fmt.Sprintf("%s/%s", mode, name), func(t *testing.T) {
				b := bench.again()
				first, waiting, after := b.relay(t, mode), facts(20), facts(20)
				stop := startLeading(t, first)
				b.rest(t, first)
				stop()
				b.say(t, waiting...)
				b.exec(t, sql)
				r := b.relay(t, mode)
				startLeading(t, r)
				b.heard.wait(t, waiting...)
				b.told(t, r, name)
				b.say(t, after...)
				r.Ring()
				b.heard.wait(t, after...)
				b.rest(t, r)
				h, err := r.horizon(t.Context())
				if err != nil || h.mark > h.xmax || h.known != h.server {
					t.Errorf("mark %d of %+v, next transaction %d of %+v: %v", h.mark, h.known, h.xmax, h.server, err)
				}
			})
		}
	}
}

// Without a position there is nothing to acknowledge: Postgres would take 0 for all that was ever sent.
func TestNoPositionIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	if err := new(stream).ack(t.Context(), 0); err == nil {
		t.Fatal("acknowledged everything")
	}
}

// While the broker takes nothing, and other tables keep the log moving, not a byte is acknowledged of what is not published.
func TestKeepalivesDoNotAcknowledgeWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	b := newBench(t, testkit.New(t))
	far := b.behindProxy(t)
	r := far.relay(t, CDC)
	stop := startLeading(t, r)
	before, waiting := facts(10), facts(10)
	b.say(t, before...)
	b.heard.wait(t, before...)
	b.rest(t, r)
	b.known(t, r)
	far.proxy.Cut()
	b.say(t, waiting...)
	var from string // their commit lies before it, and what others write in this server as well
	if err := b.DB.QueryRow(t.Context(), `SELECT pg_current_wal_lsn()::text`).Scan(&from); err != nil {
		t.Fatal(err)
	}
	b.exec(t, `CREATE TABLE busy AS SELECT g, repeat('x', 500) FROM generate_series(1, 10000) g`)
	testkit.Eventually(t, patience, func() error {
		var passed, acknowledged bool
		err := b.DB.QueryRow(t.Context(), `SELECT sent_lsn > $2::text::pg_lsn + 4000000, confirmed_flush_lsn >= $2::text::pg_lsn
			FROM pg_replication_slots s JOIN pg_stat_replication r ON r.pid = s.active_pid WHERE slot_name = $1`, r.slot, from).Scan(&passed, &acknowledged)
		if err == nil && acknowledged {
			t.Fatal("acknowledged what is not published")
		}
		if err == nil && !passed {
			err = errors.New("Postgres has not sent it all")
		}
		return err
	})
	stop()
	b.heardNone(t, waiting)
	startLeading(t, b.relay(t, CDC)) // over a network that works
	b.heard.wait(t, waiting...)
}
