package app_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// One queue with other arguments is named at /readyz, in the status and by a metric, orders go on, and an operator has it made
// anew; an instance of an older version does not do that.
func TestAQueueOfOtherArguments(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	queue := env.Namespace + ".view"
	conn, err := amqp.Dial(env.RabbitURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDeclare(queue, true, false, false, false, amqp.Table{"x-queue-type": "quorum"}); err != nil {
		t.Fatal(err)
	}
	s := openOn(t, env)
	mug, alice := s.product("MUG", 1275, 10), s.customer("alice")
	buy := func(key string) {
		t.Helper()
		var o order
		alice.must(http.StatusAccepted, http.MethodPost, "/orders", buyNow(mug, 1, "pm_ok"), "Idempotency-Key", key).into(t, &o)
		if o = alice.end(o.ID); o.Status != "COMPLETED" {
			t.Errorf("order %s: %+v", key, o)
		}
	}
	buy("before")
	s.eventuallyReady(http.StatusOK, "queues", "holdfast queues rebuild view")
	var list struct {
		Items []struct {
			Queue   string `json:"queue"`
			Differs string `json:"differs"`
		} `json:"items"`
	}
	differing := func() (names []string) {
		t.Helper()
		list.Items = nil
		s.operator().must(http.StatusOK, http.MethodGet, "/admin/queues", nil).into(t, &list)
		for _, q := range list.Items {
			if q.Differs != "" {
				names = append(names, q.Queue)
			}
		}
		return names
	}
	if names := differing(); len(names) != 1 || names[0] != queue {
		t.Errorf("queues that differ: %v", names)
	}
	res, err := http.Get(s.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err != nil || !strings.Contains(string(text), fmt.Sprintf("holdfast_broker_queue_differs{queue=%q} 1", queue)) {
		t.Errorf("no metric names it, %v", err)
	}

	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := env.DB.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(`INSERT INTO shared.bindings (module, key) VALUES ('view', 'next.order.weighed')`) // by a newer version
	s.operator().must(http.StatusConflict, http.MethodPost, "/admin/queues/view/rebuild", `{}`)
	exec(`DELETE FROM shared.bindings WHERE key = 'next.order.weighed'`)
	exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9001, true)`)
	s.operator().must(http.StatusConflict, http.MethodPost, "/admin/queues/view/rebuild", `{}`)
	exec(`DELETE FROM goose_db_version WHERE version_id = 9001`)
	s.operator().must(http.StatusNotFound, http.MethodPost, "/admin/queues/nobody/rebuild", `{}`)
	if names := differing(); len(names) != 1 {
		t.Errorf("queues that differ when nobody was let: %v", names)
	}
	s.operator().must(http.StatusOK, http.MethodPost, "/admin/queues/view/rebuild", `{}`)
	s.eventuallyReady(http.StatusOK, "queues", "ok")
	if names := differing(); len(names) > 0 {
		t.Errorf("queues that differ though it was made anew: %v", names)
	}
	buy("after")
}
