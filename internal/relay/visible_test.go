package relay

import (
	"errors"
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// A commit that waits for a synchronous standby is in the log, and nobody sees it: its facts are not published before it is
// visible, nor acknowledged, and the reader stays the reader.
func TestHoldsBackWhatIsNotVisible(t *testing.T) {
	t.Parallel()
	b := newBench(t, testkit.NewOn(t, testkit.Private(t)))
	r := b.relay(t, CDC)
	startLeading(t, r)
	before, unseen := facts(5), facts(20)
	b.say(t, before...)
	b.heard.wait(t, before...)
	standby := func(names string) {
		t.Helper()
		b.exec(t, `ALTER SYSTEM SET synchronous_standby_names = '`+names+`'`)
		b.exec(t, `SELECT pg_reload_conf()`)
	}
	standby("standby_that_does_not_answer")
	testkit.Eventually(t, patience, func() (err error) { // the reader renews its term, and so waits first
		var waits bool
		err = b.DB.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')`).Scan(&waits)
		if err == nil && !waits {
			err = errors.New("no commit waits for the standby")
		}
		return err
	})
	said := make(chan error, 1)
	go func() { said <- b.trySay(t.Context(), unseen...) }()
	testkit.Eventually(t, patience, func() error {
		b.heardNone(t, unseen)
		s, err := r.Status(t.Context())
		if err == nil && (s.Held < (3*r.SenderTimeout/2).Seconds() || !b.log.has("facts are held back")) {
			err = errors.New("nothing is held back for longer than a silent reader is given up")
		}
		return err
	})
	if !r.leading.Load() {
		t.Error("the reader gave up")
	}
	standby("")
	if err := <-said; err != nil {
		t.Fatal(err)
	}
	b.heard.wait(t, unseen...)
	b.rest(t, r)
	for _, f := range unseen {
		if n := b.heard.times(f); n != 1 {
			t.Fatalf("a fact was published %d times", n)
		}
	}
	if r.held() != 0 {
		t.Error("still says that facts are held back")
	}
}

// Visibility is pg_visible_in_snapshot's, also where the low half of the transaction ids has wrapped.
func TestSnapshotSees(t *testing.T) {
	t.Parallel()
	s, err := parseSnapshot("4294967290:4294967300:4294967291,4294967297")
	if err != nil {
		t.Fatal(err)
	}
	for xid, want := range map[uint64]bool{
		4294967280: true, 4294967291: false, 4294967292: true, 4294967297: false, 4294967298: true, 4294967300: false, 4294967305: false,
	} {
		if got := s.sees(uint32(xid)); got != want {
			t.Errorf("sees(%d) = %v, want %v", xid, got, want)
		}
	}
	if (snapshot{}).sees(7) || !(snapshot{}).sees(0) {
		t.Error("without a snapshot only what was read from the table is visible")
	}
	for _, text := range []string{"", "1:2", "1:x:", "1:2:y"} {
		if _, err := parseSnapshot(text); err == nil {
			t.Errorf("%q was taken for a snapshot", text)
		}
	}
}
