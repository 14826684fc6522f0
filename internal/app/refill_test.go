package app_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// Queues are purged and deleted while orders are under way: all of them come to their ends.
func TestPurgedAndDeletedQueuesStrandNobody(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(testkit.Seed(t), 0))
	s := open(t, func(c *config.Config) { c.RefillAfter = time.Second; c.ConsumerBatch = 1 })
	mug, alice := s.product("MUG", 1275, 1000), s.customer("alice")
	conn, err := amqp.Dial(s.cfg.RabbitMQURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	queues := []string{"order", "inventory", "payment", "view", "shelf"}
	var orders []string
	lost := 0
	for i := range 45 {
		var o order
		method := []string{"pm_ok", "pm_declined", "pm_slow"}[i%3]
		alice.must(http.StatusAccepted, http.MethodPost, "/orders", buyNow(mug, 1, method), "Idempotency-Key", fmt.Sprint(i)).into(t, &o)
		orders = append(orders, o.ID)
		queue := s.cfg.Namespace + "." + queues[random.IntN(len(queues))]
		rob := func() (int, error) { return ch.QueuePurge(queue, false) }
		if i%7 == 6 {
			rob = func() (int, error) { return ch.QueueDelete(queue, false, false, false) }
		}
		n, err := rob()
		lost += n
		if err != nil { // a queue that is being deleted or made closes the channel
			if ch, err = conn.Channel(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, id := range orders {
		alice.end(id)
	}
	t.Logf("%d messages were lost on the way", lost)
	s.clean()
	var status struct {
		Refills []struct {
			Module string `json:"module"`
			Facts  int    `json:"facts"`
		} `json:"refills"`
	}
	s.operator().must(http.StatusOK, http.MethodGet, "/admin/status", nil).into(t, &status)
	refilled := 0
	for _, r := range status.Refills {
		refilled += r.Facts
	}
	if refilled < lost {
		t.Errorf("%d messages were lost, and %d facts published again: %+v", lost, refilled, status.Refills)
	}
	s.operator().must(http.StatusAccepted, http.MethodPost, "/admin/refills", `{"module":"view"}`)
	s.operator().must(http.StatusUnprocessableEntity, http.MethodPost, "/admin/refills", `{"module":"nobody"}`)
}
