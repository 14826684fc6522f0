//go:build drill

package app_test

import (
	"errors"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// The instance dies whenever inventory hears one order. After a few deaths that order's fact is put aside, others are bought again, and
// when the cause is mended a replay brings the order to its end.
func TestDrillDeadlyFact(t *testing.T) {
	t.Parallel()
	s := open(t)
	mug := s.product("MUG", 1275, 100)
	m := s.processes()
	alice := s.customer("alice")
	if err := os.WriteFile(m.dieAt, []byte("hearing inventory Reserve"+always), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _ = alice.send(http.MethodPost, "/orders", buyNow(mug, 1, "pm_ok"), "Idempotency-Key", "k") // the answer may be lost
	letters := func() (n int) {
		err := s.env.DB.QueryRow(t.Context(), `SELECT count(*) FROM shared.dead_letters WHERE module = 'inventory' AND reason = $1`, broker.ReasonDelivery).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	deaths := 0
	for dead := m.dead; letters() == 0; {
		select {
		case <-dead:
			deaths++
			m.launch()
			dead = m.dead
		case <-time.After(20 * time.Millisecond):
		}
		if deaths > 20 {
			t.Fatal("it dies on and on")
		}
	}
	t.Logf("%d deaths", deaths)
	if err := os.Remove(m.dieAt); err != nil {
		t.Fatal(err)
	}
	m.awaitUp()
	id := alice.insists(mug, false)
	if o := alice.buy("other", buyNow(mug, 1, "pm_ok")); o.Status != "COMPLETED" {
		t.Errorf("another order is %s", o.Status)
	}
	testkit.Eventually(t, 3*time.Minute, func() error {
		a, err := s.operator().send(http.MethodPost, "/admin/dead-letters/replay", map[string]any{"module": "inventory"})
		if err == nil && a.status != http.StatusAccepted {
			err = errors.New(string(a.body))
		}
		return err
	})
	if o := alice.end(id); o.Status != "COMPLETED" {
		t.Errorf("after the replay the order is %s", o.Status)
	}
	s.clean()
}
