package relay

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

// Rows that are no events, or larger than any broker takes, hurt themselves alone, whether they wait for the reader or come
// while it reads.
func letsNothingStandInTheWay(t *testing.T, b *bench, mode Mode) {
	all := facts(40)
	r := b.relay(t, mode)
	r.SenderTimeout = patience // taking a large row apart takes long under the race detector
	b.say(t, all[:10]...)
	b.sayNonsense(t)
	b.say(t, all[10:20]...)
	startLeading(t, r)
	b.heard.wait(t, all[:20]...)
	b.sayNonsense(t)
	b.say(t, all[20:]...)
	r.Ring()
	b.heard.wait(t, all...)
	b.rest(t, r)
	var put []int
	for _, d := range b.put.letters() {
		put = append(put, len(d.Body))
	}
	slices.Sort(put)
	if diff := cmp.Diff([]int{2, 16 << 20}, slices.Compact(put)); diff != "" {
		t.Errorf("sizes of what was put aside (-want +got):\n%s", diff)
	}
	if !b.log.has("cannot be published and was put aside") {
		t.Error("the log does not say so")
	}
}

// sayNonsense says six facts that are none; the last two cannot even be published.
func (b *bench) sayNonsense(t *testing.T) {
	t.Helper()
	insert := `INSERT INTO shared.outbox (id, name, strategy, body) VALUES (gen_random_uuid(), $1, 'optimistic', $2)`
	for _, bad := range []struct {
		name string
		body []byte
	}{
		{string(event.OrderCreated), []byte("no JSON")},
		{string(event.OrderCreated), []byte{0xff, 0x00, ']'}},
		{"no.such.fact", []byte("{}")},
		{string(event.OrderCreated), bytes.Repeat([]byte("x"), 10<<20)},
		{string(event.OrderCreated), bytes.Repeat([]byte("y"), 16<<20)},
		{strings.Repeat("z", 300), []byte("{}")},
	} {
		b.exec(t, insert, bad.name, bad.body)
	}
}
