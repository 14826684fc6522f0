package lua_test

import (
	"testing"

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
