package lua_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/holdfast-checkout/holdfast/lua"
)

// Holds are set right one by one: what has changed since it was shown stays, and the stock is set if it is as shown, or older.
func TestAmendSetsWhatIsStillAsShown(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.load(20, 3)
		later := b.in(60_000)
		for _, id := range []string{"a", "b", "c"} {
			b.want([]any{yes}, lua.Hold, id, 2, later)
		}
		shown := fmt.Sprint("2:", later)
		b.want([]any{yes}, lua.Hold, "b", 3, later)
		b.want([]any{yes, yes, no, yes, yes, no}, lua.Amend, 19, 3, 18, 3, // nobody has shown that stock
			"a", shown, "", "", "b", shown, "", "", "c", shown, 4, fmt.Sprint(later+5, "::", order), "d", "", 1, later, "e", "2:5", 1, later)
		b.wantStored(map[string]any{"n": "20", "v": "3", "reserved": "8", "holds": 3, "dated": 3})
		b.wantEntry("c", fmt.Sprint("4:", later+5, "::order:0"))
		b.want([]any{yes, yes}, lua.Amend, 20, 3, 18, 3, "d", fmt.Sprint("1:", later), 2, b.in(-5)) // what has expired ends
		b.want([]any{yes}, lua.Amend, 0, 1, 17, 4)
		b.wantStored(map[string]any{"n": "17", "v": "4", "reserved": "7", "holds": 2, "dated": 2})
		if !b.wantCounted() {
			t.Error("nothing is said of what is marked")
		}
		b.refused(lua.Amend, 1, 1, 1, 1, "a", "", 0, later)
		b.refused(lua.Amend, 1, 1, "", "", "a", "", "", "")
		b.refused(lua.Amend, 1, 1, 1, 1, "a", "", 1)
		b.refused(lua.Recount, "2", "1")
	})
}

// While entries come, change, end and move to other moments, the sums that are added up page by page are those that there are.
func TestSumsAreAddedUpUnderWay(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 2))
		long, shelf := b.in(600_000), b.keys.Product(b.product)
		id := func() string { return strconv.Itoa(random.IntN(450)) }
		until := func() int64 { return long + random.Int64N(40) } // many end at one moment
		b.load(100_000, 1)
		for i := range 400 {
			b.run(lua.Hold, strconv.Itoa(i), random.IntN(6)+1, until())
		}
		change := func() {
			switch random.IntN(6) {
			case 0:
				b.run(lua.Release, id())
			case 1:
				b.run(lua.Extend, id(), until()+20, "one")
			case 2:
				b.run(lua.Undo, id(), "one")
			case 3:
				b.run(lua.Settle, 1, 100_000, id(), id())
			default:
				b.run(lua.Hold, id(), random.IntN(6)+1, until())
			}
		}
		for round := range 6 {
			wrong := int64(round % 2 * 7)
			b.env.Redis.IncrBy(t.Context(), shelf[1], wrong)
			b.env.Redis.HIncrBy(t.Context(), shelf[0], "m", wrong)
			answer := b.run(lua.Recount, "1", "1")
			for answer[0] == no {
				for range 30 {
					change()
				}
				answer = b.run(lua.Recount, "0", "1")
			}
			said := func(i int) int64 { n, _ := strconv.ParseInt(fmt.Sprint(answer[i]), 10, 64); return n }
			if answer[0] != yes || said(1)-said(3) != wrong || said(2)-said(4) != wrong {
				t.Fatalf("seed %d, round %d: %v, want both sums to be %d too much", seed, round, answer, wrong)
			}
			b.wantCounted()
		}
		b.want([]any{notLoaded}, lua.Recount, "0", "1") // nobody has begun
	})
}

// How much is marked of a product is known as soon as it is loaded; where it is not known, and there are many holds, the product is loaded
// anew rather than all of them read at once.
func TestMarkedUnitsAreKnownFromTheLoadOn(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		soon, long, stock := b.in(60_000), b.in(600_000), b.keys.Product(b.product)[0]
		b.load(1000, 1, "ordered", 2, fmt.Sprint(long, "::", order), "held", 3, soon)
		if !b.wantCounted() {
			t.Error("nothing is said of what is marked")
		}
		for i := range 500 {
			b.run(lua.Hold, i, 1, soon)
		}
		b.want([]any{yes}, lua.Settle, 2, 3)
		b.env.Redis.HDel(t.Context(), stock, "m")
		b.want([]any{notLoaded}, lua.Extend, "held", long, "one")
		b.load(3, 2, "ordered", 2, fmt.Sprint(long, "::", order), "held", 3, soon)
		b.want([]any{left, int64(1)}, lua.Extend, "held", long, "one")
		b.wantCounted()
	})
}
