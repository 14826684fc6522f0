package relay

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// Beside an idle outbox other tables write and write: the slot keeps the log for none of it.
func TestDrillIdleOutboxBesideABusyDatabase(t *testing.T) {
	t.Parallel()
	const chunk, most = 16, 64 // MB
	b := newBench(t, testkit.New(t))
	r := b.relay(t, CDC)
	startLeading(t, r)
	b.exec(t, `CREATE TABLE busy (g int, filling text)`)
	peak := int64(0)
	for range testkit.Size(3, 640) { // 96 MB, 10 GB
		b.exec(t, fmt.Sprintf(`INSERT INTO busy SELECT g, repeat('x', 1000) FROM generate_series(1, %d) g`, chunk*1000))
		b.exec(t, `TRUNCATE busy`)
		b.exec(t, `CHECKPOINT`) // as a busy server does: only then is the log cut, and the slot told of a later start
		testkit.Eventually(t, patience, func() error {
			s, err := r.Status(t.Context())
			if err == nil {
				peak = max(peak, s.Slot.Retained)
				if s.Slot.Retained > (most-chunk)<<20 {
					err = fmt.Errorf("%d MB of log are kept", s.Slot.Retained>>20)
				}
			}
			return err
		})
	}
	t.Logf("at most %d MB of log were kept", peak>>20)
	if peak > 2*most<<20 {
		t.Errorf("%d MB of log were kept for an idle outbox", peak>>20)
	}
	f := fact()
	b.say(t, f)
	b.heard.wait(t, f)
}

// A transaction of very many facts goes out whole and in order, and the reader keeps but a few of them in memory.
func TestDrillTransactionOfManyFacts(t *testing.T) {
	t.Parallel()
	b := newBench(t, testkit.New(t))
	r := b.relay(t, CDC)
	startLeading(t, r)
	n, f := testkit.Size(2_000, 100_000), fact()
	b.say(t, f)
	b.heard.wait(t, f)
	b.exec(t, `INSERT INTO shared.outbox (id, name, strategy, body)
		SELECT gen_random_uuid(), name, strategy, body FROM shared.outbox, generate_series(1, $1)`, n)
	testkit.Eventually(t, 3*patience, func() error {
		if got := b.heard.times(f); got < n+1 {
			return fmt.Errorf("%d of %d are out", got, n+1)
		}
		return nil
	})
	b.rest(t, r)
}

// A fact that takes longer to arrive than either side may be silent arrives all the same: bytes are no silence, and Postgres is
// answered while they come.
func TestDrillLongFactOverASlowNetwork(t *testing.T) {
	t.Parallel()
	b := newBench(t, testkit.New(t))
	u, err := url.Parse(b.PostgresURL)
	if err != nil {
		t.Fatal(err)
	}
	way := testkit.NewProxy(t, u.Host)
	u.Host = way.Addr()
	r := b.relay(t, CDC)
	r.PostgresURL, r.SenderTimeout = u.String(), time.Second
	startLeading(t, r)
	f := fact()
	b.say(t, f)
	b.heard.wait(t, f)
	size := testkit.Size(1, 10) << 20
	way.Throttle(size / testkit.Size(3, 30)) // bytes a second
	long := event.New(event.OrderCreated, "optimistic", uuid.Must(uuid.NewV7()), event.Order{Customer: strings.Repeat("a", size)})
	b.say(t, long)
	b.heard.wait(t, long)
	way.Throttle(0)
	b.rest(t, r)
	if b.log.has("relay does not read") {
		t.Error("the reader lost its connection")
	}
}
