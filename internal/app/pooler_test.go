package app_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/app"
	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// An instance behind PgBouncer in transaction mode, which is told where Postgres itself is, sells as any other.
func TestAnInstanceBehindAPooler(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"cdc", "polling"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			env := testkit.New(t)
			pooler := testkit.NewPooler(t, env.PostgresURL)
			s := openOn(t, env, outboxMode(mode), func(c *config.Config) { c.PostgresURL, c.ReplicationURL = pooler, env.PostgresURL })
			tea := s.product("tea", 300, 100)
			var wg sync.WaitGroup
			for i := range 6 {
				wg.Go(func() { s.tryEverything(fmt.Sprint("customer-", i), tea) })
			}
			wg.Wait()
			s.operator().must(http.StatusOK, http.MethodGet, "/admin/status", nil)
			s.clean()
		})
	}
}

// tryEverything buys, is declined, and stops an order that is complete.
func (s *shop) tryEverything(name, product string) {
	c := s.customer(name)
	for method, want := range map[string]string{"pm_ok": "COMPLETED", "pm_declined": "FAILED"} {
		if o := c.buy(method, buyNow(product, 2, method)); c.end(o.ID).Status != want {
			s.t.Errorf("%s: %+v", method, o)
		}
	}
	o := c.end(c.buy("stopped", buyNow(product, 1, "pm_ok")).ID)
	c.must(http.StatusAccepted, http.MethodPost, "/orders/"+o.ID+"/cancel", nil)
	var list struct {
		Items []order `json:"items"`
	}
	c.must(http.StatusOK, http.MethodGet, "/orders", nil).into(s.t, &list)
	if len(list.Items) != 3 {
		s.t.Errorf("%d orders, want 3", len(list.Items))
	}
}

// Behind a pooler that is all that it was told of, neither an instance nor the auditor starts.
func TestAPoolerAloneIsRefused(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	at := config.Servers{PostgresURL: testkit.NewPooler(t, env.PostgresURL), RedisURL: env.RedisURL, RabbitMQURL: env.RabbitURL, Namespace: env.Namespace}
	cfg := config.Config{Servers: at, JWTSecret: secret, SandboxURL: "http://127.0.0.1:1", SandboxKey: sandboxKey, Strategy: "optimistic", OutboxMode: "polling"}
	if err := app.Serve(t.Context(), cfg, env.Log, nil); !errors.Is(err, postgres.ErrPooler) {
		t.Errorf("serve: %v", err)
	}
	if _, err := app.Audit(t.Context(), at, nil, app.Rest{}); !errors.Is(err, postgres.ErrPooler) {
		t.Errorf("audit: %v", err)
	}
}
