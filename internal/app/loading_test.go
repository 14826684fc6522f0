package app_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
	"github.com/holdfast-checkout/holdfast/lua"
)

// While another instance brings a product back to Redis, who wants to hold it is told when to come again, and nothing is written for
// that; who looks is told that it is loading; and who has it in a cart that Postgres counts as live can buy it.
func TestWhoComesWhileAProductIsComingBack(t *testing.T) {
	t.Parallel()
	s := open(t)
	mug := s.product("MUG", 1275, 100)
	alice, bob := s.customer("alice"), s.customer("bob")
	alice.must(http.StatusOK, http.MethodPut, "/cart/items/"+mug, map[string]int{"quantity": 2})
	bob.must(http.StatusOK, http.MethodGet, "/cart", nil)
	other := s.otherLoads(uuid.MustParse(mug))

	other.meanwhile(func() error {
		for what, ask := range map[string]func() (answer, error){
			"put": func() (answer, error) {
				return bob.send(http.MethodPut, "/cart/items/"+mug, map[string]int{"quantity": 1})
			},
			"buy now": func() (answer, error) {
				return bob.send(http.MethodPost, "/orders", buyNow(mug, 1, "pm_ok"), "Idempotency-Key", "bob")
			},
		} {
			a, err := ask()
			if err != nil || a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
				return fmt.Errorf("%s: %d %s, %w", what, a.status, a.body, err)
			}
		}
		return nil
	})
	other.meanwhile(func() error {
		var p struct {
			Available int64 `json:"available"`
			Loading   bool  `json:"loading"`
		}
		bob.must(http.StatusOK, http.MethodGet, "/products/"+mug, nil).into(t, &p)
		if !p.Loading || p.Available != 0 {
			return fmt.Errorf("the catalogue says %+v", p)
		}
		return nil
	})
	other.claim()
	if o := alice.buy("alice", map[string]any{"payment_method": "pm_ok"}); o.Status != "COMPLETED" {
		t.Errorf("the order is %s", o.Status)
	}
	other.stop()
	bob.must(http.StatusOK, http.MethodPut, "/cart/items/"+mug, map[string]int{"quantity": 98})
	s.clean()
}

// loader is another instance's, which never comes to an end.
type loader struct {
	*shop
	product uuid.UUID
	scripts *redisx.Scripts
	keys    []string
	token   int
	stop    func()
}

func (s *shop) otherLoads(product uuid.UUID) *loader {
	l := &loader{
		shop: s, product: product, scripts: redisx.NewScripts(s.env.Redis, lua.Sources()), stop: func() {},
		keys: redisx.Keys{Namespace: s.env.Namespace}.Product(product),
	}
	l.scripts.Patience = 10 * time.Second
	return l
}

func (l *loader) run(ctx context.Context, script string, args ...any) (int64, error) {
	reply, err := l.scripts.One(ctx, redisx.Call{Script: script, Keys: l.keys, Args: args})
	if answer, ok := reply.([]any); ok && err == nil {
		code, _ := answer[0].(int64)
		return code, nil
	}
	return -1, err
}

// claim has the product lost, and loads it page by page, of nothing.
func (l *loader) claim() {
	l.t.Helper()
	l.stop()
	testkit.Eventually(l.t, time.Minute, func() error {
		if err := l.env.Redis.Unlink(l.t.Context(), l.keys...).Err(); err != nil {
			return err
		}
		l.token++
		code, err := l.run(l.t.Context(), lua.Open, fmt.Sprint("other", l.token))
		if err == nil && code != 0 {
			err = fmt.Errorf("open: %d", code)
		}
		return err
	})
	token := fmt.Sprint("other", l.token)
	l.stop = background(l.t, "loader", func(ctx context.Context) error {
		for tick := time.NewTicker(100 * time.Millisecond); ; {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				_, _ = l.run(ctx, lua.Load, token, "", "", "") // one that has lost the product is no matter here
			}
		}
	})
}

// meanwhile does something while the product is loading. On a machine that stands still the claim may lapse: then again.
func (l *loader) meanwhile(do func() error) {
	l.t.Helper()
	testkit.Eventually(l.t, time.Minute, func() error {
		l.claim()
		return do()
	})
	l.stop()
}
