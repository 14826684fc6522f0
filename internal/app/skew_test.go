package app_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-checkout/holdfast/internal/audit"
	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/stack"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// The clocks of Postgres, Redis and the instance are moved by 20 minutes each way under a running instance, which says so. Orders last as
// long as they should, units are held for carts as long as they should, and all ends as if nothing had been; so does what was under way
// when Postgres' clock was put back.
func TestDrillClocksApart(t *testing.T) {
	t.Parallel()
	servers := testkit.PrivateClocks(t)
	s := openOn(t, testkit.NewOn(t, servers), outboxMode([]string{"polling", "cdc"}[testkit.Seed(t)%2]), func(c *config.Config) {
		c.StrategiesAllowed = allStrategies
		c.MaxCustomerUnits, c.HoldCooldown = 100, time.Minute // owners' times are kept, too
	})
	mug := s.product("MUG", 1275, 10_000)
	own := filepath.Join(t.TempDir(), "clock")
	m := s.processesWith(own)
	pg, redis := servers.Postgres(), servers.Redis()
	move := func(server *stack.Server, off time.Duration) {
		t.Helper()
		name, err := "postgres", error(nil) // is what the instance says of its own
		if server == nil {
			err = os.WriteFile(own, []byte(strconv.Itoa(int(off/time.Second))), 0o600)
		} else {
			name, err = server.Name(), server.SetClock(off)
		}
		if err != nil {
			t.Fatal(err)
		}
		m.awaitSkew(name, off)
	}
	for _, c := range []struct {
		server *stack.Server // nil: the instance
		off    time.Duration
	}{
		{redis, 20 * time.Minute}, {redis, -20 * time.Minute}, {redis, 0}, {nil, 20 * time.Minute}, {nil, -20 * time.Minute}, {nil, 0},
		{pg, -20 * time.Minute}, {pg, 0}, {pg, 20 * time.Minute},
	} {
		move(c.server, c.off)
		name := "own"
		if c.server != nil {
			name = c.server.Name()
		}
		m.end(m.everybodyBuys(mug, fmt.Sprint(name, " ", c.off)))
	}

	s.stopProvider()
	waiting := m.everybodyBuys(mug, "put back")
	testkit.Eventually(t, time.Minute, func() error {
		var unknown int
		err := s.env.DB.QueryRow(t.Context(), `SELECT count(*) FROM payment.payments WHERE state = 'UNKNOWN'`).Scan(&unknown)
		if err == nil && unknown != len(waiting) {
			err = fmt.Errorf("the outcome of %d payments is unknown, want %d", unknown, len(waiting))
		}
		return err
	})
	move(pg, 0)
	s.startProvider(strings.TrimPrefix(s.cfg.SandboxURL, "http://"))
	m.end(waiting)
	var report audit.Report
	m.operator().must(http.StatusOK, http.MethodPost, "/admin/audit?wait=60", nil).into(t, &report)
	if report.ExitCode() != audit.ExitOK {
		var b bytes.Buffer
		_ = report.Print(&b)
		t.Errorf("the audit is not clean:\n%s", b.String())
	}
}

// awaitSkew waits until the instance says how far a clock is off, or that it is ready.
func (m *mortal) awaitSkew(server string, off time.Duration) {
	m.t.Helper()
	testkit.Eventually(m.t, time.Minute, func() error {
		res, err := http.Get(m.url + "/readyz")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		var body bytes.Buffer
		if _, err := body.ReadFrom(res.Body); err != nil {
			return err
		}
		said := strings.Contains(body.String(), "the clock") && strings.Contains(body.String(), server)
		if apart := off.Abs() > time.Minute; apart != said || apart != (res.StatusCode == http.StatusServiceUnavailable) {
			return fmt.Errorf("%s is off by %s: %d %s", server, off, res.StatusCode, &body)
		}
		return nil
	})
}

// bought is an order that was accepted, and how it is to end.
type bought struct{ key, id, end string }

// everybodyBuys has customers buy at once and from carts, in every strategy.
func (m *mortal) everybodyBuys(mug, when string) (all []bought) {
	m.t.Helper()
	for _, way := range allStrategies {
		for method, end := range map[string]string{"pm_ok": "COMPLETED", "pm_declined": "FAILED PAYMENT_FAILED"} {
			key := fmt.Sprint(when, "/", way, "/", method)
			body := buyNow(mug, 1, method)
			if body["strategy"] = way; method == "pm_ok" {
				m.customer(key).must(http.StatusOK, http.MethodPut, "/cart/items/"+mug, map[string]any{"quantity": 2})
				delete(body, "items")
			}
			var o order
			a, err := m.customer(key).ask(http.MethodPost, "/orders", body, "Idempotency-Key", key)
			if err != nil || a.status != http.StatusAccepted && a.status != http.StatusCreated {
				m.t.Fatalf("%s: %d %s %v", key, a.status, a.body, err)
			}
			a.into(m.t, &o)
			all = append(all, bought{key, o.ID, end})
		}
	}
	return all
}

// end waits for the ends of orders.
func (m *mortal) end(all []bought) {
	m.t.Helper()
	got, want := map[string]string{}, map[string]string{}
	for _, b := range all {
		o := m.customer(b.key).end(b.id)
		got[b.key], want[b.key] = strings.TrimSpace(o.Status+" "+o.FailureReason), b.end
	}
	if diff := cmp.Diff(want, got); diff != "" {
		m.t.Errorf("ends (-want +got):\n%s", diff)
	}
}
