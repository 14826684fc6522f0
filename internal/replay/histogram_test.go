package replay

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestBucketsAreWithoutGaps(t *testing.T) {
	t.Parallel()
	for us := uint64(0); us < 1<<20; us++ {
		b := bucket(us)
		if top := ceiling(b); us > top || b > 0 && us <= ceiling(b-1) {
			t.Fatalf("%d is in bucket %d, which ends at %d", us, b, top)
		}
	}
	if b := bucket(math.MaxUint64); b != len(histogram{}.buckets)-1 || ceiling(b) != math.MaxUint64 {
		t.Errorf("the longest duration is in bucket %d of %d", b, len(histogram{}.buckets))
	}
}

func TestQuantiles(t *testing.T) {
	t.Parallel()
	var h histogram
	if got := h.latency(); got != (Latency{}) {
		t.Errorf("no readings give %+v", got)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	all := make([]time.Duration, 10_000)
	for i := range all {
		all[i] = time.Duration(rng.ExpFloat64() * float64(5*time.Millisecond))
		h.add(all[i])
	}
	slices.Sort(all)
	for _, q := range []float64{0.01, 0.5, 0.95, 0.99, 1} {
		want := all[max(int(math.Ceil(q*float64(len(all))))-1, 0)].Truncate(time.Microsecond)
		if got := h.quantile(q); got < want || float64(got) > float64(want)*1.035+1000 {
			t.Errorf("quantile %g is %s, want %s to 3%% more", q, got, want)
		}
	}
}
