package relay

import (
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// Many commits are told of by few notifications, none of them sent in the transaction that it tells of.
func TestNotificationsAreDebounced(t *testing.T) {
	t.Parallel()
	b := newBench(t, testkit.New(t))
	leader, other := b.relay(t, Polling), b.relay(t, Polling)
	startLeading(t, leader)
	start(t, other.Run)
	b.DB.OnCommit = other.Ring
	conn, err := other.dedicated(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(t.Context(), conn)
	if _, err := conn.Exec(t.Context(), `LISTEN `+other.slot); err != nil {
		t.Fatal(err)
	}
	began, all := time.Now(), facts(300)
	for _, f := range all {
		b.say(t, f)
	}
	b.heard.wait(t, all...)
	most := int(time.Since(began)/debounce) + 1
	if _, err := conn.Exec(t.Context(), `SELECT pg_notify($1, 'last')`, other.slot); err != nil {
		t.Fatal(err)
	}
	senders := map[uint32]int{}
	for {
		n, err := conn.WaitForNotification(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n.Payload == "last" {
			break
		}
		senders[n.PID]++
	}
	for _, n := range senders {
		if len(senders) != 1 || n > most || n >= len(all) {
			t.Errorf("%d commits were told of by %v notifications, want less, %d at most, over one connection", len(all), senders, most)
		}
	}
	if len(senders) == 0 {
		t.Error("nobody was told")
	}
}
