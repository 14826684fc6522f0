package relay

import (
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func losesNothingOverRestarts(t *testing.T, b *bench, mode Mode) {
	all := facts(600)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, f := range all {
			if err := b.trySay(t.Context(), f); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for range 3 {
		stop := startLeading(t, b.relay(t, mode))
		testkit.Eventually(t, patience, func() bool { return len(b.heard.order(all)) > 0 })
		stop()
	}
	<-done
	r := b.relay(t, mode)
	startLeading(t, r)
	b.heard.wait(t, all...)
	b.rest(t, r)
}

// One reads, the other stands by and takes over.
func isTakenOver(t *testing.T, b *bench, mode Mode) {
	first, second := b.relay(t, mode), b.relay(t, mode)
	stop := startLeading(t, first)
	start(t, second.Run)
	before, after := facts(10), facts(10)
	b.say(t, before...)
	b.heard.wait(t, before...)
	if second.leading.Load() {
		t.Error("two instances read at once")
	}
	stop()
	b.say(t, after...)
	b.heard.wait(t, after...)
	if first.leading.Load() || !second.leading.Load() {
		t.Error("the second instance does not read")
	}
}

func other(mode Mode) Mode {
	if mode == CDC {
		return Polling
	}
	return CDC
}

// What the other mode left unpublished is published, and no slot stays behind that would keep the log.
func carriesOnFromTheOtherMode(t *testing.T, b *bench, mode Mode) {
	published, waiting := facts(20), facts(20)
	stop := startLeading(t, b.relay(t, other(mode)))
	b.say(t, published...)
	b.heard.wait(t, published...)
	stop()
	b.say(t, waiting...)
	r := b.relay(t, mode)
	startLeading(t, r)
	b.heard.wait(t, waiting...)
	b.rest(t, r)
	slot, err := r.inspectSlot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if slot.there != (mode == CDC) {
		t.Errorf("slot is there: %v", slot.there)
	}
}

// The mode changes again and again, both run for a while, and facts are said all the time.
func losesNothingOverSwitches(t *testing.T, b *bench, mode Mode) {
	all := facts(400)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, f := range all {
			if err := b.trySay(t.Context(), f); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	stop := startLeading(t, b.relay(t, mode))
	for range 2 {
		mode = other(mode)
		next := b.relay(t, mode)
		running := start(t, next.Run)
		stop()
		testkit.Eventually(t, patience, next.leading.Load)
		stop = running
	}
	<-done
	b.heard.wait(t, all...)
	stop()
}
