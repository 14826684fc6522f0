//go:build drill

package app_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/outbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// Of what the figure is: so many turns of the partitions, one a second, in each of which one is made and one has had its time, and so
// many customers, each of whom buys about ten times a second.
const (
	figureTurns     = 20
	figureCustomers = 4
	figureDays      = 10 // of partitions that go, six hours a turn
)

// What POST /orders takes while partitions turn, beside a transaction that has read every table and stays open all the while, and
// without it.
func TestDrillOrdersWhilePartitionsTurn(t *testing.T) {
	env, servers := testkit.PrivatePostgres(t)
	b := newBeside(t, env, servers)
	b.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: figureCustomers}, Timeout: 30 * time.Second}
	b.exec(fmt.Sprintf(`DO $$ DECLARE at timestamptz; name text; BEGIN
		FOR at IN SELECT generate_series(date_trunc('day', now() AT TIME ZONE 'UTC') - interval '%d days', date_trunc('day', now() AT TIME ZONE 'UTC') - interval '30 hours', interval '6 hours') AT TIME ZONE 'UTC' LOOP
			name := 'outbox_' || to_char(at AT TIME ZONE 'UTC', 'YYYYMMDD_HH24');
			IF to_regclass('shared.' || name) IS NULL THEN
				EXECUTE format('CREATE TABLE shared.%%I PARTITION OF shared.outbox FOR VALUES FROM (%%L) TO (%%L)', name, at, at + interval '6 hours');
			END IF;
		END LOOP;
	END $$`, figureDays))
	warm := &orders{beside: b}
	warm.during(5, 0)
	alone, beside := &orders{beside: b}, &orders{beside: b}
	alone.during(figureTurns, 1)
	leave := b.forgottenReader()
	beside.during(figureTurns, 1+figureTurns)
	leave()
	for name, o := range map[string]*orders{"without": alone, "beside": beside} {
		t.Logf("%s: %d orders over %d turns, p50 %v p99 %v most %v; %d were refused, %d turns left something", name, len(o.took), figureTurns,
			quantile(o.took, 50), quantile(o.took, 99), quantile(o.took, 100), o.refused, o.left)
	}
	if more := quantile(beside.took, 99) - quantile(alone.took, 99); more > 50*time.Millisecond {
		t.Errorf("p99 is %v more beside an open transaction", more)
	}
	if beside.refused+alone.refused > 0 || beside.left != figureTurns {
		t.Errorf("refused: %d and %d; left something: %d turns", alone.refused, beside.refused, beside.left)
	}
}

// orders are what customers have bought in a time.
type orders struct {
	*beside
	mu      sync.Mutex
	took    []sample
	refused int
	left    int // turns that left something
}

// during has customers buy for so many turns, a second each. From 0 the partitions stay as they are.
func (o *orders) during(turns, from int) {
	ctx, stop := context.WithCancel(o.t.Context())
	var customers sync.WaitGroup
	for n := range figureCustomers {
		customers.Go(func() { o.buy(ctx, fmt.Sprint(from, "/", n)) })
	}
	for n := range turns {
		time.Sleep(time.Second)
		if from == 0 {
			continue
		}
		kept := figureDays*24*time.Hour - time.Duration(from+n)*6*time.Hour
		left, err := outbox.KeepPartitions(o.t.Context(), o.env.DB, outbox.Keep{Outbox: kept, Inbox: kept, Ahead: 72*time.Hour + time.Duration(from+n)*6*time.Hour})
		if err != nil {
			o.t.Fatal(err)
		}
		if left != nil {
			o.left++
		}
	}
	stop()
	customers.Wait()
}

func (o *orders) buy(ctx context.Context, who string) {
	c, body := o.customer(who), buyNow(o.mug, 1, "pm_ok")
	for n := 0; ctx.Err() == nil; n++ {
		began := time.Now()
		a, err := c.sendWithin(context.WithoutCancel(ctx), http.MethodPost, "/orders", body, "Idempotency-Key", fmt.Sprint(who, "/", n))
		o.mu.Lock()
		o.took = append(o.took, sample{began, time.Since(began), a.status})
		if err != nil || a.status != http.StatusAccepted && a.status != http.StatusCreated { // it has ended already
			o.refused++
		}
		o.mu.Unlock()
		time.Sleep(time.Duration(50+rand.IntN(100)) * time.Millisecond)
	}
}
