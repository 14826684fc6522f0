package app

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/saga"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// scene is what becomes of an order while its facts are on their way.
type scene struct {
	name     string
	method   string
	strategy string // "": the one of the stage
	short    bool   // an operator takes one of its products away before anybody has heard of it
	over     bool   // its time is over before anybody has heard of it
	cancel   bool   // its customer cancels it before anybody has heard of it
	race     bool   // its time is over, or it is cancelled, somewhere on the way: it may have ended before
	undone   bool   // its customer cancels it when it is complete

	ends string // the ends that it may have, in every strategy: status, or status/reason
}

var scenes = []scene{
	{name: "paid", method: "pm_ok", ends: "COMPLETED"},
	{name: "paid slowly", method: "pm_slow", ends: "COMPLETED"},
	{name: "asked for twice", method: "pm_error_once", ends: "COMPLETED"},
	{name: "unknown, then paid", method: "pm_timeout_after_charge", ends: "COMPLETED"},
	{name: "declined", method: "pm_declined", ends: "FAILED/PAYMENT_FAILED"},
	{name: "out of stock on one of its lines", method: "pm_ok", short: true, ends: "FAILED/OUT_OF_STOCK"},
	{name: "out of stock, unknown", method: "pm_timeout_after_charge", short: true, ends: "FAILED/OUT_OF_STOCK"},
	{name: "declined and out of stock", method: "pm_declined", short: true, ends: "FAILED/OUT_OF_STOCK FAILED/PAYMENT_FAILED"},
	{name: "timed out", method: "pm_ok", over: true, ends: "FAILED/TIMED_OUT"},
	{name: "timed out, unknown", method: "pm_timeout_after_charge", over: true, ends: "FAILED/TIMED_OUT"},
	{name: "timed out and declined", method: "pm_declined", over: true, ends: "FAILED/TIMED_OUT"},
	{name: "timed out and out of stock", method: "pm_ok", short: true, over: true, ends: "FAILED/TIMED_OUT FAILED/OUT_OF_STOCK"},
	{name: "timed out on the way", method: "pm_ok", race: true, ends: "COMPLETED FAILED/TIMED_OUT"},
	{name: "timed out on the way, unknown", method: "pm_timeout_after_charge", race: true, ends: "COMPLETED FAILED/TIMED_OUT"},
	{name: "cancelled", method: "pm_ok", cancel: true, ends: "CANCELLED"},
	{name: "cancelled and declined", method: "pm_declined", cancel: true, ends: "CANCELLED"},
	{name: "cancelled on the way", method: "pm_ok", cancel: true, race: true, ends: "CANCELLED COMPLETED"},
	{name: "cancelled when it was complete", method: "pm_ok", undone: true, ends: "CANCELLED"},
}

// Every strategy, and one that nobody has seen before, is driven through every outcome. The facts of many orders come shuffled, each
// twice at least, to two consumers at once, in batches of any size, and once more when all is over: each order ends as the same order
// does whose facts come once and in the order in which they were said, and as it does in every other strategy.
func TestDrillFactsInAnyOrder(t *testing.T) {
	t.Parallel()
	seed, orders := testkit.Seed(t), testkit.Size(len(scenes), 200*len(scenes))
	for _, way := range append(saga.All(), seventh()) {
		t.Run(way.Name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, way)
			natural := s.cast(orders)
			s.play(natural, inOrder{})
			mixed := s.cast(orders)
			s.play(mixed, &shuffled{stage: s, random: rand.New(rand.NewPCG(seed, 1))})

			want, got := s.ends(natural), s.ends(mixed)
			for i := range orders {
				what := fmt.Sprintf("order %d, %s", i, natural[i].name)
				if diff := cmp.Diff(natural[i].comparable(want[i], way.Name), mixed[i].comparable(got[i], way.Name)); diff != "" {
					t.Errorf("%s (-in order +shuffled):\n%s", what, diff)
				}
				natural[i].judge(t, what+", in order", want[i])
				mixed[i].judge(t, what+", shuffled", got[i])
			}
			s.again(rand.New(rand.NewPCG(seed, 2)))
			if diff := cmp.Diff(got, s.ends(mixed)); diff != "" {
				t.Errorf("hearing everything once more changed orders (-before +after):\n%s", diff)
			}
			s.clean()
		})
	}
}

// end is what is left of an order.
type end struct {
	Status, Reason, Payment, Inventory, Display string
	Shown                                       string // by the read model
	Taken                                       int64  // units, by the ledger of stock
	Kept                                        int64  // money, by payment's books
	Said                                        []string
}

// comparable is what two ends of the same order must agree in. How far an order had come when its time was over is chance: its
// money may never have been charged, or was given back. Where both sides are asked at once, so is how far one had come when the
// other failed, and which failed first.
func (a actor) comparable(e end, way string) end {
	switch {
	case a.race:
		return end{}
	case way == saga.Parallel.Name && a.short && a.method == "pm_declined" && !a.over:
		return end{Status: e.Status, Taken: e.Taken, Kept: e.Kept}
	case way == saga.Parallel.Name:
		return end{Status: e.Status, Reason: e.Reason, Taken: e.Taken, Kept: e.Kept}
	case a.over, a.cancel:
		return end{Status: e.Status, Reason: e.Reason, Taken: e.Taken, Kept: e.Kept}
	}
	return e
}

// judge holds an end against what must be of every order, whatever its strategy.
func (a actor) judge(t *testing.T, what string, e end) {
	t.Helper()
	once := func(names ...string) int {
		return len(slices.DeleteFunc(slices.Clone(e.Said), func(said string) bool { return !slices.Contains(names, said) }))
	}
	ok := e.Shown == e.Display && slices.Contains(strings.Fields(a.ends), strings.TrimSuffix(e.Status+"/"+e.Reason, "/"))
	for _, name := range e.Said {
		ok = ok && once(name) == 1
	}
	finals := once("order.completed", "order.failed", "order.cancelled")
	switch e.Status {
	case "COMPLETED":
		ok = ok && finals == 1 && e.Taken == a.units && e.Kept == a.total &&
			once("stock.reserved", "payment.processed") == 2 && once("stock.released", "payment.refunded", "payment.voided") == 0
	case "CANCELLED":
		ok = ok && finals-once("order.completed") == 1 && (a.race || once("order.completed") == 1 == a.undone)
		fallthrough
	case "FAILED":
		ok = ok && (finals == 1 || e.Status == "CANCELLED") && e.Taken == 0 && e.Kept == 0 &&
			once("payment.refunded", "payment.voided", "payment.failed") <= 1 && once("stock.released", "stock.failed") <= 1
	default:
		ok = false
	}
	if !ok {
		t.Errorf("%s: %+v of %d units for %d", what, e, a.units, a.total)
	}
}

// actor is an order with a part to play.
type actor struct {
	scene
	id    uuid.UUID
	units int64
	total int64
}

func ids(actors []actor) []uuid.UUID {
	list := make([]uuid.UUID, len(actors))
	for i, a := range actors {
		list[i] = a.id
	}
	return list
}

// ends gives the ends of orders, in order.
func (s *stage) ends(actors []actor) []end {
	s.Helper()
	rows, err := s.db.Query(s.Context(), `
		SELECT o.status, coalesce(o.failure_reason, ''), o.payment_status, o.inventory_status, v.display_status,
			coalesce((SELECT -sum(m.quantity) FROM inventory.movements m WHERE m.order_id = o.id), 0)::bigint,
			coalesce((SELECT p.amount_minor FROM payment.payments p WHERE p.order_id = o.id AND p.state IN ('SUCCESS', 'REFUNDING')), 0),
			(SELECT string_agg(f.name, ' ' ORDER BY f.name) FROM shared.outbox f WHERE f.order_id = o.id AND f.name <> 'order.updated' AND f.name NOT LIKE 'lane.%')
		FROM unnest($1::uuid[]) WITH ORDINALITY AS ask(id, n) JOIN orders.orders o USING (id) JOIN orders.view v USING (id)
		ORDER BY ask.n`, ids(actors))
	if err != nil {
		s.Fatal(err)
	}
	defer rows.Close()
	var list []end
	for rows.Next() {
		var e end
		var said string
		if err := rows.Scan(&e.Status, &e.Reason, &e.Payment, &e.Inventory, &e.Shown, &e.Taken, &e.Kept, &said); err != nil {
			s.Fatal(err)
		}
		e.Display, e.Said = displayed(e), strings.Fields(said)
		list = append(list, e)
	}
	if rows.Err() != nil || len(list) != len(actors) {
		s.Fatalf("%d ends of %d orders: %v", len(list), len(actors), rows.Err())
	}
	return list
}

// displayed is the word that a customer must be shown of an end.
func displayed(e end) string {
	switch {
	case e.Status != "FAILED":
		return e.Status
	case e.Payment == "REFUNDED":
		return "REFUNDED"
	case e.Reason == "PAYMENT_FAILED":
		return "FAILED_PAYMENT"
	default:
		return "FAILED_" + e.Reason
	}
}
