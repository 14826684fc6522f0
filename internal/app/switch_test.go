package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/saga"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// Orders of every strategy are under way at once, since their provider is away, while --strategy is changed by one restart after the
// other, and --outbox-mode with it. When the provider is back all of them end as they began: each by its own table.
func TestDrillTheStrategyIsSwitched(t *testing.T) {
	t.Parallel()
	each, ways := testkit.Size(6, 1000), saga.All()
	s := open(t, strategy(ways[0].Name), outboxMode("polling"))
	mug := s.product("MUG", 1275, 1_000_000)
	s.stopProvider()
	want := map[string]map[string]int{}
	for i, way := range ways {
		if i > 0 {
			s.stop()
			s.cfg.Strategy, s.cfg.OutboxMode = way.Name, []string{"polling", "cdc"}[i%2]
			s.start()
		}
		s.placeMany(way.Name, mug, each)
		want[way.Name] = map[string]int{"COMPLETED": each - each/3, "FAILED": each / 3}
	}
	for way, statuses := range s.statuses() {
		if n := statuses["COMPLETED"] + statuses["FAILED"]; n > 0 || statuses["CREATED"]+statuses["PROCESSING"] != each {
			t.Errorf("%s: %v are not under way", way, statuses)
		}
	}
	s.startProvider(strings.TrimPrefix(s.cfg.SandboxURL, "http://"))
	var got map[string]map[string]int
	testkit.Eventually(t, 5*time.Minute, func() error {
		got = s.statuses()
		for way, statuses := range got {
			if statuses["COMPLETED"]+statuses["FAILED"] < each {
				return fmt.Errorf("%s: %v", way, statuses)
			}
		}
		return nil
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ends by strategy (-want +got):\n%s", diff)
	}
	s.clean()
}

// placeMany buys with no wait and no strategy asked for. The money of every third order will be declined.
func (s *shop) placeMany(way, product string, orders int) {
	s.t.Helper()
	var buying sync.WaitGroup
	atOnce := make(chan struct{}, 16)
	for i := range orders {
		method := "pm_ok"
		if i%3 == 2 {
			method = "pm_declined"
		}
		atOnce <- struct{}{}
		buying.Go(func() {
			defer func() { <-atOnce }()
			a, err := s.customer(fmt.Sprint("customer ", i)).ask(http.MethodPost, "/orders", buyNow(product, 1, method), "Idempotency-Key", way)
			if err != nil || a.status != http.StatusAccepted {
				s.t.Errorf("%s: %d %s, %v", way, a.status, a.body, err)
			}
		})
	}
	buying.Wait()
}

// statuses counts orders by strategy and status.
func (s *shop) statuses() map[string]map[string]int {
	s.t.Helper()
	rows, err := s.env.DB.Query(s.t.Context(), `SELECT strategy, status, count(*) FROM orders.orders GROUP BY 1, 2`)
	if err != nil {
		s.t.Fatal(err)
	}
	counts := map[string]map[string]int{}
	var way, status string
	var n int
	_, err = pgx.ForEachRow(rows, []any{&way, &status, &n}, func() error {
		if counts[way] == nil {
			counts[way] = map[string]int{}
		}
		counts[way][status] = n
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return counts
}
