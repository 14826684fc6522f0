package app_test

import (
	"fmt"
	"net/http"
	"testing"
)

// All is done in the request that buys: the answer is the end, without a wait and without RabbitMQ. Only what the provider has not
// answered ends later.
func TestPessimisticEndsInTheRequest(t *testing.T) {
	t.Parallel()
	s := open(t, strategy("pessimistic"), holdOnOrder(false))
	mug, rare, alice := s.product("MUG", 1275, 1000), s.product("RARE", 100, 1), s.customer("alice")
	buy := func(status int, product, method string, quantity int64) order {
		t.Helper()
		var o order
		alice.must(status, http.MethodPost, "/orders", buyNow(product, quantity, method), "Idempotency-Key", fmt.Sprint(product, method, quantity)).into(t, &o)
		return o
	}
	wants := func(o order, status, reason, payment, inventory string) {
		t.Helper()
		if o.Status != status || o.FailureReason != reason || o.PaymentStatus != payment || o.InventoryStatus != inventory {
			t.Errorf("%+v, want %s %s %s %s", o, status, reason, payment, inventory)
		}
	}
	wants(buy(201, mug, "pm_ok", 1), "COMPLETED", "", "SUCCESS", "RESERVED")
	wants(buy(201, mug, "pm_declined", 2), "FAILED", "PAYMENT_FAILED", "DECLINED", "RELEASED")
	wants(buy(201, rare, "pm_ok", 2), "FAILED", "OUT_OF_STOCK", "NOT_STARTED", "OUT_OF_STOCK")
	lost := buy(202, mug, "pm_timeout_after_charge", 1)
	wants(lost, "PROCESSING", "", "UNKNOWN", "RESERVED")

	there := s.cfg.RabbitMQURL
	s.stop()
	s.cfg.RabbitMQURL = "amqp://127.0.0.1:1/"
	s.start()
	wants(buy(201, mug, "pm_ok", 3), "COMPLETED", "", "SUCCESS", "RESERVED")
	wants(buy(201, mug, "pm_declined", 3), "FAILED", "PAYMENT_FAILED", "DECLINED", "RELEASED")
	s.stop()
	s.cfg.RabbitMQURL = there
	s.start()
	wants(alice.end(lost.ID), "COMPLETED", "", "SUCCESS", "RESERVED")
	s.clean()
	var letters int
	if err := s.env.DB.QueryRow(t.Context(), `SELECT count(*) FROM shared.dead_letters`).Scan(&letters); err != nil || letters > 0 {
		t.Errorf("%d dead letters, %v", letters, err)
	}
}
