package app_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/saga"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// status is what the operators' page says.
type status struct {
	Strategy   string `json:"strategy"`
	OutboxMode string `json:"outbox_mode"`
	Outbox     struct {
		Mode    string  `json:"mode"`
		Leading bool    `json:"leading"`
		Rows    int64   `json:"rows"`
		Bytes   int64   `json:"bytes"`
		Seconds float64 `json:"seconds"`
		Slot    *struct {
			Name     string `json:"name"`
			Active   bool   `json:"active"`
			Status   string `json:"wal_status"`
			Retained int64  `json:"retained"`
		} `json:"slot"`
	} `json:"outbox"`
	Leaders []struct {
		Name   string `json:"name"`
		Holder string `json:"holder"`
		Term   int64  `json:"term"`
		Live   bool   `json:"live"`
	} `json:"leaders"`
	Publisher struct {
		Ready       bool   `json:"ready"`
		Why         string `json:"why"`
		Unconfirmed int64  `json:"unconfirmed"`
		Window      int64  `json:"window"`
	} `json:"publisher"`
	Queues []struct {
		Queue     string `json:"queue"`
		Messages  int    `json:"messages"`
		Consumers int    `json:"consumers"`
		Missing   bool   `json:"missing"`
	} `json:"queues"`
	QueuesError    string `json:"queues_error"`
	OrdersUnderWay int64  `json:"orders_under_way"`
	OrdersEnding   int64  `json:"orders_ending"`
	OrdersUnknown  int64  `json:"orders_unknown"`
	Payments       struct {
		Pending  int64
		Accounts []struct{ Account, Error string }
	}
	DeadLetters struct {
		Open       int64 `json:"open"`
		Quarantine int64 `json:"quarantine"`
		Replayed   int64 `json:"replayed"`
	} `json:"dead_letters"`
	Hearing []struct {
		Module      string `json:"module"`
		Heard       int64  `json:"heard"`
		DeadLetters int64  `json:"dead_letters"`
	} `json:"hearing"`
	Refills []struct {
		Module string `json:"module"`
	} `json:"refills"`
	LastReconciliation *struct {
		ID string `json:"id"`
	} `json:"last_reconciliation"`
}

func (s *shop) status() (st status) {
	s.t.Helper()
	s.operator().must(http.StatusOK, http.MethodGet, "/admin/status", nil).into(s.t, &st)
	return st
}

// eventuallyStatus waits until the status is as it should be.
func (s *shop) eventuallyStatus(good func(status) bool) (st status) {
	s.t.Helper()
	testkit.Eventually(s.t, 3*time.Minute, func() error {
		if st = s.status(); !good(st) {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	return st
}

// Without the broker the lag is exactly what waits; with it everything else is as it is known to be.
func TestStatusSaysWhatIsSo(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	broker := env.RabbitURL
	env.RabbitURL = "amqp://127.0.0.1:1/" // nobody listens
	s := openOn(t, env)
	mug, alice := s.product("MUG", 1275, 10), s.customer("alice")
	var o order
	alice.must(http.StatusAccepted, http.MethodPost, "/orders", buyNow(mug, 1, "pm_ok"), "Idempotency-Key", "k").into(t, &o)
	var rows, bytes int64
	if err := env.DB.QueryRow(t.Context(), `SELECT count(*), sum(octet_length(body)) FROM shared.outbox`).Scan(&rows, &bytes); err != nil || rows != 2 {
		t.Fatalf("%d facts, %v", rows, err)
	}
	st := s.status()
	if st.Outbox.Rows != rows || st.Outbox.Bytes != bytes || st.Outbox.Seconds <= 0 {
		t.Errorf("lag %+v, want %d rows, %d bytes", st.Outbox, rows, bytes)
	}
	if st.Publisher.Ready || st.Publisher.Why == "" || st.Publisher.Window != 1024 || st.QueuesError == "" || len(st.Queues) != 0 {
		t.Errorf("without a broker: %+v, %q, %+v", st.Publisher, st.QueuesError, st.Queues)
	}
	if st.OrdersUnderWay != 1 || st.OrdersEnding != 0 || st.OrdersUnknown != 0 || st.Strategy != "optimistic" || st.OutboxMode != "cdc" || st.Outbox.Mode != "cdc" {
		t.Errorf("%+v", st)
	}

	s.stop()
	s.cfg.RabbitMQURL = broker
	s.stopProvider()
	s.start()
	s.eventuallyStatus(func(st status) bool { // a provider that has not said who it is is asked for nothing
		p := st.Payments
		return st.OrdersUnderWay == 1 && p.Pending == 1 && len(p.Accounts) == 1 && p.Accounts[0].Account == "" && p.Accounts[0].Error != ""
	})
	s.startProvider(strings.TrimPrefix(s.cfg.SandboxURL, "http://"))
	alice.end(o.ID)
	st = s.eventuallyStatus(func(st status) bool {
		return st.Outbox.Rows == 0 && st.Outbox.Leading && st.LastReconciliation != nil && len(st.Queues) == 8 && st.Publisher.Unconfirmed == 0
	})
	if st.Outbox.Bytes != 0 || st.Outbox.Seconds != 0 || st.Outbox.Slot == nil || !st.Outbox.Slot.Active || st.Outbox.Slot.Status != "reserved" ||
		!strings.HasPrefix(st.Outbox.Slot.Name, env.Namespace) || !st.Publisher.Ready || st.Publisher.Why != "" || st.OrdersUnderWay+st.OrdersUnknown != 0 {
		t.Errorf("%+v", st)
	}
	for _, q := range st.Queues {
		if q.Messages != 0 || q.Missing || q.Consumers != 1 || !strings.HasPrefix(q.Queue, env.Namespace) {
			t.Errorf("queue %+v", q)
		}
	}
	s.eventuallyStatus(func(st status) bool {
		live := 0
		for _, l := range st.Leaders {
			if (l.Name == "refill" || l.Name == "partitions") && l.Live && l.Term > 0 && l.Holder != "" {
				live++
			}
		}
		return live == 2
	})
	var modules []string
	for _, h := range st.Hearing {
		if modules = append(modules, h.Module); h.Heard == 0 && h.Module != saga.LaneQueue(0) {
			t.Errorf("%s has heard nothing", h.Module)
		}
	}
	if diff := cmp.Diff([]string{"inventory", saga.LaneQueue(0), "order", "payment", "shelf", "view"}, modules); diff != "" || len(st.Refills) != 5 {
		t.Errorf("who hears (-want +got):\n%s%+v", diff, st.Refills)
	}
	s.metrics("holdfast_broker_unconfirmed", "holdfast_broker_queue_messages", "holdfast_broker_redelivered_total", "holdfast_broker_refilled_total",
		"holdfast_dead_letters_open", "holdfast_broker_parked", "holdfast_broker_strays_total")
}

// metrics wants metrics to be there by these names, as far as anything was counted.
func (s *shop) metrics(names ...string) {
	s.t.Helper()
	text := s.metricsNow()
	empty := []string{"holdfast_broker_redelivered_total", "holdfast_broker_refilled_total", "holdfast_dead_letters_open"} // nothing to count yet
	for _, name := range names {
		if !strings.Contains(text, name) && !slices.Contains(empty, name) {
			s.t.Errorf("there is no metric %s", name)
		}
	}
}

// metricsNow is what Prometheus would be answered.
func (s *shop) metricsNow() string {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+"/metrics", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// A fact that is older than the inbox remembers is put into quarantine, and is not done, however often it is replayed.
func TestFactsOlderThanTheRetentionAreNotDone(t *testing.T) {
	t.Parallel()
	s := open(t)
	mug := s.product("MUG", 1275, 10)
	old := event.New(event.OrderCreated, "optimistic", uuid.Must(uuid.NewV7()), event.Order{
		Customer: "ada", Lines: []event.OrderLine{{ProductID: uuid.MustParse(mug), Quantity: 1}},
		Terms: event.Terms{TotalMinor: 1275, Currency: "GBP", PaymentMethod: "pm_ok"},
	})
	ms := time.Now().Add(-8 * 24 * time.Hour).UnixMilli()
	for i := range 6 {
		old.ID[i] = byte(ms >> (40 - 8*i))
	}
	conn, err := amqp.Dial(s.cfg.RabbitMQURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s.eventuallyStatus(func(st status) bool {
		heard := 0
		for _, q := range st.Queues {
			heard += min(q.Consumers, 1)
		}
		return heard == 8
	})
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	err = ch.PublishWithContext(t.Context(), "", s.cfg.Namespace+".inventory", false, false, amqp.Publishing{Body: event.Encode(old)})
	if err != nil {
		t.Fatal(err)
	}
	s.eventuallyStatus(func(st status) bool { return st.DeadLetters.Open == 1 && st.DeadLetters.Quarantine == 1 })
	s.operator().must(http.StatusAccepted, http.MethodPost, "/admin/dead-letters/replay", `{"module":"inventory"}`)
	s.eventuallyStatus(func(st status) bool { return st.DeadLetters.Open == 1 && st.DeadLetters.Quarantine == 1 })
	var list struct {
		Items []struct {
			Reason   string `json:"reason"`
			Attempts int    `json:"attempts"`
			Heard    bool   `json:"heard"`
		} `json:"items"`
	}
	testkit.Eventually(t, 3*time.Minute, func() error {
		s.operator().must(http.StatusOK, http.MethodGet, "/admin/dead-letters?state=open", nil).into(t, &list)
		if len(list.Items) != 1 || list.Items[0].Attempts != 2 {
			return fmt.Errorf("%+v", list)
		}
		return nil
	})
	if got := list.Items[0]; got.Reason != "permanent" || got.Heard {
		t.Errorf("%+v", got)
	}
	var done int
	err = errors.Join(s.env.DB.QueryRow(t.Context(), `SELECT count(*) FROM inventory.reservations WHERE order_id = $1`, old.OrderID).Scan(&done))
	if err != nil || done != 0 {
		t.Errorf("it was done: %d reservations, %v", done, err)
	}
}
