package lua_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
	"github.com/holdfast-checkout/holdfast/lua"
)

// What becomes of a hold from open on, before its page comes, after that, or between two pages that both have it, is what is so when
// the product is loaded, whatever the rows said when the loader read them.
func TestWhatHappensWhileLoadingIsKept(t *testing.T) {
	onEach(t, func(t *testing.T, all *bench) {
		later := all.in(600_000)
		last := all.in(900_000)
		acts := []struct {
			name   string
			act    func(b *bench)
			before int64 // units held at the end when it is done before its page
			after  int64 // and when after it
		}{
			{"nothing", func(*bench) {}, 4, 4},
			{"release", func(b *bench) { b.run(lua.Release, "a") }, 0, 0},
			{"settle", func(b *bench) { b.run(lua.Settle, 0, 0, "a") }, 0, 0},
			{"settle twice", func(b *bench) { b.run(lua.Settle, 0, 0, "a", "a"); b.run(lua.Settle, 0, 0, "a") }, 0, 0},
			{"undo of what another has marked", func(b *bench) { b.run(lua.Undo, "a", "other") }, 4, 4},
			{"extend and undo", func(b *bench) { b.run(lua.Extend, "a", last, "one"); b.run(lua.Undo, "a", "one") }, 4, 4},
			{"extend and release", func(b *bench) { b.run(lua.Extend, "a", last, "one"); b.run(lua.Release, "a") }, 0, 0},
			{"sweep", func(b *bench) { b.run(lua.Sweep) }, 4, 4},
			{"hold", func(b *bench) { b.want([]any{notLoaded}, lua.Hold, "a", 5, later) }, 4, 4},
		}
		for _, one := range acts {
			for moment, do := range map[string]func(b *bench, send func()) int64{
				"before its page": func(b *bench, send func()) int64 { one.act(b); send(); return one.before },
				"after its page":  func(b *bench, send func()) int64 { send(); one.act(b); return one.after },
				"between two":     func(b *bench, send func()) int64 { send(); one.act(b); send(); return one.after },
			} {
				t.Run(one.name+" "+moment, func(t *testing.T) {
					b := all.another(t)
					b.open("one")
					want := do(b, func() { b.want([]any{no}, lua.Load, "one", "here", "", "", "a", 4, later, "b", 1, later) })
					b.want([]any{yes}, lua.Load, "one", "", 10, 1)
					b.want([]any{yes, int64(10), want + 1, want}, lua.Read, "a")
				})
			}
		}
	})
}

// A hold that is there is extended, marked and given back as on a product that is loaded; of one that is not there yet nobody can say.
func TestExtendWhileLoading(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		soon, later := b.in(60_000), b.in(600_000)
		b.want([]any{notLoaded}, lua.Extend, "a", later, "one")
		b.open("one")
		b.want([]any{notLoaded}, lua.Extend, "a", later, "one")
		b.run(lua.Release, "gone")
		b.want([]any{no}, lua.Extend, "gone", later, "one")
		b.want([]any{no}, lua.Load, "one", "here", "", "", "a", 4, soon, "gone", 1, soon)
		b.want([]any{yes, int64(4), later}, lua.Extend, "a", later, "one")
		b.want([]any{no}, lua.Load, "one", "there", "", "", "a", 4, soon) // read before that
		b.want([]any{yes}, lua.Load, "one", "", 10, 1)
		b.wantEntry("a", fmt.Sprintf("4:%d::one:%d", later, soon))
		b.want([]any{no}, lua.Extend, "gone", later)
	})
}

// A cart that is bought between the pages of carts and those of orders comes as both: it gets what an order needs.
func TestAnOrdersPageGivesACartsHoldItsTime(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		soon, later := b.in(60_000), b.in(600_000)
		b.open("one")
		b.want([]any{no}, lua.Load, "one", "here", "", "", "a", 4, soon, "b", 1, fmt.Sprint(soon, ":", alice))
		b.want([]any{no}, lua.Load, "one", "there", "", "", "a", 4, fmt.Sprint(later, "::order"), "b", 1, fmt.Sprint(later, ":", alice, ":order"))
		b.wantEntry("a", fmt.Sprintf("4:%d::order:%d", later, soon))
		b.wantEntry("b", fmt.Sprintf("1:%d:%s:order:%d", later, alice, soon))
		b.want([]any{yes}, lua.Load, "one", "", 10, 1, "a", 4, fmt.Sprint(soon, "::order")) // never shorter
		b.wantEntry("a", fmt.Sprintf("4:%d::order:%d", later, soon))
		b.want([]any{yes, int64(10), int64(5)}, lua.Read, "")
	})
}

// One loader has a product. When it stands still for two seconds another goes on from where it stopped, with all that is there and
// all that has ended; the first, if it lives, writes nothing any more.
func TestOneLoaderAtATime(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		later := b.in(600_000)
		b.open("one")
		b.open("one") // its answer was lost
		b.want([]any{no}, lua.Load, "one", "cart:7", "", "", "a", 1, later, "b", 2, later, "c", 3, later)
		b.run(lua.Release, "b")
		b.run(lua.Settle, 8, 5, "d")
		waits := b.run(lua.Open, "two")
		if left := waits[1].(int64); waits[0] != again || left < 1 || left > 2000 || waits[2] != "cart:7" {
			t.Fatalf("who comes meanwhile is told %v", waits)
		}
		b.want([]any{again}, lua.Load, "two", "", 10, 9)
		testkit.Eventually(t, 20*time.Second, func() bool { return b.run(lua.Open, "two")[0] == no })
		b.want([]any{no, int64(0), "cart:7"}, lua.Open, "two")
		b.want([]any{again}, lua.Load, "one", "cart:9", "", "", "zombie", 4, later)
		b.want([]any{again}, lua.Load, "one", "", 10, 9)
		b.want([]any{no}, lua.Load, "two", "cart:9", "", "", "b", 2, later, "d", 4, later, "e", 5, later)
		b.want([]any{stale}, lua.Load, "two", "", 10, 7)
		b.want([]any{yes}, lua.Load, "two", "", 8, 8)
		b.want([]any{yes, int64(8), int64(9)}, lua.Read, "")
		b.want([]any{yes}, lua.Load, "one", "", 99, 99, "zombie", 4, later)
		b.want([]any{yes, int64(8), int64(9)}, lua.Read, "")
	})
}

// A loss of memory, of all keys or of one, ends a load: what was read before it may be wrong by now. It begins again.
func TestALossOfMemoryEndsALoad(t *testing.T) {
	onEach(t, func(t *testing.T, all *bench) {
		for at, lost := range [][]int{{0}, {1}, {2}, {3}, {5}, {0, 1, 2, 3, 4, 5}} {
			for name, follow := range map[string]func(b *bench){
				"":                              func(*bench) {},
				", and another opened it":       func(b *bench) { b.open("test") },
				", and something ended":         func(b *bench) { b.run(lua.Release, "a") },
				", and the books went on":       func(b *bench) { b.run(lua.Settle, 3, 3, "b") },
				", and the sweeper came by":     func(b *bench) { b.run(lua.Sweep) },
				", and somebody came to extend": func(b *bench) { b.run(lua.Extend, "a", b.in(60_000)) },
			} {
				t.Run(fmt.Sprint(at, name), func(t *testing.T) {
					b := all.another(t)
					later := b.in(60_000)
					b.open("one")
					b.want([]any{no}, lua.Load, "one", "here", "", "", "a", 4, later)
					b.run(lua.Release, "ended")
					keys := b.keys.Product(b.product)
					for _, i := range lost {
						b.env.Redis.Del(t.Context(), keys[i])
					}
					follow(b)
					b.want([]any{again}, lua.Load, "one", "there", "", "", "ended", 1, later)
					b.load(3, 3, "c", 1, later)
					if held := b.run(lua.Read, "c"); held[0] != yes || held[1] != int64(3) || held[3] != int64(1) {
						t.Errorf("read: %v", held)
					}
					b.run(lua.Release, "a") // which may be there: nobody has ended it, or the rows say again that it is
					b.want([]any{yes, int64(3), int64(1)}, lua.Read, "c")
				})
			}
		}
	})
}

// What was only looked at is forgotten; what holds units, or is being loaded, is not before its time.
func TestAProductWithoutHoldsIsForgotten(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		later := b.in(60_000)
		keys := b.keys.Product(b.product)
		goes := func(when string, want bool, some ...int) {
			t.Helper()
			for _, i := range some {
				ttl := b.env.Redis.PTTL(t.Context(), keys[i]).Val()
				if goes := ttl > 0 && ttl <= time.Hour; goes != want {
					t.Errorf("%s: %s goes after %v", when, keys[i], ttl)
				}
			}
		}
		b.open("one")
		goes("opened", true, 0, 5)
		b.want([]any{no}, lua.Load, "one", "here", "", "", "a", 1, later)
		goes("loading", true, 5)
		goes("loading with a hold", false, 0, 1)
		b.run(lua.Release, "a")
		b.want([]any{yes}, lua.Load, "one", "", 10, 1)
		goes("loaded", true, 0, 1)
		b.want([]any{yes}, lua.Hold, "a", 1, later)
		goes("held", false, 0, 1)
		b.want([]any{yes}, lua.Hold, "b", 1, later)
		b.run(lua.Release, "b")
		goes("still held", false, 0, 1)
		b.run(lua.Settle, 2, 9, "a")
		goes("not held any more", true, 0, 1)
		b.want([]any{yes, int64(9)}, lua.Read, "")
		seq := b.run(lua.State, "0")[1]
		b.want([]any{yes}, lua.Repair, seq, "", "", "", "", 0, "c", 1, later)
		goes("repaired", false, 0, 1)
		b.env.Redis.Del(t.Context(), keys...)
		b.load(9, 1, "d", 2, later)
		goes("loaded with a hold", false, 0, 1)
	})
}

func (b *bench) wantEntry(id, want string) {
	b.t.Helper()
	if got := b.env.Redis.HGet(b.t.Context(), b.keys.Product(b.product)[2], id).Val(); got != want {
		b.t.Errorf("the entry of %s is %q, want %q", id, got, want)
	}
}
