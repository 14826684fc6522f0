package lua_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/lua"
)

type mirror struct {
	*bench
	cart string
}

func mirrors(t *testing.T, test func(t *testing.T, m mirror)) {
	t.Helper()
	onEach(t, func(t *testing.T, b *bench) { test(t, mirror{b, b.keys.Cart(uuid.Must(uuid.NewV7()))}) })
}

func (m mirror) want(want int64, script string, args ...any) {
	m.t.Helper()
	got, err := m.scripts.One(m.t.Context(), redisx.Call{Script: script, Keys: []string{m.cart}, Args: args})
	if err != nil || got != want {
		m.t.Fatalf("%s%v = %v, %v, want %d", script, args, got, err, want)
	}
}

func (m mirror) wantStored(want map[string]string) {
	m.t.Helper()
	got, err := m.env.Redis.HGetAll(m.t.Context(), m.cart).Result()
	if err != nil {
		m.t.Fatal(err)
	}
	delete(got, "expires")
	if diff := cmp.Diff(want, got); diff != "" {
		m.t.Fatalf("stored: (-want +got)\n%s", diff)
	}
}

func TestMirrorFollowsTheVersionsOfACart(t *testing.T) {
	mirrors(t, func(t *testing.T, m mirror) {
		p, q := uuid.NewString(), uuid.NewString()
		later := m.in(60_000)
		m.want(2, lua.CartPut, "lines", 2, later, p, 1) // nothing is there to add to
		m.want(1, lua.CartPut, "lines", 1, later, p, 1)
		m.want(0, lua.CartPut, "lines", 1, later, p, 5)
		m.want(2, lua.CartPut, "lines", 3, later, p, 5)
		m.want(1, lua.CartPut, "lines", 2, later, q, 4)
		m.wantStored(map[string]string{"version": "2", p: "1", q: "4"})
		m.want(1, lua.CartPut, "whole", 7, later, q, 2)
		m.wantStored(map[string]string{"version": "7", q: "2"})
		m.want(0, lua.CartPut, "whole", 7, later, p, 9)
		m.want(1, lua.CartPut, "lines", 8, later, q, 0)
		m.wantStored(map[string]string{"version": "8"})
		left, err := m.env.Redis.PTTL(t.Context(), m.cart).Result()
		if err != nil || left < 24*time.Hour || left > 24*time.Hour+time.Minute {
			t.Fatalf("the key goes in %v, %v", left, err)
		}
	})
}

func TestADroppedCartDoesNotComeBack(t *testing.T) {
	mirrors(t, func(t *testing.T, m mirror) {
		p, later := uuid.NewString(), m.in(60_000)
		m.want(1, lua.CartPut, "whole", 4, later, p, 1)
		m.want(0, lua.CartDrop, 3)
		m.want(1, lua.CartDrop, 5)
		m.want(1, lua.CartDrop, 5)
		m.want(0, lua.CartPut, "whole", 5, later, p, 1)
		m.wantStored(map[string]string{"version": "5", "gone": "1"})
		m.want(1, lua.CartPut, "lines", 6, later, p, 1)
		m.wantStored(map[string]string{"version": "6", p: "1"})
	})
}

func TestCartRepairWritesOnlyWhatWasSeen(t *testing.T) {
	mirrors(t, func(t *testing.T, m mirror) {
		p, q, later := uuid.NewString(), uuid.NewString(), m.in(60_000)
		m.want(1, lua.CartRepair, 0, 3, later, p, 1)
		m.want(2, lua.CartRepair, 0, 4, later, p, 2)
		m.want(2, lua.CartRepair, 2, 4, later, p, 2)
		m.want(1, lua.CartRepair, 3, 4, later, q, 2)
		m.wantStored(map[string]string{"version": "4", q: "2"})
		m.want(1, lua.CartRepair, 4, 0, 0)
		m.wantStored(map[string]string{})
		m.env.Redis.LPush(t.Context(), m.cart, "x")
		m.want(1, lua.CartRepair, 0, 1, later, p, 1)
		m.wantStored(map[string]string{"version": "1", p: "1"})
		m.env.Redis.Del(t.Context(), m.cart)
		m.env.Redis.LPush(t.Context(), m.cart, "x")
		m.want(1, lua.CartPut, "whole", 2, later, p, 1)
		m.wantStored(map[string]string{"version": "2", p: "1"})
	})
}

func TestCartScriptsRefuseWhatIsNoLine(t *testing.T) {
	mirrors(t, func(t *testing.T, m mirror) {
		p, later := uuid.NewString(), m.in(60_000)
		for _, args := range [][]any{
			{"some", 1, later},
			{"lines", 0, later},
			{"lines", 1, "-5"},
			{"lines", 1, later, p},
			{"lines", 1, later, p, "1.5"},
			{"lines", 1, later, "version", 1},
			{"lines", 1, later, p, "-1"},
		} {
			if _, err := m.scripts.One(t.Context(), redisx.Call{Script: lua.CartPut, Keys: []string{m.cart}, Args: args}); err == nil {
				t.Errorf("cart_put%v was done", args)
			}
		}
		m.wantStored(map[string]string{})
	})
}

func TestUnlockIsForTheOwnerOnly(t *testing.T) {
	mirrors(t, func(t *testing.T, m mirror) {
		m.env.Redis.SetNX(t.Context(), m.cart, "me", time.Minute)
		m.want(0, lua.Unlock, "you")
		m.want(1, lua.Unlock, "me")
		m.want(0, lua.Unlock, "me")
	})
}

// Numbers are whole and in range, lines are products, and what is refused has changed nothing.
func TestCartScriptsTakeNothingButWholeNumbers(t *testing.T) {
	mirrors(t, func(t *testing.T, m mirror) {
		p, later := uuid.NewString(), m.in(60_000)
		m.want(1, lua.CartPut, "whole", 5, later, p, 3)
		refused := func(script string, args ...any) {
			t.Helper()
			_, err := m.scripts.One(t.Context(), redisx.Call{Script: script, Keys: []string{m.cart}, Args: args})
			if err == nil || !strings.HasPrefix(err.Error(), "INVALID ") {
				t.Errorf("%s%q: %v, want a refusal", script, args, err)
			}
		}
		for _, n := range notWhole {
			refused(lua.CartPut, "whole", n, later, p, 1)
			refused(lua.CartPut, "whole", 6, n, p, 1)
			refused(lua.CartPut, "lines", 6, later, p, 1, uuid.NewString(), n)
			refused(lua.CartDrop, n)
			refused(lua.CartRepair, n, 6, later, p, 1)
			refused(lua.CartRepair, 5, n, later, p, 1)
			refused(lua.CartRepair, 5, 6, n, p, 1)
			refused(lua.CartRepair, 5, 6, later, p, n)
		}
		many := slices.Repeat([]any{p, 1}, 2001)
		refused(lua.CartPut, append([]any{"whole", 6, later}, many...)...)
		refused(lua.CartRepair, append([]any{5, 6, later}, many...)...)
		refused(lua.CartDrop, 0)
		m.wantStored(map[string]string{"version": "5", p: "3"})
	})
}
