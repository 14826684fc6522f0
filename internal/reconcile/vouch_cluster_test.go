package reconcile_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// On a cluster each master is told, and each is looked at: one of three that is another process now, that knows an old copy, or
// that knows nothing closes the doors until what it may have lost is forgotten, and the others go on being known.
func TestEachMasterOfAClusterIsLookedAt(t *testing.T) {
	t.Parallel()
	g := guard(t, newPlaceOn(t, testkit.NewOnCluster(t)))
	product := g.product(10)
	if err := g.ask(product); !redisx.Unavailable(err) {
		t.Errorf("before the first look: %v, want unavailable", err)
	}
	g.look()
	if err := g.ask(product); err != nil {
		t.Errorf("after it: %v", err)
	}
	parts := g.parts()
	if len(parts) != redisx.DueShards {
		t.Fatalf("%d parts were told, want %d", len(parts), redisx.DueShards)
	}
	runs := map[string]bool{}
	for _, text := range parts {
		runs[strings.Fields(text)[3]] = true
	}
	if len(runs) != 3 {
		t.Errorf("%d masters were told, want 3", len(runs))
	}
	id := g.cart(map[uuid.UUID]int64{product: 3})
	for name, change := range map[string]func(words []string) []string{
		"started again":   func(w []string) []string { w[3] = "another"; return w },
		"another shop's":  func(w []string) []string { w[0] = uuid.NewString(); return w },
		"with nothing":    func([]string) []string { return nil },
		"from the future": func(w []string) []string { w[1] = "1000000"; return w },
	} {
		g.redis("HSET", g.keys.Product(product)[0], "n", "999")
		g.exec(`UPDATE inventory.movements SET at = now()`) // young: a master that was started again may have lost it
		one := g.keys.Memory(5)
		g.redis("SET", one, strings.Join(change(strings.Fields(g.parts()[5])), " "))
		g.look()
		if free := g.available(product); free != 7 {
			t.Errorf("%s: %d units are free, want 7", name, free)
		}
		if err := g.ask(product); err != nil {
			t.Errorf("%s: after the look: %v", name, err)
		}
		g.full()
		if g.env.Redis.Exists(t.Context(), g.keys.Cart(id)).Val() != 1 {
			t.Errorf("%s: the cart's copy is not back", name)
		}
		g.agree()
	}
}

// parts is what each part of Redis was told.
func (g *guarded) parts() (texts []string) {
	g.Helper()
	for i := range redisx.DueShards {
		text, err := g.env.Redis.Get(g.Context(), g.keys.Memory(i)).Result()
		if err != nil {
			g.Fatal(err)
		}
		texts = append(texts, text)
	}
	return texts
}
