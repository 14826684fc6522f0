package app_test

import (
	"maps"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/config"
)

// An order may ask for a strategy among those that are allowed, and goes that way to its end; one that does not ask takes the
// configured one. What may not be asked for is refused before there is an order, and leaves its key free.
func TestAnOrderAsksForItsStrategy(t *testing.T) {
	t.Parallel()
	s := open(t, strategy("parallel"), func(c *config.Config) { c.StrategiesAllowed = []string{"optimistic", "orchestrated"} })
	mug, alice := s.product("MUG", 1275, 10), s.customer("alice")
	asking := func(name any) map[string]any {
		body := buyNow(mug, 1, "pm_ok")
		maps.Copy(body, map[string]any{"strategy": name})
		return body
	}
	for name, asked := range map[string]string{"not allowed": "post-payment", "the configured one, which is not allowed": "parallel", "unknown": "magic", "a pattern": "#"} {
		a := alice.must(422, http.MethodPost, "/orders", asking(asked), "Idempotency-Key", "k")
		var problem struct {
			Type   string `json:"type"`
			Errors []struct {
				Field string `json:"field"`
			} `json:"errors"`
		}
		if a.into(t, &problem); problem.Type != "/problems/invalid-request" || len(problem.Errors) != 1 || problem.Errors[0].Field != "strategy" {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	alice.refused(400, "invalid-request", http.MethodPost, "/orders", asking(7), "Idempotency-Key", "k")

	want := map[string]string{}
	for _, buy := range []struct{ key, asked, takes string }{{"k", "orchestrated", "orchestrated"}, {"l", "optimistic", "optimistic"}, {"m", "", "parallel"}} {
		o := alice.buy(buy.key, asking(buy.asked))
		if want[o.ID] = buy.takes; o.Strategy != buy.takes || o.Status != "COMPLETED" {
			t.Errorf("asked for %q: %+v", buy.asked, o)
		}
	}
	alice.refused(422, "idempotency-key-reused", http.MethodPost, "/orders", asking("optimistic"), "Idempotency-Key", "k")
	if again := alice.buy("k", asking("orchestrated")); want[again.ID] != "orchestrated" {
		t.Errorf("again: %+v", again)
	}
	s.clean()
	if diff := cmp.Diff(want, s.waysOfFacts()); diff != "" {
		t.Errorf("strategies of the orders' facts (-want +got):\n%s", diff)
	}
}

// waysOfFacts gives the one strategy under which all that was said of each order was published.
func (s *shop) waysOfFacts() map[string]string {
	s.t.Helper()
	rows, err := s.env.DB.Query(s.t.Context(), `SELECT order_id::text, string_agg(DISTINCT convert_from(body, 'UTF8')::json ->> 'strategy', '+')
		FROM shared.outbox WHERE order_id IS NOT NULL GROUP BY order_id`)
	if err != nil {
		s.t.Fatal(err)
	}
	ways := map[string]string{}
	var id, way string
	if _, err := pgx.ForEachRow(rows, []any{&id, &way}, func() error { ways[id] = way; return nil }); err != nil {
		s.t.Fatal(err)
	}
	return ways
}
