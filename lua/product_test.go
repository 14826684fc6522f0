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

func TestSweepDropsAndSaysWhatEndsNext(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.want([]any{int64(0), int64(0)}, lua.Sweep)
		soon, later := b.in(2000), b.in(60_000)
		b.load(500, 1, many(120, soon)...)
		b.want([]any{yes}, lua.Hold, "late", 1, later)
		b.want([]any{int64(0), soon}, lua.Sweep)
		b.passed(soon)
		b.want([]any{int64(100), soon}, lua.Sweep)
		b.want([]any{int64(20), later}, lua.Sweep)
		b.wantStored(map[string]any{"n": "500", "v": "1", "reserved": "1", "holds": 1, "dated": 1})
	})
}

func TestStateShowsAllAndRepairWritesOnlyWhatWasSeen(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		later := b.in(60_000)
		b.want([]any{no, "", "", "", "0", ""}, lua.State, "0")
		b.load(10, 3)
		b.want([]any{yes}, lua.Hold, "a", 4, later)
		b.want([]any{yes}, lua.Hold, "b", 1, later)
		state := b.run(lua.State, "0")
		want := []any{yes, state[1], "10", "3", "5", "0", state[6], "0", []any{"a", fmt.Sprint("4:", later), "b", fmt.Sprint("1:", later)}, []any{fmt.Sprint(later), fmt.Sprint(later)}}
		if diff := cmp.Diff(want, state); diff != "" {
			t.Fatalf("state: (-want +got)\n%s", diff)
		}
		b.want([]any{yes}, lua.Hold, "b", 2, later)
		b.want([]any{again}, lua.Repair, state[1], 12, 5, "", "", 1, "a", "c", 3, later)
		seq := b.run(lua.State, "0")[1]
		b.want([]any{yes}, lua.Repair, seq, 12, 5, "", "", 1, "a", "b", 1, later, "c", 3, later, "gone", 9, b.in(-5))
		b.want([]any{yes, int64(12), int64(4), int64(1), later, int64(5)}, lua.Read, "b")
		b.want([]any{again}, lua.Repair, seq, "", "", "", "", 0)
		b.wantStored(map[string]any{"n": "12", "v": "5", "reserved": "4", "holds": 2, "dated": 2})
	})
}

func TestRepairOfAWrongSum(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.load(10, 3)
		b.want([]any{yes}, lua.Hold, "a", 4, b.in(60_000))
		b.env.Redis.Set(t.Context(), b.keys.Product(b.product)[1], 9, 0)
		state := b.run(lua.State, "0")
		b.want([]any{yes}, lua.Repair, state[1], "", "", 4, "", 0)
		b.want([]any{yes, int64(10), int64(4)}, lua.Read, "")
	})
}

// TestStatePages: pages of one moment carry one sequence, and show every entry.
func TestStatePages(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		later := b.in(60_000)
		b.load(5000, 1, many(400, later)...)
		for i := range 400 {
			b.run(lua.Hold, fmt.Sprint("other", i), 1, later)
		}
		seen, cursor, seq, pages := map[any]bool{}, "0", any(nil), 0
		for {
			state := b.run(lua.State, cursor)
			if seq != nil && seq != state[1] {
				t.Fatal("the sequence changed while nothing did")
			}
			seq, cursor, pages = state[1], state[7].(string), pages+1
			for i, v := range state[8].([]any) {
				if i%2 == 0 {
					seen[v] = true
				}
			}
			if cursor == "0" {
				break
			}
		}
		if len(seen) != 800 || pages < 2 {
			t.Fatalf("saw %d entries in %d pages", len(seen), pages)
		}
	})
}

// notWhole are what a number is not, for any script.
var notWhole = []any{"", "0x5", "-1", "1.5", "1e1", " 1", "1 ", "+1", "nan", "inf", "9007199254740992", "99999999999999999", "１", "1\n"}

func TestNothingButWholeNumbersInRange(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.load(100, 1)
		before := b.stored()
		later := b.in(60_000)
		for _, n := range append(slices.Clone(notWhole), "0") {
			b.refused(lua.Hold, "a", n, later)
			b.refused(lua.Hold, "a", 1, n)
			b.refused(lua.Extend, "a", n)
			b.refused(lua.Load, "x", "", 5, 1, "a", n, later)
			b.refused(lua.Repair, n, "", "", "", "", 0)
			b.refused(lua.Repair, "5", "", "", "", "", 0, "a", n, later)
		}
		for _, n := range notWhole {
			b.refused(lua.Settle, n, 1)
			b.refused(lua.Settle, 1, n)
			b.refused(lua.Load, "x", "", 5, orDash(n))
			b.refused(lua.Load, "x", "", orDash(n), 5)
			b.refused(lua.Repair, "5", "", "", "", "", n)
		}
		for _, id := range []string{"", strings.Repeat("x", 65)} {
			b.refused(lua.Hold, id, 1, later)
			b.refused(lua.Release, id)
			b.refused(lua.Extend, id, later)
			b.refused(lua.Settle, 2, 5, id)
			b.refused(lua.Load, "x", "", 5, 1, id, 1, later)
		}
		b.refused(lua.Repair, "5", 7, "", "", "", 0)
		b.refused(lua.Repair, "5", "", "", "", "", 2, "a")
		b.refused(lua.Load, "x", "", 5, "")
		b.refused(lua.Load, "x", "", "", 5)
		b.refused(lua.Load, "x", strings.Repeat("x", 65), "", "")
		b.refused(lua.Load, "x", "", 5, 1, "a", 1)
		b.refused(lua.Load, append([]any{"x", "", "", ""}, many(101, later)...)...)
		for _, token := range []any{"", "no token", strings.Repeat("x", 17)} {
			b.refused(lua.Open, token)
			b.refused(lua.Load, token, "", 5, 1)
		}
		b.wantStored(before)
		b.want([]any{no, int64(100)}, lua.Hold, "a", "9007199254740991", later)
	})
}

// orDash is n, or what is no number either, where nothing would mean that there is none.
func orDash(n any) any {
	if n == "" {
		return "-"
	}
	return n
}

// many are the entries of n holds of one unit, as load takes them.
func many(n int, expiry int64) []any {
	entries := make([]any, 0, 3*n)
	for i := range n {
		entries = append(entries, fmt.Sprint("h", i), 1, expiry)
	}
	return entries
}

func (b *bench) refused(script string, args ...any) {
	b.t.Helper()
	_, err := b.try(script, args...)
	if err == nil || !strings.HasPrefix(err.Error(), "INVALID ") {
		b.t.Errorf("%s%q: %v, want a refusal", script, args, err)
	}
	if redisx.Unavailable(err) {
		b.t.Errorf("%s%q: a refusal is no outage", script, args)
	}
}
