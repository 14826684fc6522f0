package lua_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/lua"
)

// limits are what a hold is measured by, as hold.lua takes them behind hold id, quantity and expiry.
type limits struct {
	owner              string
	share, units, part int64
	age, pause, bought int64
	over               []string
}

func (l limits) args(id string, quantity, expiry int64) []any {
	args := []any{id, quantity, expiry, l.owner, l.share, l.units, l.part, l.age, l.pause, l.bought}
	for _, hold := range l.over {
		args = append(args, hold)
	}
	return args
}

const (
	all     = int64(1_000_000)
	limited = int64(3)
)

// Codes of the limits.
const (
	inAll = int64(iota + 1)
	ofUnits
	ofShare
	ofTime
	ofHolds
)

var alice, bob = redisx.Owner("alice"), redisx.Owner("bob")

func most(owner string, units int64) limits {
	return limits{owner: owner, share: all, units: units, part: all}
}

func TestACustomersHoldsOfAProductCountTogether(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.load(100, 1)
		later, five := b.in(60_000), most(alice, 5)
		b.want([]any{yes, int64(100)}, lua.Hold, five.args("cart", 3, later)...)
		b.want([]any{limited, int64(2), ofUnits, int64(5), int64(0)}, lua.Hold, five.args("order", 3, later)...)
		b.want([]any{yes}, lua.Hold, five.args("order", 2, later)...)
		b.want([]any{limited, int64(3), ofUnits}, lua.Hold, five.args("cart", 4, later)...)
		b.want([]any{yes}, lua.Hold, most(bob, 5).args("other", 5, later)...)
		b.want([]any{yes}, lua.Release, "order")
		b.want([]any{yes}, lua.Hold, five.args("cart", 5, later)...)
		b.wantStored(map[string]any{"n": "100", "v": "1", "reserved": "10", "holds": 2, "dated": 2})
	})
}

// What takes no more than before is not refused, however low the limit has become.
func TestALimitNeverTakesAway(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.load(100, 1)
		later := b.in(60_000)
		b.want([]any{yes}, lua.Hold, most(alice, 50).args("cart", 40, later)...)
		low := limits{owner: alice, share: 1, units: 1, part: 1}
		b.want([]any{yes}, lua.Hold, low.args("cart", 40, later+5)...)
		b.want([]any{limited}, lua.Hold, low.args("cart", 41, later)...)
		b.want([]any{yes}, lua.Hold, low.args("cart", 39, later)...)
		b.want([]any{limited}, lua.Hold, low.args("cart", 40, later)...)
		b.want([]any{yes, int64(100), int64(39), int64(39), later}, lua.Read, "cart")
	})
}

// The units of an order count on after settle has ended its hold, until somebody knows that the order is over.
func TestUnitsOfAnOrderCountUntilItIsOver(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.load(100, 1)
		later, five := b.in(60_000), most(alice, 5)
		b.want([]any{yes}, lua.Hold, five.args("order", 4, later)...)
		b.want([]any{yes, int64(4), later + 1000}, lua.Extend, "order", later+1000)
		b.want([]any{yes, int64(1)}, lua.Settle, 2, 96, "order")
		b.want([]any{limited, int64(1), ofUnits, int64(5), int64(0), "order"}, lua.Hold, five.args("cart", 2, later)...)
		five.over = []string{"order"}
		b.want([]any{yes}, lua.Hold, five.args("cart", 5, later)...)
		five.over = nil
		b.want([]any{limited, int64(5)}, lua.Hold, five.args("cart", 6, later)...)
	})
}

func TestShareOfAProduct(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.load(10, 1)
		later := b.in(60_000)
		third := limits{owner: alice, share: all, part: 300_000}
		b.want([]any{limited, int64(3), ofShare, int64(3)}, lua.Hold, third.args("cart", 4, later)...)
		b.want([]any{yes}, lua.Hold, third.args("cart", 3, later)...)
		few := b.another(t)
		few.load(1, 1)
		few.want([]any{yes}, lua.Hold, third.args("cart", 1, later)...) // one unit at least
	})
}

// What carts may hold together leaves the rest to those who buy at once.
func TestShareThatMayBeHeldInAll(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.load(10, 1)
		later, carts := b.in(60_000), limits{share: 900_000, part: all}
		b.want([]any{yes}, lua.Hold, carts.args("a", 8, later)...)
		b.want([]any{limited, int64(1), inAll, int64(9)}, lua.Hold, carts.args("b", 2, later)...)
		b.want([]any{yes}, lua.Hold, carts.args("b", 1, later)...)
		b.want([]any{limited, int64(0), inAll, int64(9)}, lua.Hold, carts.args("c", 1, later)...)
		b.want([]any{no, int64(1)}, lua.Hold, carts.args("c", 2, later)...)
		b.want([]any{yes}, lua.Hold, "order", 1, later)
		b.want([]any{yes}, lua.Hold, carts.args("a", 8, later+9)...)
	})
}

func TestNobodyHoldsForLongerByBeginningAgain(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.load(10, 1)
		began := b.now()
		hour := limits{owner: alice, share: all, part: all, age: 3_600_000, pause: 1_000_000}
		b.want([]any{yes}, lua.Hold, hour.args("one", 1, began+900_000)...)
		b.want([]any{yes}, lua.Hold, hour.args("one", 2, began+3_600_000)...)
		b.want([]any{yes}, lua.Release, "one")
		ended := b.now()
		got := b.run(lua.Hold, hour.args("two", 1, began+3_700_000)...)
		if diff := cmp.Diff([]any{limited, int64(0), ofTime, int64(3_600_000)}, got[:4]); diff != "" {
			t.Fatal(diff)
		}
		if until := got[4].(int64); until < began+1_000_000 || until > ended+1_000_000 {
			t.Fatalf("begins anew at %d, want a million ms after the release at %d", until, ended)
		}
		b.want([]any{yes}, lua.Hold, hour.args("two", 1, began+3_500_000)...)
		b.pass(alice, 1_000_000) // its hold goes on
		b.want([]any{limited, int64(1), ofTime}, lua.Hold, hour.args("two", 1, began+3_700_000)...)
		b.want([]any{yes}, lua.Release, "two")
		b.pass(alice, 1_000_000)
		b.want([]any{yes}, lua.Hold, hour.args("three", 1, b.in(3_600_000))...)
	})
}

// A customer who has bought begins anew at once.
func TestAPurchaseBeginsTheTimeAnew(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.load(10, 1)
		hour := limits{owner: alice, share: all, part: all, age: 3_600_000, pause: 1_000_000}
		b.want([]any{yes}, lua.Hold, hour.args("one", 1, b.in(3_060_000))...)
		b.pass(alice, 3_000_000)
		late := b.in(1_800_000)
		b.want([]any{limited, int64(0), ofTime}, lua.Hold, hour.args("two", 1, late)...)
		hour.bought = b.in(-1000)
		b.want([]any{yes}, lua.Hold, hour.args("two", 1, late)...)
		hour.bought = 0
		b.want([]any{yes}, lua.Hold, hour.args("two", 2, late)...)
	})
}

// The record of owners is made anew from the entries when it is lost, and of the wrong type it is replaced.
func TestTheRecordOfOwnersHeals(t *testing.T) {
	spoils := map[string]func(b *bench, key string){
		"lost": func(b *bench, key string) { b.env.Redis.Del(b.t.Context(), key) },
		"wrong type": func(b *bench, key string) {
			b.env.Redis.Del(b.t.Context(), key)
			b.env.Redis.LPush(b.t.Context(), key, "x")
		},
	}
	onEach(t, func(t *testing.T, all *bench) {
		for name, spoil := range spoils {
			t.Run(name, func(t *testing.T) {
				b := all.another(t)
				b.load(100, 1)
				later, five := b.in(60_000), most(alice, 5)
				b.want([]any{yes}, lua.Hold, five.args("cart", 4, later)...)
				b.want([]any{yes}, lua.Hold, most(bob, 5).args("other", 4, later)...)
				spoil(b, b.keys.Product(b.product)[4])
				b.want([]any{limited, int64(1)}, lua.Hold, five.args("order", 2, later)...)
				b.want([]any{limited, int64(1)}, lua.Hold, most(bob, 5).args("another", 2, later)...)
			})
		}
	})
}

func TestLoadAndRepairBringOwners(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		later := b.in(60_000)
		b.load(100, 1, "cart", 4, fmt.Sprint(later, ":", alice), "old", 9, fmt.Sprint(b.in(-1), ":", alice))
		five := most(alice, 5)
		b.want([]any{limited, int64(1)}, lua.Hold, five.args("order", 2, later)...)
		b.want([]any{yes}, lua.Extend, "cart", later+5)
		b.want([]any{limited, int64(1)}, lua.Hold, five.args("order", 2, later)...)
		seq := b.run(lua.State, "0")[1]
		b.want([]any{yes}, lua.Repair, seq, "", "", "", "", 0, "cart", 2, later, "more", 1, fmt.Sprint(later, ":", alice), "bobs", 1, fmt.Sprint(later, ":", bob))
		b.want([]any{limited, int64(2)}, lua.Hold, five.args("order", 3, later)...)
		seq = b.run(lua.State, "0")[1]
		b.want([]any{yes}, lua.Repair, seq, "", "", "", "", 1, "more")
		b.want([]any{yes}, lua.Hold, five.args("order", 3, later)...)
		b.wantStored(map[string]any{"n": "100", "v": "1", "reserved": "6", "holds": 3, "dated": 3})
	})
}

// A customer who comes back with one hold after another has no more than a hundred of a product, so that the work is bounded.
func TestHoldsOfOneOwnerAreBounded(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.load(1000, 1)
		later, free := b.in(60_000), most(alice, 0)
		for i := range 100 {
			b.run(lua.Hold, free.args(fmt.Sprint("h", i), 1, later)...)
		}
		b.want([]any{limited, int64(0), ofHolds, int64(100), int64(0)}, lua.Hold, free.args("more", 1, later)...)
		b.want([]any{yes}, lua.Hold, free.args("h7", 2, later)...)
	})
}

// Whoever comes new clears away some of those who are of no more use, so that these never are the most for long.
func TestRecordsOfFormerOwnersGo(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.load(10, 1)
		for i := range 300 {
			l := most(redisx.Owner(fmt.Sprint(i)), 5)
			b.run(lua.Hold, l.args("h", 1, b.in(60_000))...)
			b.run(lua.Release, "h")
		}
		left, err := b.env.Redis.HLen(t.Context(), b.keys.Product(b.product)[4]).Result()
		if err != nil || left > 60 {
			t.Fatalf("%d records of 300 former owners are left, %v", left, err)
		}
	})
}

func TestLimitsAreWholeNumbersAndOwnersAreNames(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.load(100, 1)
		before, later := b.stored(), b.in(60_000)
		for at := 4; at < 10; at++ {
			for _, wrong := range []any{"", "-1", "1.5", "0x1", "9007199254740992"} {
				args := most(alice, 5).args("a", 1, later)
				args[at] = wrong
				b.refused(lua.Hold, args...)
			}
		}
		b.refused(lua.Hold, limits{owner: alice, share: all + 1, part: all}.args("a", 1, later)...)
		b.refused(lua.Hold, limits{owner: alice, share: all, part: all + 1}.args("a", 1, later)...)
		b.refused(lua.Hold, most(alice, 5).args("a b", 1, later)...)
		b.refused(lua.Hold, append(most(alice, 5).args("a", 1, later), slices.Repeat([]any{"x"}, 501)...)...)
		for _, owner := range []string{"short", strings.Repeat("x", 17), "sixteen letters!", "sixteen  letters"} {
			b.refused(lua.Hold, most(owner, 5).args("a", 1, later)...)
			b.refused(lua.Load, "x", "", 5, 1, "a", 1, fmt.Sprint(later, ":", owner))
			b.refused(lua.Repair, "5", "", "", "", "", 0, "a", 1, fmt.Sprint(later, ":", owner))
		}
		b.wantStored(before)
	})
}

func TestTell(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.want([]any{notLoaded}, lua.Tell)
		b.load(10, 3)
		b.want([]any{yes, int64(10), int64(3), int64(0), int64(0), int64(0)}, lua.Tell, "mine")
		first, next, last := b.in(5_000), b.in(60_000), b.in(90_000)
		b.run(lua.Hold, "mine", 2, first)
		b.run(lua.Hold, "theirs", 3, next)
		b.run(lua.Hold, "also mine", 1, next)
		b.run(lua.Hold, "late", 1, last)
		b.want([]any{yes, int64(10), int64(3), int64(7), int64(3), next}, lua.Tell, "mine", "also mine", "also mine", "not there")
		b.want([]any{yes, int64(10), int64(3), int64(7), int64(0), first}, lua.Tell)
		b.want([]any{yes, int64(10), int64(3), int64(7), int64(7), int64(0)}, lua.Tell, "mine", "theirs", "also mine", "late")
		b.passed(first)
		b.want([]any{yes, int64(10), int64(3), int64(5), int64(1), next}, lua.Tell, "mine", "also mine")
		b.refused(lua.Tell, slices.Repeat([]any{"x"}, 501)...)
		b.refused(lua.Tell, "")
	})
}

// pass lets time go by for an owner's record alone.
func (b *bench) pass(owner string, ms int64) {
	b.t.Helper()
	ctx, key := b.t.Context(), b.keys.Product(b.product)[4]
	value, err := b.env.Redis.HGet(ctx, key, owner).Result()
	if err != nil {
		b.t.Fatal(err)
	}
	words := strings.Fields(value)
	for i, word := range words {
		var at int64
		if i < 2 || i%3 == 1 {
			if _, err := fmt.Sscan(word, &at); err != nil {
				b.t.Fatal(err)
			}
			words[i] = fmt.Sprint(max(at-ms, 0))
		}
	}
	b.env.Redis.HSet(ctx, key, owner, strings.Join(words, " "))
}
