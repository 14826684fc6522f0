package lua_test

import (
	"fmt"
	"testing"

	"github.com/holdfast-checkout/holdfast/lua"
)

// The last mark that goes takes the time with it that checkouts gave; what the cart was given meanwhile stays.
func TestMarksGiveTimeAndTakeItBack(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.load(10, 1)
		short, long, longer := b.in(60_000), b.in(600_000), b.in(700_000)
		holds := b.keys.Product(b.product)[2]
		wantEntry := func(want string) {
			t.Helper()
			if got := b.env.Redis.HGet(t.Context(), holds, "a").Val(); got != want {
				t.Errorf("the entry is %q, want %q", got, want)
			}
		}
		b.want([]any{yes}, lua.Hold, "a", 2, short)
		b.want([]any{yes, int64(2), long}, lua.Extend, "a", long, "one")
		b.want([]any{yes, int64(2), longer}, lua.Extend, "a", longer, "two")
		wantEntry(fmt.Sprintf("2:%d::one.two:%d", longer, short))
		b.want([]any{no}, lua.Undo, "a", "none")
		b.want([]any{yes}, lua.Undo, "a", "two")
		wantEntry(fmt.Sprintf("2:%d::one:%d", longer, short))
		b.want([]any{yes}, lua.Hold, "a", 3, short+1) // the cart is used: never shorter, and more
		wantEntry(fmt.Sprintf("3:%d::one:%d", longer, short+1))
		b.want([]any{yes}, lua.Undo, "a", "one")
		wantEntry(fmt.Sprintf("3:%d", short+1))
		b.want([]any{no}, lua.Undo, "a", "one")

		b.want([]any{yes}, lua.Release, "a")
		b.want([]any{yes}, lua.Hold, "a", 4, fmt.Sprint(long, ":one:0")) // not held before
		b.want([]any{yes}, lua.Undo, "a", "one")
		b.want([]any{yes, int64(10), int64(0)}, lua.Read, "a")

		b.want([]any{yes}, lua.Hold, "a", 1, short)
		for i := range 9 { // more than it takes note of: then nobody undoes it
			b.want([]any{yes}, lua.Extend, "a", long, fmt.Sprint("t", i))
		}
		for i := range 9 {
			b.run(lua.Undo, "a", fmt.Sprint("t", i))
		}
		wantEntry(fmt.Sprintf("1:%d::_:%d", long, short))
	})
}

// The time that a checkout has given is not one that its customer had before: what is longer than the cart's is refused as ever.
func TestACheckoutsTimeIsNoWayAroundTheLimit(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.load(10, 1)
		aged := limits{owner: alice, share: all, part: all, age: 600_000, pause: 3_600_000}
		soon := b.in(300_000)
		b.want([]any{yes}, lua.Hold, aged.args("a", 1, soon)...)
		b.want([]any{yes, int64(1)}, lua.Extend, "a", b.in(1_800_000), "one")
		b.want([]any{limited, int64(1), ofTime}, lua.Hold, aged.args("a", 1, b.in(1_200_000))...)
		b.want([]any{yes}, lua.Hold, aged.args("a", 1, soon+1)...)
		b.want([]any{yes}, lua.Undo, "a", "one")
		b.want([]any{yes, int64(10), int64(1), int64(1), soon + 1}, lua.Read, "a")
	})
}
