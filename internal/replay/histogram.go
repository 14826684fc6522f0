package replay

import (
	"math/bits"
	"time"
)

// Within a power of two there are 1<<fine buckets, so that a reading is at most 3 percent too high.
const fine = 5

// histogram counts durations in buckets that widen with the duration. Its size does not grow with the number of readings.
type histogram struct {
	buckets [(64 - fine + 1) << fine]int64
	count   int64
	highest time.Duration
}

// bucket of a number of microseconds: exact below 1<<fine, then the leading fine+1 bits.
func bucket(us uint64) int {
	if us < 1<<fine {
		return int(us)
	}
	shift := bits.Len64(us) - fine - 1
	return shift<<fine + int(us>>shift)
}

// ceiling is the highest number of microseconds that belongs to a bucket.
func ceiling(b int) uint64 {
	if b < 1<<fine {
		return uint64(b)
	}
	shift := b>>fine - 1
	return uint64(b-shift<<fine+1)<<shift - 1
}

func (h *histogram) add(d time.Duration) {
	h.buckets[bucket(uint64(max(d, 0).Microseconds()))]++
	h.count++
	h.highest = max(h.highest, d)
}

// quantile gives the duration that a share q of the readings does not exceed, 0 when there are none.
func (h *histogram) quantile(q float64) time.Duration {
	rank := int64(q*float64(h.count) + 0.999999)
	var seen int64
	for b, n := range h.buckets {
		if seen += n; n > 0 && seen >= rank {
			return min(time.Duration(ceiling(b))*time.Microsecond, h.highest)
		}
	}
	return 0
}

// latency is what a report says of it, in milliseconds.
func (h *histogram) latency() Latency {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return Latency{P50: ms(h.quantile(0.50)), P95: ms(h.quantile(0.95)), P99: ms(h.quantile(0.99)), Max: ms(h.highest), Count: h.count}
}
