package sandbox

import (
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"sync"
)

// verdict is what a payment method does to every charge under it; a method that is not here is declined as unknown.
var verdicts = map[string]struct{ status, reason string }{
	"pm_ok":                   {status: Succeeded},
	"pm_declined":             {status: Declined, reason: "card_declined"},
	"pm_insufficient_funds":   {status: Declined, reason: "insufficient_funds"},
	"pm_slow":                 {status: Succeeded}, // charges late and answers then
	"pm_error_once":           {status: Succeeded}, // the first request gets a 500 and charges nothing
	"pm_timeout_after_charge": {status: Succeeded}, // the request that charges is never answered
	"pm_flaky":                {status: Succeeded}, // the first few charge and refund requests go wrong in ways drawn from the seed
}

// verdict says what becomes of a charge.
func (t *troubles) verdict(method, key string) (status, reason string) {
	v, ok := verdicts[method]
	switch {
	case !ok:
		return Declined, "unknown_payment_method"
	case v.status == Succeeded && t.chance("verdict "+key, 0).Float64() < t.faults.Decline:
		return Declined, "card_declined"
	}
	return v.status, v.reason
}

// trouble is what goes wrong with one request.
type trouble int

const (
	noTrouble    trouble = iota
	errorBefore          // 500, nothing done
	slow                 // done late
	errorAfter           // done, then 500
	garbageAfter         // done, then 200 with nonsense
	hangAfter            // done, never answered
)

// flakyRequests bounds how often one key of pm_flaky goes wrong, so that asking again ends.
const flakyRequests = 3

// troubles decides what goes wrong. It counts requests by key where that matters, and forgets at a restart.
type troubles struct {
	seed   uint64
	faults Faults

	mu    sync.Mutex
	count map[string]int
}

func newTroubles(seed uint64, faults Faults) *troubles {
	return &troubles{seed: seed, faults: faults, count: map[string]int{}}
}

// next draws the trouble of one more request under the key.
func (t *troubles) next(method, key string) trouble {
	switch method {
	case "pm_slow":
		return slow
	case "pm_error_once":
		if t.again(key, 1) <= 1 {
			return errorBefore
		}
	case "pm_timeout_after_charge":
		return hangAfter
	case "pm_flaky":
		if n := t.again(key, flakyRequests); n <= flakyRequests {
			return t.draw(key, n)
		}
	default:
		return t.strike(key)
	}
	return noTrouble
}

// strike draws what goes wrong with the first request under a key, by the shares of faults.
func (t *troubles) strike(key string) trouble {
	if t.faults == (Faults{}) || t.again(key, 1) > 1 {
		return noTrouble
	}
	p := t.chance(key, 1).Float64()
	for _, share := range []struct {
		of   float64
		does trouble
	}{{t.faults.Error / 2, errorBefore}, {t.faults.Error / 2, errorAfter}, {t.faults.Drop, hangAfter}, {t.faults.Late, slow}} {
		if p -= share.of; p < 0 {
			return share.does
		}
	}
	return noTrouble
}

// again counts a request under the key, and stops counting beyond the limit.
func (t *troubles) again(key string, limit int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count[key] <= limit {
		t.count[key]++
	}
	return t.count[key]
}

// chance depends on the seed, the key and the number of the request alone.
func (t *troubles) chance(key string, n int) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write(binary.BigEndian.AppendUint64([]byte(key), uint64(n))) // a hash never fails
	return rand.New(rand.NewPCG(t.seed, h.Sum64()))
}

// draw is the trouble of a request of pm_flaky.
func (t *troubles) draw(key string, n int) trouble {
	switch p := t.chance(key, n).IntN(100); {
	case p < 20:
		return errorBefore
	case p < 30:
		return slow
	case p < 45:
		return errorAfter
	case p < 55:
		return garbageAfter
	case p < 60:
		return hangAfter
	}
	return noTrouble
}
