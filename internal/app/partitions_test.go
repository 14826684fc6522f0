package app_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/outbox"
)

// Without a partition for now nothing can be sold, and nothing is lost: requests are told to try again, probes say why, facts wait, and
// what was bought before goes on when the partition is there.
func TestMissingPartitionsAreWaitedFor(t *testing.T) {
	t.Parallel()
	s := open(t)
	mug := s.product("MUG", 1275, 100)
	alice := s.customer("alice")
	alice.buy("before", buyNow(mug, 1, "pm_ok"))
	if _, err := s.env.DB.Exec(t.Context(), `DO $$ BEGIN
		EXECUTE 'DROP TABLE shared.inbox_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD');
	END $$`); err != nil {
		t.Fatal(err)
	}
	var o order
	alice.must(http.StatusAccepted, http.MethodPost, "/orders", buyNow(mug, 1, "pm_ok"), "Idempotency-Key", "while").into(t, &o)
	if _, err := s.env.DB.Exec(t.Context(), `ALTER TABLE shared.outbox RENAME TO was; CREATE TABLE shared.outbox (LIKE shared.was INCLUDING ALL) PARTITION BY RANGE (at)`); err != nil {
		t.Fatal(err)
	}
	a, err := alice.send(http.MethodPost, "/orders", buyNow(mug, 1, "pm_ok"), "Idempotency-Key", "none")
	if err != nil || a.status != http.StatusServiceUnavailable {
		t.Errorf("answered %d %s, %v", a.status, a.body, err)
	}
	res, err := http.Get(s.url + "/readyz") //nolint:noctx // a probe
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("ready without a partition: %d", res.StatusCode)
	}
	if _, err := s.env.DB.Exec(t.Context(), `DROP TABLE shared.outbox; ALTER TABLE shared.was RENAME TO outbox`); err != nil {
		t.Fatal(err)
	}
	if _, err := outbox.KeepPartitions(t.Context(), s.env.DB, outbox.Keep{Outbox: 24 * time.Hour, Inbox: 7 * 24 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	if o = alice.end(o.ID); o.Status != "COMPLETED" {
		t.Errorf("%+v", o)
	}
	var letters int
	if err := s.env.DB.QueryRow(t.Context(), `SELECT count(*) FROM shared.dead_letters`).Scan(&letters); err != nil || letters != 0 {
		t.Errorf("%d dead letters, %v", letters, err)
	}
}
