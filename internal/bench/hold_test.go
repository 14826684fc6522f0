package bench

import "testing"

func TestUnitsAreThoseOfTheHolds(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, holders, holders + 1, 2*holders + 17} {
		held := map[int]int{}
		for i := range n {
			held[i%holders] = quantity(i)
		}
		var want int64
		for _, units := range held {
			want += int64(units)
		}
		if got := (&holder{}).units(n); got != want {
			t.Errorf("after %d holds %d units are held, not %d", n, want, got)
		}
	}
}

func TestTheTableOfRedisBenchmarkIsRead(t *testing.T) {
	t.Parallel()
	const out = `WARNING: Could not fetch server CONFIG
"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
"EVALSHA 5f 4 a","12998.27","3.700","0.500","3.199","6.879","11.023","15.255"
`
	var r bareRun
	if err := r.read(out); err != nil || r.PerSecond != 12998.27 || r.Latency["p50"] != 3.199 || r.Latency["p99"] != 11.023 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, bad := range []string{"", `"test","rps"`, "\"test\",\"rps\"\n\"x\",\"fast\"\n", "\"test\",\"rps\"\n\"x\",\"0\"\n"} {
		if err := r.read(bad); err == nil {
			t.Errorf("%q was taken for a result", bad)
		}
	}
}
