package app_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/saga"
	"github.com/holdfast-checkout/holdfast/internal/sandbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// A provider answers the first charge and the first refund of every order with a 500, half of them when it is done, and keeps that
// answer under the request's key for a day: in every strategy every order is charged all the same, and every refund is made.
func TestErrorsThatAreKeptStopNoOrder(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.stopProvider()
	s.faults, s.keepErrors, s.seed = sandbox.Faults{Error: 1}, true, testkit.Seed(t)
	s.startProvider(strings.TrimPrefix(s.cfg.SandboxURL, "http://"))
	mug := s.product("MUG", 1275, 100)
	strategies := saga.All()
	orders := 2 * len(strategies)
	var ids []string
	for i := range orders {
		ids = append(ids, s.customer(fmt.Sprint("customer ", i)).insistsOn(buyBy(strategies[i/2].Name, mug), false))
	}
	for i, id := range ids {
		c := s.customerOf(id)
		if o := c.end(id); o.Status != "COMPLETED" {
			t.Errorf("order %s by %s is %s", id, strategies[i/2].Name, o.Status)
		}
		if i%2 == 0 {
			if a, err := c.send(http.MethodPost, "/orders/"+id+"/cancel", nil, "Idempotency-Key", "k"); err != nil || a.status/100 != 2 {
				t.Fatalf("cancel: %d %s %v", a.status, a.body, err)
			}
		}
	}
	s.refunded(orders / 2)
	s.clean()
}

// refunded waits until so many payments were given back, and none is under way.
func (s *shop) refunded(n int) {
	s.t.Helper()
	testkit.Eventually(s.t, time.Minute, func() error {
		var back, open int
		err := s.env.DB.QueryRow(s.t.Context(), `
			SELECT count(*) FILTER (WHERE state = 'REFUNDED'), count(*) FILTER (WHERE due_at IS NOT NULL) FROM payment.payments`).Scan(&back, &open)
		if err == nil && (back != n || open > 0) {
			err = fmt.Errorf("%d were given back, %d are under way", back, open)
		}
		return err
	})
}

// The provider is away from a Friday to a Monday: nothing is known of the charge of an order any more, whose customer cancels it. In
// each strategy it ends, and nothing is charged.
func TestOrderEndsThoughItsKeyIsForgotten(t *testing.T) {
	t.Parallel()
	s := open(t)
	addr := strings.TrimPrefix(s.cfg.SandboxURL, "http://")
	mug := s.product("MUG", 1275, 100)
	s.stopProvider()
	placed := map[string]string{} // orders to strategies
	for _, way := range saga.All() {
		asked := buyNow(mug, 1, "pm_ok")
		asked["strategy"] = way.Name
		placed[s.customer("customer of "+way.Name).underway("k", asked).ID] = way.Name
	}
	testkit.Eventually(t, time.Minute, func() error {
		done, err := s.env.DB.Exec(t.Context(), `
			UPDATE payment.payments SET attempted_at = now() - interval '3 days'
			WHERE (SELECT count(*) FROM payment.payments WHERE state = 'UNKNOWN') = $1`, len(placed))
		if err == nil && done.RowsAffected() == 0 {
			err = errors.New("not all of the payments are unknown yet")
		}
		return err
	})
	for id := range placed {
		c := s.customerOf(id)
		if a, err := c.send(http.MethodPost, "/orders/"+id+"/cancel", nil, "Idempotency-Key", "c"); err != nil || a.status/100 != 2 {
			t.Fatalf("cancel: %d %s %v", a.status, a.body, err)
		}
	}
	s.startProvider(addr)
	for id, way := range placed {
		if o := s.customerOf(id).end(id); o.Status != "CANCELLED" {
			t.Errorf("%s: the order is %s", way, o.Status)
		}
	}
	s.clean()
}

// The provider is gone for good while a refund is owed: an operator gives the money back by another way and says so. The order ends by
// it, its timeline tells of it, and the auditor lists it and calls nothing broken.
func TestRefundSettledOutsideEndsTheOrder(t *testing.T) {
	t.Parallel()
	s := open(t)
	addr := strings.TrimPrefix(s.cfg.SandboxURL, "http://")
	mug := s.product("MUG", 1275, 100)
	c := s.customer("customer")
	id := c.insists(mug, false)
	if o := c.end(id); o.Status != "COMPLETED" {
		t.Fatalf("the order is %s", o.Status)
	}
	s.stopProvider()
	if a, err := c.send(http.MethodPost, "/orders/"+id+"/cancel", nil, "Idempotency-Key", "k"); err != nil || a.status/100 != 2 {
		t.Fatalf("cancel: %d %s %v", a.status, a.body, err)
	}
	operator := s.operator()
	testkit.Eventually(t, time.Minute, func() error { // unless the charger is asking just then
		a, err := operator.send(http.MethodPost, "/admin/payments/"+id+"/settle", map[string]any{"reason": "by bank transfer 4711", "unasked": true})
		if err == nil && a.status != http.StatusOK {
			err = fmt.Errorf("settle: %d %s", a.status, a.body)
		}
		return err
	})
	if o := c.end(id); o.Status != "CANCELLED" {
		t.Errorf("the order is %s", o.Status)
	}
	s.startProvider(addr)
	s.clean()
	a, err := c.send(http.MethodGet, "/orders/"+id+"/timeline?limit=200", nil)
	if err != nil || !strings.Contains(string(a.body), `"kind":"operator"`) || !strings.Contains(string(a.body), `"name":"settled"`) || strings.Contains(string(a.body), "4711") {
		t.Errorf("timeline: %d %s %v", a.status, a.body, err)
	}
}
