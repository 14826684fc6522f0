package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// entry is one of a timeline.
type entry struct {
	At     time.Time      `json:"at"`
	Kind   string         `json:"kind"`
	Module string         `json:"module"`
	Name   string         `json:"name"`
	FactID string         `json:"fact_id"`
	Detail map[string]any `json:"detail"`
}

func (e entry) String() string { return strings.Join([]string{e.Kind, e.Module, e.Name}, " ") }

// timeline reads all of an order's, page by page.
func (c customer) timeline(id string, limit int) (all []entry) {
	c.shop.t.Helper()
	for cursor := ""; ; {
		var page struct {
			Items      []entry `json:"items"`
			NextCursor string  `json:"next_cursor"`
		}
		path := fmt.Sprintf("/orders/%s/timeline?limit=%d&cursor=%s", id, limit, cursor)
		c.must(http.StatusOK, http.MethodGet, path, nil).into(c.shop.t, &page)
		all = append(all, page.Items...)
		if cursor = page.NextCursor; cursor == "" {
			return all
		}
		if len(page.Items) != limit {
			c.shop.t.Fatalf("a page of %d, of %d", len(page.Items), limit)
		}
	}
}

// An order that is charged without an answer, complete and then cancelled.
var lifeOfAnOrder = strings.Fields(`
	fact/order/order.created       handled/inventory/order.created    stock/inventory/reserve  stock/inventory/reserve
	fact/inventory/stock.reserved  handled/order/stock.reserved       handled/payment/stock.reserved   handled/shelf/stock.reserved
	provider/payment/charge        fact/payment/payment.unknown       handled/order/payment.unknown
	provider/payment/lookup        provider/payment/charged           fact/payment/payment.processed   handled/order/payment.processed
	fact/order/order.completed     handled/view/order.completed
	fact/order/order.ending        handled/view/order.ending          handled/inventory/order.ending   handled/payment/order.ending
	stock/inventory/release        stock/inventory/release            fact/inventory/stock.released    handled/order/stock.released
	handled/shelf/stock.released   provider/payment/refund            provider/payment/refunded        fact/payment/payment.refunded
	handled/order/payment.refunded fact/order/order.cancelled         handled/view/order.cancelled     handled/shelf/order.cancelled`)

// An order's timeline has all that happened to it, each thing behind what it followed from.
func TestTimeline(t *testing.T) {
	t.Parallel()
	s := open(t)
	mug, pen := s.product("MUG", 1275, 10), s.product("PEN", 100, 10)
	alice := s.customer("alice")
	o := alice.buy("k", map[string]any{"payment_method": "pm_timeout_after_charge", "items": []any{
		map[string]any{"product_id": mug, "quantity": 2}, map[string]any{"product_id": pen, "quantity": 3},
	}})
	alice.must(http.StatusAccepted, http.MethodPost, "/orders/"+o.ID+"/cancel", nil)
	if o = alice.end(o.ID); o.Status != "CANCELLED" {
		t.Fatalf("%+v", o)
	}
	var told []entry
	testkit.Eventually(t, 3*time.Minute, func() error {
		told = alice.timeline(o.ID, 200)
		if missing := missing(told, lifeOfAnOrder); len(missing) > 0 {
			return fmt.Errorf("missing %v", missing)
		}
		return nil
	})
	tellsOnce(t, told)
	tellsCausesFirst(t, told)
	first := slices.IndexFunc(told, func(e entry) bool { return e.String() == "handled inventory order.created" })
	if said, err := json.Marshal(told[first].Detail["said"]); err != nil || told[first].Detail["verb"] != "Reserve" || !strings.Contains(string(said), `"stock.reserved"`) {
		t.Errorf("%v", told[first].Detail)
	}
	if paged := alice.timeline(o.ID, 3); fmt.Sprint(paged) != fmt.Sprint(told) {
		t.Errorf("in pages:\n%v\nat once:\n%v", paged, told)
	}
	s.trouble(told[0].FactID, mug, pen)
	tellsTrouble(t, alice.timeline(o.ID, 500), len(told))
	s.refusesTimelines(alice, o.ID)
}

// tellsOnce wants everything once. How many updates there are depends on what order heard at once.
func tellsOnce(t *testing.T, told []entry) {
	t.Helper()
	updates := 0
	for _, e := range told {
		if e.Name == "order.updated" {
			updates++
		}
	}
	if len(told) != len(lifeOfAnOrder)+updates {
		t.Errorf("%d entries, %d of them of updates, want %d more: %v", len(told), updates, len(lifeOfAnOrder), told)
	}
}

// tellsCausesFirst wants a fact behind the handling of what caused it, and all else behind the fact that it belongs to.
func tellsCausesFirst(t *testing.T, told []entry) {
	t.Helper()
	place := map[string]int{}
	for i, e := range told {
		if e.Kind == "fact" {
			place[e.FactID] = i
			if cause, _ := e.Detail["cause"].(string); cause != "" && slices.IndexFunc(told[:i], func(h entry) bool {
				return h.Kind == "handled" && h.Module == e.Module && h.FactID == cause
			}) < 0 {
				t.Errorf("%s stands before its cause was handled", e)
			}
		} else if at, known := place[e.FactID]; !known || at > i || i > 0 && e.At.Before(told[i-1].At) {
			t.Errorf("%s stands at %d, out of order", e, i)
		}
	}
}

// tellsTrouble wants the repair of the order's own time and the dead letter with its replay, and nothing else beside what there was.
func tellsTrouble(t *testing.T, told []entry, before int) {
	t.Helper()
	extra := missing(told, nil)
	for _, name := range []string{"repair/reconciler/stock", "dead_letter/inventory/order.created", "dead_letter/inventory/order.created"} {
		if at := slices.Index(extra, name); at >= 0 {
			extra = slices.Delete(extra, at, at+1)
		} else {
			t.Errorf("no %s", name)
		}
	}
	if len(extra) != before {
		t.Errorf("%d entries beside the trouble, there were %d", len(extra), before)
	}
}

// refusesTimelines asks for an order's timeline as somebody else, and wrongly.
func (s *shop) refusesTimelines(owner customer, id string) {
	path := "/orders/" + id + "/timeline"
	s.customer("mallory").refused(404, "not-found", http.MethodGet, path, nil)
	s.operator().refused(404, "not-found", http.MethodGet, path, nil)
	for _, query := range []string{"?limit=0", "?cursor=x", "?since=1", "?cursor=eyJhdCI6IjIwMjAtMDEtMDFUMDA6MDA6MDBaIiwia2V5IjoiXHUwMDAwIn0"} {
		owner.refused(400, "invalid-request", http.MethodGet, path+query, nil)
	}
}

// missing gives what of want is not there, each as often as it is missing; all that is there when nothing is wanted.
func missing(told []entry, want []string) []string {
	left := slices.Clone(want)
	var there []string
	for _, e := range told {
		name := strings.ReplaceAll(e.String(), " ", "/")
		there = append(there, name)
		if at := slices.Index(left, name); at >= 0 {
			left = slices.Delete(left, at, at+1)
		}
	}
	if want == nil {
		return there
	}
	return left
}

// trouble enters a repair of a product, one from long before, and a dead letter that somebody replayed.
func (s *shop) trouble(fact, product, other string) {
	s.t.Helper()
	run, letter := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	for _, sql := range []struct {
		text string
		args []any
	}{
		{`INSERT INTO shared.reconciliations (id, scope, everything, dry_run, term) VALUES ($1, 'delta', false, false, 1)`, []any{run}},
		{`INSERT INTO shared.reconciliation_differences (run_id, n, pair, key, redis, postgres, action, at) VALUES
			($1, 1, 'stock', 'stock:{' || $2::text || '}', '1', '2', 'repaired', now()),
			($1, 2, 'stock', 'stock:{' || $3::text || '}', '1', '2', 'repaired', now() - interval '1 hour')`, []any{run, product, other}},
		{`INSERT INTO shared.dead_letters (id, module, fact_id, name, reason, body) VALUES ($1, 'inventory', $2, 'order.created', 'rejected', '')`, []any{letter, fact}},
		{`INSERT INTO shared.dead_letter_log (id, letter_id, module, fact_id, name, action, by, result)
			VALUES ($1, $2, 'inventory', $3, 'order.created', 'replay', 'operator', 'sent')`, []any{run, letter, fact}},
	} {
		if _, err := s.env.DB.Exec(s.t.Context(), sql.text, sql.args...); err != nil {
			s.t.Fatal(err)
		}
	}
}
