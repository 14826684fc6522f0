package lua_test

import (
	"fmt"
	"testing"

	"github.com/holdfast-checkout/holdfast/lua"
)

func TestLoadNeverOverwritesWhatIsLoadedNorANewerVersion(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.open("one")
		b.want([]any{yes}, lua.Load, "one", "", 10, 6)
		b.want([]any{yes, int64(0), ""}, lua.Open, "two")
		b.want([]any{yes}, lua.Load, "two", "", 99, 7)
		b.want([]any{yes, int64(10), int64(0), int64(0), int64(0), int64(6)}, lua.Read, "")
		b.env.Redis.HDel(t.Context(), b.keys.Product(b.product)[0], "n")
		b.open("three")
		b.want([]any{stale}, lua.Load, "three", "", 99, 5, "a", 4, b.in(60_000))
		b.want([]any{notLoaded}, lua.Read, "")
		b.want([]any{yes}, lua.Load, "three", "", 9, 7)
		b.want([]any{yes, int64(9), int64(4), int64(0), int64(0), int64(7)}, lua.Read, "")
	})
}

// stale is what load answers when a newer version of the stock is known.
const stale = int64(3)

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
		b.open("one")
		b.want([]any{no}, lua.Load, "one", "here", "", "", "a", 1, later, "a", 5, later)
		b.want([]any{notLoaded}, lua.Hold, "c", 1, later)
		b.want([]any{notLoaded}, lua.Read, "")
		b.want([]any{notLoaded}, lua.Tell)
		b.want([]any{notLoaded, "0"}, lua.Repair, "1", "", "", "", "", 0)
		b.want([]any{no}, lua.State, "0")
		b.want([]any{no}, lua.Load, "one", "there", "", "", "b", 2, later, "a", 7, later)
		b.want([]any{yes}, lua.Load, "one", "", 10, 1)
		b.want([]any{yes, int64(10), int64(3)}, lua.Read, "")
		b.wantStored(map[string]any{"n": "10", "v": "1", "reserved": "3", "holds": 2, "dated": 2})
		if left := b.env.Redis.Exists(t.Context(), b.keys.Product(b.product)[5]).Val(); left != 0 {
			t.Error("what a load takes note of is left")
		}
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
					b.want([]any{notLoaded, "0"}, lua.Repair, "1", "", "", "", "", 0)
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
				b.open("one")
				b.want([]any{no}, lua.Load, "one", "here", "", "", "a", 4, b.in(60_000))
				key := b.keys.Product(b.product)[at]
				b.env.Redis.Del(t.Context(), key)
				b.env.Redis.LPush(t.Context(), key, "x")
				b.run(lua.Settle, 4, 6, "a")
				b.run(lua.Release, "a")
				b.want([]any{again}, lua.Load, "one", "", 10, 3, "a", 4, b.in(60_000)) // it had read a before that
				b.load(6, 4)
				b.want([]any{yes, int64(6), int64(0)}, lua.Read, "")
			})
		}
	})
}
