package app_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/stack"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// allStrategies may all be asked for, so that one shop has orders of each.
var allStrategies = []string{"optimistic", "post-payment", "parallel", "orchestrated", "sequenced", "pessimistic"}

// A synchronous standby stalls in the middle of a sale: no commit is answered, and the facts of each are in the log before anybody
// sees what they are about. Every order ends as if nothing had been, and whoever repeats a request whose end is not known gets the one
// order that it made.
func TestDrillASynchronousStandbyStalls(t *testing.T) {
	t.Parallel()
	stalls := []time.Duration{3 * time.Second}
	if testkit.Size(0, 1) == 1 {
		stalls = []time.Duration{13 * time.Second, 45 * time.Second}
	}
	servers := testkit.PrivatePair(t)
	var shops []*shop
	for _, mode := range []string{"cdc", "polling"} {
		shops = append(shops, openOn(t, testkit.NewOn(t, servers), outboxMode(mode), func(c *config.Config) { c.StrategiesAllowed = allStrategies }))
	}
	stall := &stall{t: t, servers: servers, env: shops[0].env}
	sales := make([]*sale, len(shops))
	for i, s := range shops {
		sales[i] = &sale{shop: s, mug: s.product("MUG", 1275, 10_000), orders: map[string]placed{}}
	}
	stall.begin()
	for i, length := range stalls {
		var customers sync.WaitGroup
		for _, s := range sales {
			s.buyAll(&customers, fmt.Sprintf("before-%d", i)) // under way when it begins
		}
		servers.Standby().Pause()
		for _, s := range sales {
			s.buyAll(&customers, fmt.Sprintf("during-%d", i))
		}
		stall.waits()
		select {
		case <-time.After(length): // how long the fault lasts, and nothing that is waited for
		case <-t.Context().Done():
		}
		servers.Standby().Resume()
		customers.Wait()
	}
	for _, s := range sales {
		s.judge()
	}
}

// stall makes commits wait for the standby.
type stall struct {
	t       *testing.T
	servers *stack.Stack
	env     *testkit.Env
}

// begin lets every commit wait for the standby from now on.
func (s *stall) begin() {
	s.t.Helper()
	for _, sql := range []string{`ALTER SYSTEM SET synchronous_standby_names = '` + stack.StandbyName + `'`, `SELECT pg_reload_conf()`} {
		if _, err := s.env.DB.Exec(s.t.Context(), sql); err != nil {
			s.t.Fatal(err)
		}
	}
	testkit.Eventually(s.t, time.Minute, func() error {
		var state string
		err := s.env.DB.QueryRow(s.t.Context(), `SELECT sync_state FROM pg_stat_replication WHERE application_name = $1`, stack.StandbyName).Scan(&state)
		if err == nil && state != "sync" {
			err = errors.New(state)
		}
		return err
	})
}

// waits returns when a commit waits.
func (s *stall) waits() {
	s.t.Helper()
	testkit.Eventually(s.t, time.Minute, func() error {
		var waits bool
		err := s.env.DB.QueryRow(s.t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')`).Scan(&waits)
		if err == nil && !waits {
			err = errors.New("no commit waits for the standby")
		}
		return err
	})
}

// sale is customers who buy in every strategy.
type sale struct {
	*shop
	mug string

	mu      sync.Mutex
	orders  map[string]placed // by key
	unknown int               // answers that left open whether there is an order
}

// placed is an order that was accepted, and how it has to end.
type placed struct{ id, method string }

// buyAll has customers buy in every strategy, each until there is an answer.
func (s *sale) buyAll(all *sync.WaitGroup, when string) {
	for _, way := range allStrategies {
		for _, method := range []string{"pm_ok", "pm_declined"} {
			all.Go(func() { s.insist(way, method, when+"/"+way+"/"+method) })
		}
	}
}

// insist buys, and asks again under the same key while it is not known whether there is an order. Whoever pays waits for the answer for
// as long as it takes, others hang up after a second.
func (s *sale) insist(way, method, key string) {
	body := buyNow(s.mug, 1, method)
	body["strategy"] = way
	c := s.customer(key)
	testkit.Eventually(s.t, 5*time.Minute, func() error {
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
		if method != "pm_ok" {
			ctx, cancel = context.WithTimeout(s.t.Context(), time.Second)
		}
		defer cancel()
		a, err := c.sendWithin(ctx, http.MethodPost, "/orders", body, "Idempotency-Key", key)
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case err != nil, a.status == http.StatusServiceUnavailable, bytes.Contains(a.body, []byte("/problems/idempotency-key-in-use")):
			s.unknown++
			return fmt.Errorf("%s: %d %s %w", key, a.status, a.body, errors.Join(err, errors.New("no answer")))
		case a.status != http.StatusCreated && a.status != http.StatusAccepted:
			s.t.Errorf("%s: %d %s", key, a.status, a.body)
			return nil
		}
		var o order
		a.into(s.t, &o)
		s.orders[key] = placed{o.ID, method}
		return nil
	})
}

// judge wants one order a key, each with the end that it would have had, no fact put aside, and all of it to add up.
func (s *sale) judge() {
	s.t.Helper()
	ends := map[string]string{"pm_ok": "COMPLETED", "pm_declined": "FAILED PAYMENT_FAILED"}
	got, want := map[string]string{}, map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(s.orders)) {
		p := s.orders[key]
		o := s.customer(key).end(p.id)
		got[key], want[key] = o.Status, ends[p.method]
		if o.FailureReason != "" {
			got[key] += " " + o.FailureReason
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Errorf("%s: ends (-want +got):\n%s", s.cfg.OutboxMode, diff)
	}
	var orders, letters int
	err := s.env.DB.QueryRow(s.t.Context(), `SELECT (SELECT count(*) FROM orders.orders), (SELECT count(*) FROM shared.dead_letters)`).Scan(&orders, &letters)
	if err != nil || orders != len(s.orders) || letters > 0 {
		s.t.Errorf("%s: %d orders of %d keys, %d dead letters: %v", s.cfg.OutboxMode, orders, len(s.orders), letters, err)
	}
	s.clean()
	s.t.Logf("%s: %d orders, %d answers that left it open", s.cfg.OutboxMode, len(s.orders), s.unknown)
}
