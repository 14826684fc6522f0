package broker

import (
	"errors"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// A queue, and an exchange, that are there with other arguments stop nobody, that queue's own module included: what differs is
// named until the queue is made anew, which loses nothing that waits in it.
func TestWhatIsDeclaredOtherwiseStopsNobody(t *testing.T) {
	t.Parallel()
	cfg := newConfig(t)
	anew := make(chan string, 10)
	cfg.Anew = func(queue string) { anew <- queue }
	inventory := cfg.Topology.Queue("inventory")
	onChannel(t, cfg, func(ch *amqp.Channel) error {
		if _, err := ch.QueueDeclare(inventory, true, false, false, false, amqp.Table{"x-queue-type": "quorum", "x-max-length": 9}); err != nil {
			return err
		}
		return ch.ExchangeDeclare(cfg.Topology.Exchange(), amqp.ExchangeTopic, true, false, false, false, nil)
	})
	p := startPublisher(t, cfg)
	inventoryEars, orderEars := &ears{}, &ears{}
	start(t, NewConsumer(cfg, p, Subscription{Module: "order", Handle: orderEars.hear}).Run)
	stop := start(t, NewConsumer(cfg, p, Subscription{Module: "inventory", Handle: inventoryEars.hear}).Run)
	facts := createdMany(5)
	reserved := event.New(event.StockReserved, "optimistic", facts[0].OrderID, map[string]int{})
	if err := p.Publish(t.Context(), append(messages(cfg, facts), message(cfg, reserved))...); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 20*time.Second, func() error { return errors.Join(inventoryEars.has(facts), orderEars.has([]event.Fact{reserved})) })
	named := map[string]string{}
	for _, d := range cfg.Metrics.Differences() {
		named[d.Queue] = d.Differs
	}
	if len(named) != 2 || !strings.Contains(named[inventory], "x-") || !strings.Contains(named["exchange "+cfg.Topology.Exchange()], "alternate-exchange") {
		t.Errorf("what differs: %v", named)
	}

	stop() // so that something waits
	<-anew // the queue of order
	more := createdMany(3)
	if err := p.Publish(t.Context(), messages(cfg, more)...); err != nil {
		t.Fatal(err)
	}
	eventuallyDepth(t, cfg, inventory, 3)
	if err := Rebuild(t.Context(), cfg, "inventory", false); !errors.Is(err, ErrBacklog) {
		t.Errorf("with messages in it: %v", err)
	}
	eventuallyDepth(t, cfg, inventory, 3)
	start(t, NewConsumer(cfg, p, Subscription{Module: "inventory", Handle: inventoryEars.hear}).Run)
	testkit.Eventually(t, 20*time.Second, func() error { return inventoryEars.has(more) })
	if err := Rebuild(t.Context(), cfg, "inventory", false); err != nil {
		t.Fatal(err)
	}
	if queue := <-anew; queue != inventory {
		t.Errorf("%s was told to be made anew", queue)
	}
	if d := cfg.Metrics.Differences(); len(d) != 1 || strings.Contains(d[0].Queue, "inventory") {
		t.Errorf("what differs when the queue was made anew: %v", d)
	}
	last := createdMany(2)
	if err := p.Publish(t.Context(), messages(cfg, last)...); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 20*time.Second, func() error { return inventoryEars.has(last) })
	onChannel(t, cfg, func(ch *amqp.Channel) error { // as this version declares it
		_, err := ch.QueueDeclare(inventory, true, false, false, false, arguments(cfg.Topology, "inventory"))
		return err
	})
}
