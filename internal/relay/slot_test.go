package relay

import (
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
