package app_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/holdfast-checkout/holdfast/docs/notify"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// The consumer of docs/events.md hears of every end, with all that it needs to tell the customer.
func TestAnotherProgramHearsOfEnds(t *testing.T) {
	t.Parallel()
	s := open(t)
	told := s.listen()
	mug, pen := s.product("MUG", 1275, 10), s.product("PEN", 100, 10)
	body := func(method string) map[string]any {
		return map[string]any{"payment_method": method, "items": []any{
			map[string]any{"product_id": mug, "quantity": 2}, map[string]any{"product_id": pen, "quantity": 3},
		}}
	}
	alice, ben := s.customer("alice"), s.customer("ben")
	o := alice.buy("k", body("pm_ok"))
	alice.must(http.StatusAccepted, http.MethodPost, "/orders/"+o.ID+"/cancel", nil)
	alice.end(o.ID)
	ben.buy("k", body("pm_declined"))

	want := map[string]bool{
		"order.completed alice  2850 GBP [{MUG Product MUG 2} {PEN Product PEN 3}]":          true,
		"order.cancelled alice  2850 GBP [{MUG Product MUG 2} {PEN Product PEN 3}]":          true,
		"order.failed ben PAYMENT_FAILED 2850 GBP [{MUG Product MUG 2} {PEN Product PEN 3}]": true,
	}
	got, ids := map[string]bool{}, map[string]bool{}
	for len(got) < len(want) {
		select {
		case e := <-told:
			d := e.Data
			got[fmt.Sprintf("%s %s %s %d %s %v", e.Type, d.Customer, d.FailureReason, d.TotalMinor, d.Currency, d.Lines)] = true
			ids[e.ID] = true
		case <-time.After(time.Minute):
			t.Fatalf("heard of no more than %v", got)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(ids) != len(want) {
		t.Errorf("%d facts (-want +got):\n%s", len(ids), diff)
	}
	s.clean()
}

// listen lets the consumer of docs/events.md hear on a queue of its own, until the test ends.
func (s *shop) listen() <-chan notify.Ended {
	s.t.Helper()
	conn, err := amqp.Dial(s.env.RabbitURL)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	var ch *amqp.Channel
	exchange := s.env.Namespace + ".events"
	testkit.Eventually(s.t, 3*time.Minute, func() error { // until the instance has declared it; the answer no ends the channel
		if ch, err = conn.Channel(); err != nil {
			return err
		}
		return ch.ExchangeDeclarePassive(exchange, "topic", true, false, false, false, nil)
	})
	queue, told := s.env.Namespace+".mailer", make(chan notify.Ended, 100)
	background(s.t, "mailer", func(ctx context.Context) error {
		err := notify.Listen(ctx, ch, exchange, queue, func(e notify.Ended) error { told <- e; return nil })
		if ctx.Err() != nil && errors.Is(err, amqp.ErrClosed) {
			return nil
		}
		return err
	})
	testkit.Eventually(s.t, 3*time.Minute, func() error {
		ask, err := conn.Channel() // a question about a queue that is not there ends its channel
		if err != nil {
			return err
		}
		defer ask.Close()
		q, err := ask.QueueDeclarePassive(queue, true, false, false, false, nil)
		if err == nil && q.Consumers == 0 {
			err = errors.New("nobody listens yet")
		}
		return err
	})
	return told
}
