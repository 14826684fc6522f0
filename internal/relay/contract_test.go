package relay

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/outbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// contract is what both modes promise.
var contract = map[string]func(*testing.T, *bench, Mode){
	"order":           keepsOrder,
	"late commit":     findsLateCommits,
	"rollback":        leavesOutRollbacks,
	"many writers":    losesNothingOfManyWriters,
	"restarts":        losesNothingOverRestarts,
	"large":           carriesLargeTransactions,
	"poison":          letsNothingStandInTheWay,
	"take-over":       isTakenOver,
	"other mode":      carriesOnFromTheOtherMode,
	"switch and back": losesNothingOverSwitches,
	"backlog":         catchesUp,
	"broker away":     waitsForTheBroker,
	"confirm lost":    publishesAgainWhatIsNotConfirmed,
	"unroutable":      findsAWayForTheUnroutable,
	"holds nothing":   holdsNothingWhileItWaits,
}

func TestContract(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{CDC, Polling} {
		for name, holds := range contract {
			t.Run(string(mode)+"/"+name, func(t *testing.T) {
				t.Parallel()
				holds(t, newBench(t, testkit.New(t)), mode)
			})
		}
	}
}

// Transactions that follow one another are published in that order, and the mark passes them.
func keepsOrder(t *testing.T, b *bench, mode Mode) {
	r := b.relay(t, mode)
	startLeading(t, r)
	all := facts(300)
	for i := 0; i < len(all); i += 3 {
		b.say(t, all[i:i+3]...)
		r.Ring()
	}
	b.heard.wait(t, all...)
	if diff := cmp.Diff(ids(all), b.heard.all()); diff != "" {
		t.Errorf("order (-said +published):\n%s", diff)
	}
	b.rest(t, r)
}

// A transaction that began first and committed last is found, though others with higher ids are out already.
func findsLateCommits(t *testing.T, b *bench, mode Mode) {
	r := b.relay(t, mode)
	startLeading(t, r)
	late, early := fact(), fact()
	tx, err := b.DB.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if err := outbox.Append(t.Context(), tx, late); err != nil {
		t.Fatal(err)
	}
	b.say(t, early)
	r.Ring()
	if mode == CDC { // polling keeps to the order of transactions, and so waits for the first
		b.heard.wait(t, early)
	}
	if err := b.heard.has([]event.Fact{late}); err == nil {
		t.Fatal("published before its commit")
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Ring()
	b.heard.wait(t, late, early)
	b.rest(t, r)
}

func leavesOutRollbacks(t *testing.T, b *bench, mode Mode) {
	r := b.relay(t, mode)
	startLeading(t, r)
	before, never, after := fact(), fact(), fact()
	b.say(t, before)
	refused := errors.New("no")
	err := b.DB.InTx(t.Context(), func(tx pgx.Tx) error {
		return errors.Join(outbox.Append(t.Context(), tx, never), refused)
	})
	if !errors.Is(err, refused) {
		t.Fatal(err)
	}
	b.say(t, after)
	r.Ring()
	b.heard.wait(t, before, after)
	b.rest(t, r)
	if b.heard.has([]event.Fact{never}) == nil {
		t.Error("a fact of a transaction that was rolled back was published")
	}
}

// With a commit at every moment none is left lying until the poll interval.
func losesNothingOfManyWriters(t *testing.T, b *bench, mode Mode) {
	r := b.relay(t, mode)
	r.PollInterval = time.Hour
	b.DB.OnCommit = r.Ring
	startLeading(t, r)
	all := facts(800)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < len(all); i += 8 {
				if err := b.trySay(t.Context(), all[i]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.heard.wait(t, all...)
	b.rest(t, r)
}

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
		testkit.Eventually(t, patience, func() bool { return len(b.heard.all()) > 0 })
		stop()
	}
	<-done
	r := b.relay(t, mode)
	startLeading(t, r)
	b.heard.wait(t, all...)
	b.rest(t, r)
}

// A transaction of many rows goes out whole.
func carriesLargeTransactions(t *testing.T, b *bench, mode Mode) {
	r := b.relay(t, mode)
	startLeading(t, r)
	all := facts(5000)
	err := b.DB.InTx(t.Context(), func(tx pgx.Tx) error {
		for part := range slices.Chunk(all, 1000) {
			if err := outbox.Append(t.Context(), tx, part...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Ring()
	b.heard.wait(t, all...)
	if got := b.heard.all(); len(got) != len(all) {
		t.Errorf("%d facts published, want %d", len(got), len(all))
	}
	b.rest(t, r)
}

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
}

// What has gathered while nobody read is published, in the order in which it was said.
func catchesUp(t *testing.T, b *bench, mode Mode) {
	all := facts(10_000)
	for part := range slices.Chunk(all, 500) {
		b.say(t, part...)
	}
	r := b.relay(t, mode)
	startLeading(t, r)
	b.heard.wait(t, all...)
	if diff := cmp.Diff(ids(all), b.heard.all()); diff != "" {
		t.Error("not in order")
	}
	b.rest(t, r)
}

// While the broker is away facts wait, and go out when it is back; one reader or another, nothing is marked before.
func waitsForTheBroker(t *testing.T, b *bench, mode Mode) {
	far := b.behindProxy(t)
	r := far.relay(t, mode)
	stop := startLeading(t, r)
	before, waiting := facts(20), facts(500)
	b.say(t, before...)
	b.heard.wait(t, before...)
	far.proxy.Cut()
	for part := range slices.Chunk(waiting, 50) {
		b.say(t, part...)
		r.Ring()
	}
	stop() // in the middle of a batch
	b.heardNone(t, waiting)
	if s, err := r.Status(t.Context()); err != nil || s.Rows < int64(len(waiting)) {
		t.Fatalf("%d rows wait, want %d at least: %v", s.Rows, len(waiting), err)
	}
	next := far.relay(t, mode)
	startLeading(t, next)
	far.proxy.Drop()
	far.proxy.Heal()
	b.heard.wait(t, waiting...)
	b.rest(t, next)
}

// A message that was taken, but whose confirm got lost, is published again.
func publishesAgainWhatIsNotConfirmed(t *testing.T, b *bench, mode Mode) {
	far := b.behindProxy(t)
	r := far.relay(t, mode)
	startLeading(t, r)
	first, all := fact(), facts(50)
	b.say(t, first)
	b.heard.wait(t, first)
	far.proxy.Mute()
	b.say(t, all...)
	r.Ring()
	b.heard.wait(t, all...)
	if s, err := r.Status(t.Context()); err != nil || s.Rows < int64(len(all)) {
		t.Fatalf("%d rows wait, want the %d without confirm at least: %v", s.Rows, len(all), err)
	}
	far.proxy.Drop()
	far.proxy.Heal()
	b.rest(t, r)
	if n := b.heard.times(all[0]); n < 2 {
		t.Errorf("published %d times without a confirm", n)
	}
}

// A fact that no queue takes is not lost though RabbitMQ confirms it: it is published again when there is a queue.
func findsAWayForTheUnroutable(t *testing.T, b *bench, mode Mode) {
	r := b.relay(t, mode)
	startLeading(t, r)
	first, all := fact(), facts(20)
	b.say(t, first)
	b.heard.wait(t, first)
	b.onBroker(t, func(ch *amqp.Channel) error {
		if err := ch.QueueUnbind(b.Namespace+".view", "#", b.cfg.Topology.Exchange(), nil); err != nil {
			return err
		}
		_, err := ch.QueueDelete(b.Namespace+".unrouted", false, false, false)
		return err
	})
	b.say(t, all...)
	r.Ring()
	b.heard.wait(t, all...)
	b.rest(t, r)
}

// While facts wait for their confirms there is no transaction open and no row locked.
func holdsNothingWhileItWaits(t *testing.T, b *bench, mode Mode) {
	far := b.behindProxy(t)
	r := far.relay(t, mode)
	startLeading(t, r)
	first, all := fact(), facts(50)
	b.say(t, first)
	b.heard.wait(t, first)
	far.proxy.Cut()
	b.say(t, all...)
	r.Ring()
	testkit.Eventually(t, patience, func() error {
		var long int
		var enough bool
		err := b.DB.QueryRow(t.Context(), `
			SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'
			          AND pid <> pg_backend_pid() AND xact_start < clock_timestamp() - interval '1 second'),
			       (SELECT max(at) < clock_timestamp() - interval '2 seconds' FROM shared.outbox)`).Scan(&long, &enough)
		switch {
		case err != nil:
			return err
		case long > 0:
			t.Fatal("a transaction is open while confirms are awaited")
		case !enough:
			return errors.New("the facts have not waited for long")
		}
		_, err = b.DB.Exec(t.Context(), `SELECT FROM shared.outbox FOR UPDATE NOWAIT`)
		return err
	})
	far.proxy.Drop()
	far.proxy.Heal()
	b.heard.wait(t, all...)
}

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
