package relay

import (
	"context"
	"slices"
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
	if h.slot != r.slot {
		t.Errorf("slot %q does not carry on although all is out", h.slot)
	}
}

// A standby may carry the slot on, where Postgres can do that: from 17 on.
func TestSlotMayFailOver(t *testing.T) {
	t.Parallel()
	b := newBench(t, testkit.New(t))
	r := b.relay(t, CDC)
	startLeading(t, r)
	var can, does bool
	err := b.DB.QueryRow(t.Context(), `
		SELECT current_setting('server_version_num')::int >= 170000, coalesce((to_jsonb(s) ->> 'failover')::bool, false)
		FROM pg_replication_slots s WHERE slot_name = $1`, r.slot).Scan(&can, &does)
	if err != nil {
		t.Fatal(err)
	}
	if can != does {
		t.Errorf("failover is %v where it can be %v", does, can)
	}
}

// A slot that somebody left behind keeps the log of the whole server: it is told of, and left alone.
func TestAbandonedSlotIsToldOf(t *testing.T) {
	t.Parallel()
	b := newBench(t, testkit.New(t))
	left := "left_" + b.Namespace
	b.exec(t, `SELECT pg_create_physical_replication_slot($1, true)`, left)
	t.Cleanup(func() {
		_, err := b.DB.Exec(context.WithoutCancel(t.Context()), `SELECT pg_drop_replication_slot($1)`, left)
		if err != nil {
			t.Error(err)
		}
	})
	r := b.relay(t, CDC)
	startLeading(t, r)
	testkit.Eventually(t, patience, func() bool { return b.log.has("slot=" + left) })
	s, err := r.Status(t.Context())
	if err != nil || s.Slot == nil || s.Slot.Name != r.slot || !s.Slot.Active {
		t.Errorf("own slot %+v: %v", s.Slot, err)
	}
	if !slices.ContainsFunc(s.Abandoned, func(s Slot) bool { return s.Name == left && !s.Active }) {
		t.Errorf("%s is not among the abandoned: %+v", left, s.Abandoned)
	}
}
