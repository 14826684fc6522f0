package app_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// Orders go through lanes. The instance is killed with -9 while lanes are at work, and starts again with another number of lanes:
// what was under way comes to its end, and nothing is left in lanes that are no more.
func TestLanesAreKilledAndChanged(t *testing.T) {
	t.Parallel()
	s := open(t, strategy("sequenced"), func(c *config.Config) { c.InventoryLanes = 4 })
	var items []map[string]any // in each of the lanes
	for n, lanes := 0, map[int]bool{}; len(lanes) < 4; n++ {
		id := s.product(fmt.Sprint("MUG-", n), 100, 1000)
		if lane := inventory.LaneOf(uuid.MustParse(id), 4); !lanes[lane] {
			lanes[lane] = true
			items = append(items, map[string]any{"product_id": id, "quantity": 1})
		}
	}
	scarce := s.product("SCARCE", 100, 1)
	s.lanes(4)

	m := s.processes()
	alice := s.customer("alice")
	basket := func(method string) map[string]any { return map[string]any{"payment_method": method, "items": items} }
	want := map[string]string{}
	for i, c := range []struct {
		point string
		lanes int // afterwards
	}{
		{"hearing inventory LaneReserve", 1},
		{"heard inventory LaneReserve", 3},
	} {
		var o order
		m.diesAt(c.point, func() {
			alice.must(http.StatusAccepted, http.MethodPost, "/orders", basket("pm_ok"), "Idempotency-Key", fmt.Sprint("kill", i)).into(t, &o)
			m.cfg.InventoryLanes = c.lanes
		})
		want[o.ID] = "COMPLETED"
		declined := alice.buy(fmt.Sprint("declined", i), basket("pm_declined"))
		want[declined.ID] = "FAILED"
		cancelled := alice.buy(fmt.Sprint("cancelled", i), basket("pm_ok"))
		alice.must(http.StatusAccepted, http.MethodPost, "/orders/"+cancelled.ID+"/cancel", nil)
		want[cancelled.ID] = "CANCELLED"
		s.lanes(c.lanes)
	}
	bob := s.customer("bob")
	bob.buy("last", buyNow(scarce, 1, "pm_ok"))
	s.operator().must(http.StatusOK, http.MethodPost, "/admin/products/"+scarce+"/restock", map[string]any{"quantity": 1, "reason": "found"})
	last := map[string]any{"payment_method": "pm_ok", "items": append(slices.Clone(items), map[string]any{"product_id": scarce, "quantity": 1})}
	testkit.Eventually(t, 3*time.Minute, func() error {
		a, err := alice.send(http.MethodPost, "/orders", last, "Idempotency-Key", "restocked")
		if err == nil && a.status != http.StatusAccepted {
			err = fmt.Errorf("%d %s", a.status, a.body)
		}
		var o order
		if err == nil {
			a.into(t, &o)
			want[o.ID] = "COMPLETED"
		}
		return err
	})
	for id, status := range want {
		if o := alice.end(id); o.Status != status {
			t.Errorf("%+v, want %s", o, status)
		}
	}
	s.clean()
}

// lanes waits until there are exactly so many, each with its consumer, by the operators' page, and none beyond by the broker.
func (s *shop) lanes(n int) {
	s.t.Helper()
	testkit.Eventually(s.t, 3*time.Minute, func() error {
		var st status
		s.operator().must(http.StatusOK, http.MethodGet, "/admin/status", nil).into(s.t, &st)
		served := 0
		for _, q := range st.Queues {
			for lane := range inventory.MaxLanes {
				if q.Queue == fmt.Sprintf("%s.inventory.lane.%d", s.cfg.Namespace, lane) && q.Consumers > 0 && !q.Missing {
					served++
				}
			}
		}
		if there := s.laneQueues(); served != n || there != n {
			return fmt.Errorf("%d lanes are served and %d are there, want %d", served, there, n)
		}
		return nil
	})
}

// laneQueues counts the lanes' queues that the broker has.
func (s *shop) laneQueues() int {
	s.t.Helper()
	conn, err := amqp.Dial(s.cfg.RabbitMQURL)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	there := 0
	for lane := range 5 {
		ch, err := conn.Channel()
		if err != nil {
			s.t.Fatal(err)
		}
		if _, err := ch.QueueDeclarePassive(fmt.Sprintf("%s.inventory.lane.%d", s.cfg.Namespace, lane), true, false, false, false, nil); err == nil {
			there++
		}
		_ = ch.Close()
	}
	return there
}
