package relay

import (
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestSlotName(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 80)
	seen := map[string]string{}
	for _, namespace := range []string{"holdfast", "hold-fast", "hold_fast", "Holdfast", "hold.fast", long, long + "x", "é"} {
		name := slotName(namespace)
		if len(name) > 63 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			t.Errorf("slot of %q is %q", namespace, name)
		}
		if twin, ok := seen[name]; ok {
			t.Errorf("%q and %q share the slot %q", namespace, twin, name)
		}
		seen[name] = namespace
	}
	if got := slotName("holdfast"); got != "holdfast_outbox" {
		t.Errorf("slot of holdfast is %q", got)
	}
}

// A slot that somebody drops is made again, and what was committed meanwhile is published from the mark.
func TestDroppedSlot(t *testing.T) {
	t.Parallel()
	b := newBench(t, testkit.New(t))
	before, between, after := facts(10), facts(10), facts(10)
	r := b.relay(t, CDC)
	stop := startLeading(t, r)
	b.say(t, before...)
	b.heard.wait(t, before...)
	b.rest(t, r)
	stop()
	b.say(t, between...)
	if err := r.dropSlot(t.Context()); err != nil {
		t.Fatal(err)
	}
	startLeading(t, b.relay(t, CDC))
	b.heard.wait(t, between...)
	b.say(t, after...)
	b.heard.wait(t, after...)
}

// A reader that died after it had made the slot, and before the rows from before the slot were out, leaves a slot that
// looks healthy. It must not be trusted.
func TestSlotOfAnUnfinishedRecovery(t *testing.T) {
	t.Parallel()
	b := newBench(t, testkit.New(t))
	r := b.relay(t, CDC)
	waiting := facts(700) // more than a page
	b.say(t, waiting...)
	if _, err := b.DB.Exec(t.Context(), `SELECT pg_create_logical_replication_slot($1, 'pgoutput')`, r.slot); err != nil {
		t.Fatal(err)
	}
	startLeading(t, r)
	b.heard.wait(t, waiting...)
	b.rest(t, r)
	h, err := r.horizon(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !h.exact {
		t.Errorf("slot %q does not carry on although all is out", h.slot)
	}
}

// While only other tables change, the slot does not keep the log.
func TestIdleOutboxDoesNotPinTheLog(t *testing.T) {
	t.Parallel()
	b := newBench(t, testkit.New(t))
	r := b.relay(t, CDC)
	startLeading(t, r)
	if _, err := b.DB.Exec(t.Context(), `CREATE TABLE busy AS SELECT g, repeat('x', 500) FROM generate_series(1, 20000) g`); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, patience, func() error {
		var behind int64
		err := b.DB.QueryRow(t.Context(), `SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::int8
			FROM pg_replication_slots WHERE slot_name = $1`, r.slot).Scan(&behind)
		if err == nil && behind > 1<<20 {
			err = fmt.Errorf("slot is %d bytes behind", behind)
		}
		return err
	})
}

// Without the publication a slot would be spoilt for good, so none is made before it is there.
func TestMissingPublication(t *testing.T) {
	t.Parallel()
	b := newBench(t, testkit.New(t))
	if _, err := b.DB.Exec(t.Context(), `DROP PUBLICATION holdfast_outbox`); err != nil {
		t.Fatal(err)
	}
	r := b.relay(t, CDC)
	err := r.readSlot(t.Context())
	if err == nil || !strings.Contains(err.Error(), "publication") {
		t.Fatalf("reading without a publication: %v", err)
	}
	waiting := facts(5)
	b.say(t, waiting...)
	_, err = b.DB.Exec(t.Context(), `CREATE PUBLICATION holdfast_outbox FOR TABLE shared.outbox WITH (publish = 'insert', publish_via_partition_root = true)`)
	if err != nil {
		t.Fatal(err)
	}
	startLeading(t, r)
	b.heard.wait(t, waiting...)
}

// A publication that was dropped and made again under a slot spoils it: the slot is made anew by itself.
func TestSpoiltSlot(t *testing.T) {
	t.Parallel()
	b := newBench(t, testkit.New(t))
	r := b.relay(t, CDC)
	startLeading(t, r)
	if _, err := b.DB.Exec(t.Context(), `DROP PUBLICATION holdfast_outbox`); err != nil {
		t.Fatal(err)
	}
	waiting, after := facts(5), facts(5)
	b.say(t, waiting...)
	_, err := b.DB.Exec(t.Context(), `CREATE PUBLICATION holdfast_outbox FOR TABLE shared.outbox WITH (publish = 'insert', publish_via_partition_root = true)`)
	if err != nil {
		t.Fatal(err)
	}
	b.heard.wait(t, waiting...)
	b.say(t, after...)
	b.heard.wait(t, after...)
}
