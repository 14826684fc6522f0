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

func TestHoldIsAbsoluteAndNeverInItsOwnWay(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		later := b.in(60_000)
		b.want([]any{notLoaded}, lua.Hold, "a", 1, later)
		b.load(10, 1)
		b.want([]any{yes, int64(10), int64(0), int64(0)}, lua.Hold, "a", 7, later)
		b.want([]any{yes, int64(10), int64(7), later}, lua.Hold, "a", 7, later)
		b.want([]any{no, int64(3)}, lua.Hold, "b", 4, later)
		b.want([]any{yes, int64(3)}, lua.Hold, "b", 3, later)
		b.want([]any{no, int64(7)}, lua.Hold, "a", 8, later)
		b.want([]any{yes, int64(7)}, lua.Hold, "a", 2, later)
		b.want([]any{yes, int64(10), int64(5), int64(3), later}, lua.Read, "b")
		b.wantStored(map[string]any{"n": "10", "v": "1", "reserved": "5", "holds": 2, "dated": 2})
	})
}

func TestReleaseTwiceIsReleaseOnce(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.want([]any{no}, lua.Release, "a")
		b.load(5, 1)
		b.want([]any{yes}, lua.Hold, "a", 5, b.in(60_000))
		b.want([]any{yes}, lua.Release, "a")
		b.want([]any{no}, lua.Release, "a")
		b.want([]any{yes, int64(5), int64(0)}, lua.Read, "")
		b.wantStored(map[string]any{"n": "5", "v": "1", "reserved": "0", "holds": 0, "dated": 0})
	})
}

func TestExpiredHoldsCountForNobodyWithoutASweeper(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.load(10, 1)
		soon := b.in(1000)
		b.want([]any{yes}, lua.Hold, "a", 10, soon)
		b.want([]any{no, int64(0)}, lua.Hold, "b", 1, b.in(60_000))
		b.passed(soon)
		b.want([]any{past, int64(10), soon}, lua.Extend, "a", b.in(60_000))
		b.want([]any{yes, int64(10), int64(0), int64(0)}, lua.Read, "a")
		b.want([]any{yes, int64(10)}, lua.Hold, "b", 10, b.in(60_000))
		b.want([]any{no}, lua.Extend, "a", b.in(60_000))
	})
}

func TestAHoldThatExpiresWhileItIsItsOwnIsTakenAnew(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.load(10, 1)
		soon := b.in(1000)
		b.want([]any{yes}, lua.Hold, "a", 6, soon)
		b.passed(soon)
		b.want([]any{yes, int64(10), int64(0), int64(0)}, lua.Hold, "a", 10, b.in(60_000))
		b.want([]any{past}, lua.Hold, "a", 10, soon)
		b.want([]any{yes, int64(10), int64(10), int64(10)}, lua.Read, "a")
	})
}

// More has expired than one call drops: what would be refused is answered with "again" until nothing expired is left.
func TestWorkIsBoundedAndExpiryStillExact(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		soon := b.in(2000)
		b.load(250, 1, many(250, soon)...)
		b.passed(soon)
		b.want([]any{again}, lua.Hold, "all", 250, b.in(60_000))
		b.wantStored(map[string]any{"n": "250", "v": "1", "reserved": "150", "holds": 150, "dated": 150})
		b.want([]any{again}, lua.Read, "")
		b.want([]any{yes, int64(250)}, lua.Hold, "all", 250, b.in(60_000))
		b.wantStored(map[string]any{"n": "250", "v": "1", "reserved": "250", "holds": 1, "dated": 1})
	})
}

func TestExtendNeverShortensNorRevives(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.want([]any{notLoaded}, lua.Extend, "a", b.in(60_000))
		b.load(3, 1)
		b.want([]any{no}, lua.Extend, "a", b.in(60_000))
		late, later := b.in(60_000), b.in(120_000)
		b.want([]any{yes}, lua.Hold, "a", 3, late)
		b.want([]any{yes, int64(3), later}, lua.Extend, "a", later)
		b.want([]any{yes, int64(3), later}, lua.Extend, "a", late)
		b.want([]any{yes}, lua.Release, "a")
		b.want([]any{no}, lua.Extend, "a", later)
	})
}

func TestSettleLowersStockAndEndsTheHoldAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.load(10, 5)
		later := b.in(60_000)
		b.want([]any{yes}, lua.Hold, "a", 4, later)
		b.want([]any{yes}, lua.Hold, "b", 3, later)
		b.want([]any{yes, int64(1)}, lua.Settle, 6, 6, "a") // a's four are taken
		b.want([]any{yes, int64(6), int64(3)}, lua.Read, "")
		b.want([]any{yes, int64(0)}, lua.Settle, 6, 6, "a")  // again
		b.want([]any{yes, int64(1)}, lua.Settle, 4, 99, "b") // an older stock does not count, the end of the hold does
		b.want([]any{yes, int64(6), int64(0), int64(0), int64(0), int64(6)}, lua.Read, "")
		b.want([]any{yes, int64(0)}, lua.Settle, 0, 0, "a", "b", "a")
		b.wantStored(map[string]any{"n": "6", "v": "6", "reserved": "0", "holds": 0, "dated": 0})
	})
}

func TestSettleEndsHoldsOfAProductThatIsNotLoaded(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.load(10, 5)
		b.want([]any{yes}, lua.Hold, "a", 4, b.in(60_000))
		b.env.Redis.Del(t.Context(), b.keys.Product(b.product)[0])
		b.want([]any{notLoaded, int64(1)}, lua.Settle, 6, 6, "a")
		b.load(6, 6)
		b.want([]any{yes, int64(6), int64(0)}, lua.Read, "")
	})
}

// A loader that has read Postgres before a change must not put what it read over the change.
func TestLoadIsRefusedWhenSomethingHappenedAfterOpen(t *testing.T) {
	onEach(t, func(t *testing.T, all *bench) {
		changes := map[string]func(b *bench){
			"settle":         func(b *bench) { b.run(lua.Settle, 7, 3, "a") },
			"settle older":   func(b *bench) { b.run(lua.Settle, 1, 3) },
			"ended hold":     func(b *bench) { b.run(lua.Settle, 0, 0, "a") },
			"release":        func(b *bench) { b.run(lua.Release, "a") },
			"loss of memory": func(b *bench) { b.env.Redis.Del(b.t.Context(), b.keys.Product(b.product)...) },
			"loss of memory, opened by another": func(b *bench) {
				b.env.Redis.Del(b.t.Context(), b.keys.Product(b.product)...)
				b.open()
			},
		}
		for name, change := range changes {
			t.Run(name, func(t *testing.T) {
				b := all.another(t)
				seq := b.open()
				change(b)
				b.want([]any{again}, lua.Load, seq, 1, 10, 6, "a", 4, b.in(60_000))
				b.want([]any{notLoaded}, lua.Read, "")
				b.load(3, 7)
				b.want([]any{yes, int64(3), int64(0)}, lua.Read, "")
			})
		}
	})
}

func TestLoadNeverOverwritesWhatIsLoadedNorANewerVersion(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		seq := b.open()
		b.want([]any{yes}, lua.Load, seq, 1, 10, 6)
		b.want([]any{yes}, lua.Load, b.open(), 1, 99, 7)
		b.want([]any{yes, int64(10), int64(0), int64(0), int64(0), int64(6)}, lua.Read, "")
		b.env.Redis.HDel(t.Context(), b.keys.Product(b.product)[0], "n")
		b.want([]any{again}, lua.Load, b.open(), 1, 99, 5)
		b.want([]any{notLoaded}, lua.Read, "")
	})
}

func TestTwoLoadersAtOnceLoadOnce(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		first, second := b.open(), b.open()
		if first != second {
			t.Fatalf("opened as %s and %s", first, second)
		}
		b.want([]any{yes}, lua.Load, first, 1, 10, 1, "a", 2, b.in(60_000))
		b.want([]any{again}, lua.Load, second, 1, 10, 1, "a", 2, b.in(60_000))
		b.want([]any{yes, int64(10), int64(2)}, lua.Read, "")
	})
}

func TestLoadBringsLiveHoldsOnly(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.load(10, 1, "live", 3, b.in(60_000), "expired", 5, b.in(-1))
		b.want([]any{yes, int64(10), int64(3)}, lua.Read, "")
		b.wantStored(map[string]any{"n": "10", "v": "1", "reserved": "3", "holds": 1, "dated": 1})
	})
}

func TestLoadInSeveralCallsIsNotLoadedUntilTheLast(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		later := b.in(60_000)
		answer := b.run(lua.Load, b.open(), 0, 10, 1, "a", 1, later)
		b.want([]any{notLoaded}, lua.Hold, "c", 1, later)
		answer = b.run(lua.Load, answer[1], 0, 10, 1, "b", 2, later)
		b.want([]any{yes}, lua.Load, answer[1], 1, 10, 1)
		b.want([]any{yes, int64(10), int64(3)}, lua.Read, "")
	})
}

// One key lost or of the wrong type is noticed, and what Postgres has is put in place of it all.
func TestDamageIsNotLoadedAndLoadHealsIt(t *testing.T) {
	onEach(t, func(t *testing.T, all *bench) {
		kinds := []string{"stock", "reserved", "holds", "expiry"}
		damage := map[string]func(b *bench, key string){
			"deleted": func(b *bench, key string) { b.env.Redis.Del(b.t.Context(), key) },
			"wrong type": func(b *bench, key string) {
				b.env.Redis.Del(b.t.Context(), key)
				b.env.Redis.LPush(b.t.Context(), key, "x")
			},
		}
		for at, kind := range kinds {
			for name, harm := range damage {
				t.Run(kind+" "+name, func(t *testing.T) {
					b := all.another(t)
					later := b.in(60_000)
					b.load(10, 3)
					b.want([]any{yes}, lua.Hold, "a", 4, later)
					harm(b, b.keys.Product(b.product)[at])
					b.want([]any{notLoaded}, lua.Hold, "b", 7, later)
					b.want([]any{notLoaded}, lua.Extend, "a", later)
					b.want([]any{notLoaded}, lua.Read, "")
					b.run(lua.Sweep)
					b.run(lua.State, "0")
					b.want([]any{notLoaded, "0"}, lua.Repair, "1", "", "", "", 0)
					b.load(10, 3, "a", 4, later)
					b.want([]any{no, int64(6)}, lua.Hold, "b", 7, later)
					b.want([]any{yes, int64(10), int64(4), int64(4), later}, lua.Read, "a")
				})
			}
		}
	})
}

func TestAnEntryThatCannotBeReadIsDamage(t *testing.T) {
	onEach(t, func(t *testing.T, all *bench) {
		for _, entry := range []string{"", "4", "-4:9", "4:9:1", "0x4:99", "4:9e9", "9007199254740993:5"} {
			t.Run(entry, func(t *testing.T) {
				b := all.another(t)
				later := b.in(60_000)
				b.load(10, 3)
				b.want([]any{yes}, lua.Hold, "a", 4, later)
				b.env.Redis.HSet(t.Context(), b.keys.Product(b.product)[2], "a", entry)
				b.want([]any{notLoaded}, lua.Hold, "a", 5, later)
				b.want([]any{notLoaded}, lua.Read, "")
				b.load(10, 3, "a", 4, later)
				b.want([]any{yes, int64(10), int64(4), int64(4), later}, lua.Read, "a")
			})
		}
	})
}

func TestSettleAndReleaseWorkOnDamage(t *testing.T) {
	onEach(t, func(t *testing.T, all *bench) {
		for at := range 4 {
			t.Run(fmt.Sprint(at), func(t *testing.T) {
				b := all.another(t)
				b.load(10, 3)
				b.want([]any{yes}, lua.Hold, "a", 4, b.in(60_000))
				seq := b.open()
				key := b.keys.Product(b.product)[at]
				b.env.Redis.Del(t.Context(), key)
				b.env.Redis.LPush(t.Context(), key, "x")
				b.run(lua.Settle, 4, 6, "a")
				b.run(lua.Release, "a")
				b.want([]any{again}, lua.Load, seq, 1, 10, 3, "a", 4, b.in(60_000))
				b.load(6, 4)
				b.want([]any{yes, int64(6), int64(0)}, lua.Read, "")
			})
		}
	})
}

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
		b.want([]any{no, "", "", "", "0", int64(0)}, lua.State, "0")
		b.load(10, 3)
		b.want([]any{yes}, lua.Hold, "a", 4, later)
		b.want([]any{yes}, lua.Hold, "b", 1, later)
		state := b.run(lua.State, "0")
		want := []any{yes, state[1], "10", "3", "5", int64(2), state[6], "0", []any{"a", fmt.Sprint("4:", later), "b", fmt.Sprint("1:", later)}}
		if diff := cmp.Diff(want, state); diff != "" {
			t.Fatalf("state: (-want +got)\n%s", diff)
		}
		b.want([]any{yes}, lua.Hold, "b", 2, later)
		b.want([]any{again}, lua.Repair, state[1], 12, 5, "", 1, "a", "c", 3, later)
		seq := b.run(lua.State, "0")[1]
		b.want([]any{yes}, lua.Repair, seq, 12, 5, "", 1, "a", "b", 1, later, "c", 3, later, "gone", 9, b.in(-5))
		b.want([]any{yes, int64(12), int64(4), int64(1), later, int64(5)}, lua.Read, "b")
		b.want([]any{again}, lua.Repair, seq, "", "", "", 0)
		b.wantStored(map[string]any{"n": "12", "v": "5", "reserved": "4", "holds": 2, "dated": 2})
	})
}

func TestRepairOfAWrongSum(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.load(10, 3)
		b.want([]any{yes}, lua.Hold, "a", 4, b.in(60_000))
		b.env.Redis.Set(t.Context(), b.keys.Product(b.product)[1], 9, 0)
		state := b.run(lua.State, "0")
		b.want([]any{yes}, lua.Repair, state[1], "", "", 4, 0)
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
			b.refused(lua.Load, n, 1, 5, 1)
			b.refused(lua.Load, "5", 1, 5, 1, "a", n, later)
			b.refused(lua.Repair, n, "", "", "", 0)
			b.refused(lua.Repair, "5", "", "", "", 0, "a", n, later)
		}
		for _, n := range notWhole {
			b.refused(lua.Settle, n, 1)
			b.refused(lua.Settle, 1, n)
			b.refused(lua.Load, "5", 1, n, 1)
			b.refused(lua.Repair, "5", "", "", "", n)
		}
		for _, id := range []string{"", strings.Repeat("x", 65)} {
			b.refused(lua.Hold, id, 1, later)
			b.refused(lua.Release, id)
			b.refused(lua.Extend, id, later)
			b.refused(lua.Settle, 2, 5, id)
			b.refused(lua.Load, "5", 1, 5, 1, id, 1, later)
		}
		b.refused(lua.Repair, "5", 7, "", "", 0)
		b.refused(lua.Repair, "5", "", "", "", 2, "a")
		b.refused(lua.Load, "5", 2, 5, 1)
		b.refused(lua.Load, "5", 1, 5, 1, "a", 1)
		b.wantStored(before)
		b.want([]any{no, int64(100)}, lua.Hold, "a", "9007199254740991", later)
	})
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
