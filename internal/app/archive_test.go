package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/app"
	"github.com/holdfast-checkout/holdfast/internal/archive"
	"github.com/holdfast-checkout/holdfast/internal/audit"
)

// age makes everything that there was so far a hundred days old, and has its facts forgotten.
func (s *shop) age() {
	s.t.Helper()
	for _, sql := range []string{
		`TRUNCATE shared.outbox`, `TRUNCATE shared.inbox`, `DELETE FROM orders.idempotency_keys`,
		`UPDATE orders.orders SET created_at = created_at - interval '100 days', ended_at = ended_at - interval '100 days'`,
		`UPDATE orders.view SET created_at = created_at - interval '100 days', ended_at = ended_at - interval '100 days'`,
		`UPDATE payment.payments SET created_at = created_at - interval '100 days', changed_at = changed_at - interval '100 days'`,
	} {
		if _, err := s.env.DB.Exec(s.t.Context(), sql); err != nil {
			s.t.Fatalf("%s: %v", sql, err)
		}
	}
}

// archive moves what is older than 90 days.
func (s *shop) archive() archive.Result {
	s.t.Helper()
	result, err := app.Archive(s.t.Context(), s.cfg.PostgresURL, archive.Options{OlderThan: 90 * 24 * time.Hour, Log: s.env.Log})
	if err != nil {
		s.t.Fatal(err)
	}
	return result
}

// cleanWithArchive wants every invariant to hold, also of the documents.
func (s *shop) cleanWithArchive() {
	s.t.Helper()
	report, err := app.Audit(s.t.Context(), s.cfg.Servers, s.cfg.Providers(),
		app.Rest{Wait: time.Minute, Cooldown: s.cfg.ReconcileCooldown, Archive: true})
	if err != nil {
		s.t.Fatal(err)
	}
	if report.ExitCode() != audit.ExitOK {
		var b strings.Builder
		_ = report.Print(&b)
		s.t.Fatalf("the audit is not clean:\n%s", b.String())
	}
}

// shown is all that alice is told of some orders.
func (c customer) shown(orders []string) map[string]string {
	c.shop.t.Helper()
	told := map[string]string{"list": string(c.must(http.StatusOK, http.MethodGet, "/orders?limit=3", nil).body)}
	for _, id := range orders {
		told[id] = string(c.must(http.StatusOK, http.MethodGet, "/orders/"+id, nil).body)
		told["timeline of "+id] = fmt.Sprint(c.timeline(id, 3))
	}
	return told
}

// Orders of every outcome go to the archive: customers are told what they were told before, the provider's webhook is known, units can be
// bought and restocked, and every invariant holds, while the months are there and when they are gone.
func TestArchive(t *testing.T) {
	t.Parallel()
	s := open(t)
	mug, rare := s.product("MUG", 1275, 100), s.product("RARE", 100, 1)
	alice := s.customer("alice")
	complete := alice.buy("complete", buyNow(mug, 2, "pm_ok")).ID
	charge := `{"type":"charge.succeeded","data":` + s.firstEntry() + `}`
	declined := alice.buy("declined", buyNow(mug, 3, "pm_declined")).ID
	cancelled := alice.buy("cancelled", buyNow(mug, 4, "pm_ok")).ID
	alice.must(http.StatusAccepted, http.MethodPost, "/orders/"+cancelled+"/cancel", nil)
	alice.end(cancelled)
	free := alice.buy("rare", buyNow(rare, 1, "pm_ok")).ID
	orders := []string{complete, declined, cancelled, free}
	s.clean()
	s.stop()
	s.age()
	s.start()
	late := alice.buy("late", buyNow(mug, 1, "pm_ok")).ID
	told := alice.shown(orders)
	if result := s.archive(); result.Moved != int64(len(orders)) || len(result.Kept) != 0 {
		t.Fatalf("%+v", result)
	}
	if diff := cmp.Diff(told, alice.shown(orders)); diff != "" {
		t.Errorf("told (-before +archived):\n%s", diff)
	}
	s.cleanWithArchive()
	s.archivedIsKnown(alice, complete, mug, charge)
	s.cleanWithArchive()

	if err := app.RestoreOrder(t.Context(), s.cfg.PostgresURL, uuid.MustParse(complete)); err != nil {
		t.Fatal(err)
	}
	alice.must(http.StatusAccepted, http.MethodPost, "/orders/"+complete+"/cancel", nil)
	if o := alice.end(complete); o.PaymentStatus != "REFUNDED" {
		t.Errorf("brought back and cancelled: %+v", o)
	}
	s.cleanWithArchive()

	for _, m := range s.archive().Months {
		if _, err := s.env.DB.Exec(t.Context(), `DROP TABLE `+m.Table); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"", "/timeline", "/events"} {
		if a := alice.must(http.StatusGone, http.MethodGet, "/orders/"+declined+path, nil); !strings.Contains(string(a.body), "/problems/archived") {
			t.Errorf("%s: %s", path, a.body)
		}
		s.customer("mallory").must(http.StatusNotFound, http.MethodGet, "/orders/"+declined+path, nil)
	}
	if list := string(alice.must(http.StatusOK, http.MethodGet, "/orders", nil).body); strings.Contains(list, declined) || !strings.Contains(list, late) {
		t.Errorf("listed: %s", list)
	}
	s.cleanWithArchive()
}

// archivedIsKnown does to an archived order what people and the provider may, late as they are.
func (s *shop) archivedIsKnown(alice customer, id, product, charge string) {
	s.t.Helper()
	for name, c := range map[string]struct {
		body   string
		status int
	}{
		"once more": {charge, http.StatusOK}, "another amount": {strings.Replace(charge, "2550", "1", 1), http.StatusBadRequest},
	} {
		if status, body := s.webhook("sandbox", hookSecret, c.body); status != c.status {
			s.t.Errorf("a late webhook, %s: %d %s", name, status, body)
		}
	}
	if a := s.operator().must(http.StatusOK, http.MethodGet, "/admin/products/"+product+"/movements", nil); !strings.Contains(string(a.body), `"taken":2`) {
		s.t.Errorf("movements: %s", a.body)
	}
	if a := alice.must(http.StatusConflict, http.MethodPost, "/orders/"+id+"/cancel", nil); !strings.Contains(string(a.body), "archived") {
		s.t.Errorf("cancelled: %s", a.body)
	}
	if a := s.operator().must(http.StatusNotFound, http.MethodGet, "/admin/payments/"+id, nil); !strings.Contains(string(a.body), "archived") {
		s.t.Errorf("the payment: %s", a.body)
	}
	s.customer("mallory").must(http.StatusNotFound, http.MethodGet, "/orders/"+id, nil)
	if again := alice.buy("complete", buyNow(product, 2, "pm_ok")); again.ID == id {
		s.t.Error("the key of an archived order gave it again")
	}
	s.operator().must(http.StatusOK, http.MethodPost, "/admin/products/"+product+"/restock", map[string]any{"quantity": 5, "reason": "late"},
		"Idempotency-Key", uuid.NewString())
}
