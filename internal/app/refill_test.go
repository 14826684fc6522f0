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
	robber := &robber{t: t, url: s.cfg.RabbitMQURL}
	queues := []string{"order", "inventory", "payment", "view", "shelf"}
	var orders []string
	for i := range 45 {
		var o order
		method := []string{"pm_ok", "pm_declined", "pm_slow"}[i%3]
		alice.must(http.StatusAccepted, http.MethodPost, "/orders", buyNow(mug, 1, method), "Idempotency-Key", fmt.Sprint(i)).into(t, &o)
		orders = append(orders, o.ID)
		robber.rob(s.cfg.Namespace+"."+queues[random.IntN(len(queues))], i%11 == 10)
	}
	for _, id := range orders {
		alice.end(id)
	}
	t.Logf("%d messages were lost on the way", robber.took)
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
	if refilled < robber.took {
		t.Errorf("%d messages were lost, and %d facts published again: %+v", robber.took, refilled, status.Refills)
	}
	s.operator().must(http.StatusAccepted, http.MethodPost, "/admin/refills", `{"module":"view"}`)
	s.operator().must(http.StatusUnprocessableEntity, http.MethodPost, "/admin/refills", `{"module":"nobody"}`)
}

// robber takes messages out of queues that are in use.
type robber struct {
	t    *testing.T
	url  string
	conn *amqp.Connection
	took int
}

// rob purges or deletes a queue as soon as somebody consumes from it.
func (r *robber) rob(queue string, whole bool) {
	r.t.Helper()
	testkit.Eventually(r.t, 2*time.Minute, func() error {
		ch, err := r.channel()
		if err != nil {
			return err
		}
		defer ch.Close()
		if q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil); err != nil || q.Consumers == 0 {
			return fmt.Errorf("%s has no consumer: %w", queue, err)
		}
		take := func() (int, error) { return ch.QueuePurge(queue, false) }
		if whole {
			take = func() (int, error) { return ch.QueueDelete(queue, false, false, false) }
		}
		n, err := take()
		r.took += n
		return err
	})
}

// channel connects anew where the broker has closed the connection: it does when a queue is not quite there.
func (r *robber) channel() (*amqp.Channel, error) {
	if r.conn == nil || r.conn.IsClosed() {
		conn, err := amqp.Dial(r.url)
		if err != nil {
			return nil, err
		}
		r.t.Cleanup(func() { _ = conn.Close() })
		r.conn = conn
	}
	return r.conn.Channel()
}
