package app_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/saga"
	"github.com/holdfast-checkout/holdfast/internal/sandbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// crash is a point to die at while an order is bought or, when it is complete, cancelled.
type crash struct {
	point  string
	method string // "": pm_ok
	during during
	short  string // the strategy in which it is in the suite, too; all are drilled in every strategy
}

// during is what is going on as the instance dies.
type during int

const (
	buying     during = iota
	cancelling        // of an order that is complete
	soldOut           // buying, without a hold, what is not there any more
	away              // cancelling, while the provider that has been asked for the money is away
	telling           // buying, from a provider that tells what it has done, and does not answer
)

// crashes are all points between an intent, the call to the provider and the commit of its outcome, and around them.
var crashes = []crash{
	{point: "placing"},
	{point: "placed", short: "optimistic"},
	{point: "intending charge"},
	{point: "asking charge"},
	{point: "asked charge", short: "post-payment"},
	{point: "settling", short: "sequenced"},
	{point: "settled", short: "pessimistic"},
	{point: "asked charge", method: "pm_timeout_after_charge"},
	{point: "asking lookup", method: "pm_timeout_after_charge"},
	{point: "asked lookup", method: "pm_timeout_after_charge"},
	{point: "asked charge", method: "pm_declined"},
	{point: "adopting", method: "pm_timeout_after_charge", during: telling, short: "parallel"},
	{point: "cancelling", during: cancelling},
	{point: "cancelled", during: cancelling},
	{point: "intending give back", during: cancelling},
	{point: "asking refund", during: cancelling},
	{point: "asked refund", during: cancelling, short: "orchestrated"},
	{point: "settling", during: cancelling},
	{point: "settled", during: cancelling},
	{point: "asking close", during: away},
	{point: "asked close", during: away},
}

// crashesOf are those of a strategy: the ones of all, and before and after each verb that its table has a module do.
func crashesOf(way saga.Strategy) []crash {
	list := slices.Clone(crashes)
	seen := map[*saga.Verb]bool{}
	for _, row := range way.Steps {
		if seen[row.Do] {
			continue
		}
		seen[row.Do] = true
		c := crash{}
		switch verb := row.Do.Name; {
		case verb == "Fail" || verb == "Unwind":
			if slices.ContainsFunc(way.Steps, func(s saga.Step) bool { return s.Do == row.Do && s.When == event.PaymentFailed }) {
				c.method = "pm_declined"
			} else {
				c.during = soldOut
			}
		case slices.Contains([]string{"order.Settle", "inventory.Release", "inventory.Recall", "inventory.LaneRelease", "payment.GiveBack"}, row.Do.String()):
			c.during = cancelling
		}
		for _, when := range []string{"hearing", "heard"} {
			c.point = fmt.Sprint(when, " ", row.Do.Who, " ", row.Do.Name)
			list = append(list, c)
		}
	}
	slices.SortStableFunc(list, func(a, b crash) int { return int(a.during) - int(b.during) }) // few restarts with other settings
	return list
}

// An instance is killed with -9 at each point, one after the other, in each strategy. The request that was under way is sent again
// under its key and gives the one order that there is; what was under way is taken up and ends with one charge, or one charge and one
// refund. A lease that the dead have left is waited for at the end, once for all.
func TestDrillKilledAtEachPoint(t *testing.T) {
	t.Parallel()
	s := open(t)
	mug, rare := s.product("MUG", 1275, 10_000), s.product("RARE", 100, 1)
	m := s.processes()
	alice := s.customer("alice")
	type end struct{ strategy, status string }
	want := map[string]end{}
	for _, way := range saga.All() {
		for _, c := range crashesOf(way) {
			if c.short != way.Name && testkit.Size(0, 1) == 0 {
				continue
			}
			product := map[bool]string{true: rare, false: mug}[c.during == soldOut]
			id, status := m.survives(alice, c, way.Name, fmt.Sprint(len(want)), product)
			want[id] = end{way.Name, status}
		}
	}
	for id, end := range want {
		if o := alice.end(id); o.Status != end.status || o.Strategy != end.strategy {
			t.Errorf("%+v, want %+v", o, end)
		}
	}
	s.clean()
	var orders, letters int
	err := s.env.DB.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM orders.orders), (SELECT count(*) FROM shared.dead_letters)`).Scan(&orders, &letters)
	if err != nil || orders != len(want) || letters > 0 {
		t.Errorf("%d orders of %d requests, %d dead letters, %v", orders, len(want), letters, err)
	}
}

// survives buys, and cancels, while the instance dies, and gives the order with the end that it is to have.
func (m *mortal) survives(c customer, at crash, way, key, product string) (id, status string) {
	m.t.Helper()
	if hold := at.during != soldOut; hold != m.cfg.HoldOnOrder {
		m.kill()
		m.cfg.HoldOnOrder = hold
		m.start()
	}
	body := buyNow(product, 2, cmp.Or(at.method, "pm_ok"))
	maps.Copy(body, map[string]any{"strategy": way})
	switch at.during {
	case cancelling:
		o := c.buy(key, body)
		m.diesCancelling(c, at.point, o.ID)
		return o.ID, "CANCELLED"
	case away:
		m.stopProvider()
		defer m.startProvider(strings.TrimPrefix(m.cfg.SandboxURL, "http://"))
		o := c.underway(key, body)
		c.sees(o.ID, func(o order) bool { return o.PaymentStatus == "UNKNOWN" })
		m.diesCancelling(c, at.point, o.ID)
		return o.ID, "CANCELLED"
	case telling:
		m.tells(true)
		defer m.tells(false)
	}
	id = m.diesBuying(c, at.point, key, body)
	if at.method == "pm_declined" || at.during == soldOut {
		return id, "FAILED"
	}
	return id, "COMPLETED"
}

// diesCancelling cancels while the instance dies, and again afterwards.
func (m *mortal) diesCancelling(c customer, point, order string) {
	m.t.Helper()
	cancel := func() (answer, error) { return c.send(http.MethodPost, "/orders/"+order+"/cancel", nil) }
	m.diesAt(point, func() { _, _ = cancel() }) // it may well be lost
	if a, err := cancel(); err != nil || a.status != http.StatusAccepted {
		m.t.Errorf("killed %s, and cancelled again: %d %s, %v", point, a.status, a.body, err)
	}
}

// diesBuying buys while the instance dies, and again under the same key until there is an order. It is the same one if there was one before.
func (m *mortal) diesBuying(c customer, point, key string, body map[string]any) (id string) {
	m.t.Helper()
	post := func() (o order, err error) {
		a, err := c.ask(http.MethodPost, "/orders", body, "Idempotency-Key", key)
		if err == nil && a.status/100 != 2 {
			return o, fmt.Errorf("%d %s", a.status, a.body) // the dead may still have the key's lock, for seconds
		}
		if err == nil {
			err = json.Unmarshal(a.body, &o)
		}
		return o, err
	}
	var first, o order
	m.diesAt(point, func() {
		var err error
		if first, err = post(); err != nil { // it may well be lost
			m.t.Logf("killed %s: %v", point, err)
		}
	})
	testkit.Eventually(m.t, 3*time.Minute, func() (err error) { o, err = post(); return err })
	if first.ID != "" && first.ID != o.ID {
		m.t.Errorf("killed %s: order %q, then %q", point, first.ID, o.ID)
	}
	return o.ID
}

// tells makes the provider one that sends webhooks at once and is silent on the request itself, or again one as ever.
func (m *mortal) tells(on bool) {
	m.t.Helper()
	m.stopProvider()
	m.hooks, m.hangFor = sandbox.Webhooks{}, 0
	if on {
		m.hooks = sandbox.Webhooks{URL: m.url + "/api/v1/webhooks/payments/sandbox", Secret: hookSecret, Delay: -1}
		m.hangFor = time.Minute
	}
	m.startProvider(strings.TrimPrefix(m.cfg.SandboxURL, "http://"))
}
