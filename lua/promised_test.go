package lua_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/holdfast-checkout/holdfast/lua"
)

// left is what a checkout is answered that is refused for what came before it.
const left = int64(4)

// Where the stock is less than what is held, checkouts are served in the order in which they come, as far as the stock goes.
func TestOfWhatIsHeldTwiceTheFirstCheckoutIsServed(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.load(5, 1)
		soon, long := b.in(60_000), b.in(600_000)
		for _, id := range []string{"a", "b", "c"} {
			b.want([]any{yes}, lua.Hold, id, 1, soon)
		}
		b.want([]any{yes}, lua.Hold, "d", 2, soon)
		b.want([]any{yes, int64(1)}, lua.Extend, "b", long, "b1") // before anything was taken away
		b.want([]any{yes}, lua.Settle, 2, 2)
		b.want([]any{yes, int64(2), int64(5), int64(2), soon, int64(2), int64(1)}, lua.Read, "d")

		b.want([]any{left, int64(1)}, lua.Extend, "d", long, "d1")
		b.want([]any{yes, int64(1)}, lua.Extend, "a", long, "a1")
		b.want([]any{yes, int64(1)}, lua.Extend, "a", long, "a2") // its own is in nobody's way
		b.want([]any{left, int64(0)}, lua.Extend, "c", long, "c1")
		b.want([]any{yes, int64(1), soon}, lua.Extend, "c", soon)  // no checkout
		b.want([]any{yes, int64(1)}, lua.Extend, "b", long, "b2")  // promised before
		b.want([]any{yes, int64(2)}, lua.Extend, "d", long, order) // an order there is: nothing is decided here

		b.want([]any{yes}, lua.Undo, "a", "a1")
		b.want([]any{yes}, lua.Release, "d")
		b.want([]any{left, int64(0)}, lua.Extend, "c", long, "c1")
		b.want([]any{yes}, lua.Undo, "a", "a2")
		b.want([]any{yes, int64(1)}, lua.Extend, "c", long, "c1")
		b.want([]any{yes, int64(1)}, lua.Settle, 3, 1, "b") // the books have taken it
		b.want([]any{left, int64(0)}, lua.Extend, "a", long, "a3")
		b.wantCounted()
	})
}

// A hold that the stock does not cover is kept, and made smaller, by its cart; a checkout that takes it again is measured like
// one that finds it.
func TestAHoldThatIsNotCoveredIsKept(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.load(5, 1)
		soon, long := b.in(60_000), b.in(600_000)
		b.want([]any{yes}, lua.Hold, "a", 3, soon)
		b.want([]any{yes}, lua.Hold, "b", 2, soon)
		b.want([]any{yes}, lua.Settle, 2, 2)
		b.want([]any{no, int64(0)}, lua.Hold, "a", 4, soon)
		b.want([]any{yes}, lua.Hold, "a", 3, soon+1)
		b.want([]any{no, int64(2)}, lua.Hold, "a", 3, fmt.Sprint(long, ":one:0"))
		b.want([]any{yes}, lua.Hold, "a", 2, soon)
		b.want([]any{yes}, lua.Hold, "a", 2, fmt.Sprint(long, ":one:0"))
		b.want([]any{no, int64(0)}, lua.Hold, "b", 2, fmt.Sprint(long, ":", order, ":0"))
		b.want([]any{no, int64(0)}, lua.Hold, "c", 1, soon)
		b.wantCounted()
	})
}

// What has expired is promised to nobody, whether it was cleaned away or not.
func TestAnExpiredPromiseIsInNobodysWay(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.load(200, 1)
		soon, long := b.in(700), b.in(600_000)
		b.want([]any{yes}, lua.Hold, "a", 1, long)
		b.want([]any{yes}, lua.Hold, "b", 1, long)
		for i := range 110 {
			b.want([]any{yes}, lua.Hold, fmt.Sprint("gone", i), 1, fmt.Sprint(soon, ":one:0"))
		}
		b.want([]any{yes}, lua.Settle, 2, 1)
		b.want([]any{left, int64(0)}, lua.Extend, "a", long, "a1")
		b.passed(soon)
		b.want([]any{again}, lua.Extend, "a", long, "a1")
		b.want([]any{yes, int64(1)}, lua.Extend, "a", long, "a1")
		b.want([]any{no, int64(0)}, lua.Hold, "b", 1, fmt.Sprint(long, ":b1:0"))
		b.wantCounted()
	})
}

// However entries come, change and go, once the marked units have been counted the count is right. How often they are
// counted depends on the draw, so the test goes on until it has seen enough.
func TestMarkedUnitsStayCounted(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 1))
		id := func() string { return strconv.Itoa(random.IntN(8)) }
		token := func() string { return []string{"one", "two", order}[random.IntN(3)] }
		long := b.in(600_000)
		b.load(40, 1)
		counts := 0
		for version := int64(2); counts < 200; version++ {
			switch until := long + random.Int64N(5); random.IntN(50) {
			default:
				b.run(lua.Hold, id(), random.IntN(6)+1, until)
			case 0, 1, 2, 3, 4, 5, 6, 7:
				b.run(lua.Hold, id(), random.IntN(6)+1, fmt.Sprint(until, ":", token(), ":", random.Int64N(2)*until))
			case 8, 9, 10, 11, 12, 13, 14, 15, 16, 17:
				b.run(lua.Extend, id(), until, token())
			case 18, 19, 20:
				b.run(lua.Undo, id(), token())
			case 21, 22, 23:
				b.run(lua.Release, id())
			case 24, 25, 26, 27:
				b.run(lua.Settle, version, random.IntN(12), id(), id())
			case 28:
				b.run(lua.Repair, b.run(lua.State, "0")[1], "", "", "", "", 1, id(), id(), 2, fmt.Sprint(until, "::", token()))
			case 29:
				keys := b.keys.Product(b.product)
				b.env.Redis.Del(t.Context(), keys[random.IntN(4)])
				b.load(40, version, id(), 3, fmt.Sprint(until, "::", order))
			}
			if b.wantCounted() {
				counts++
			}
			if t.Failed() {
				t.Fatalf("version %d, seed %d", version, seed)
			}
		}
	})
}

// order is the mark of what the rows say is an order's.
const order = "order"

// wantCounted holds the count of marked units, if there is one, against the entries.
func (b *bench) wantCounted() bool {
	b.t.Helper()
	keys := b.keys.Product(b.product)
	counted, err := b.env.Redis.HGet(b.t.Context(), keys[0], "m").Int64()
	if err != nil {
		return false
	}
	var marked int64
	for _, value := range b.env.Redis.HGetAll(b.t.Context(), keys[2]).Val() {
		if parts := strings.Split(value, ":"); len(parts) == 5 {
			units, _ := strconv.ParseInt(parts[0], 10, 64)
			marked += units
		}
	}
	if counted != marked {
		b.t.Errorf("%d units are said to be marked, and %d are", counted, marked)
	}
	return true
}
