package stripe

import (
	"math"
	"strings"
	"testing"

	"github.com/stripe/stripe-go/v85"
)

// Amounts as docs.stripe.com/currencies has them.
func TestAmountsAsStripeCountsThem(t *testing.T) {
	t.Parallel()
	const no = -1
	for _, c := range []struct {
		code           string
		minor, stripes int64
	}{
		{"GBP", 1275, 1275},
		{"HUF", 1000, 1000},                   // hundredths, too
		{"JPY", 500, 500},                     // no digits
		{"KRW", 15_000, 15_000},               //
		{"ISK", 150, 15_000},                  // no digits, counted in hundredths
		{"UGX", 500, 50_000},                  //
		{"MGA", 500, 5},                       // two digits, counted in whole units
		{"MGA", 501, no},                      //
		{"KWD", 5120, 5120},                   // three digits, of which the last is 0
		{"TND", 5123, no},                     //
		{"UGX", math.MaxInt64 / 10, no},       // too large to be said
		{"GBP", math.MaxInt64, math.MaxInt64}, //
		{"XXZ", 100, no},
		{"", 100, no},
		{"gbp", 1, no}, // none
	} {
		got, ok := toStripe(c.minor, c.code)
		if ok != (c.stripes != no) || ok && got != c.stripes {
			t.Errorf("%d %s: %d, %t, want %d", c.minor, c.code, got, ok, c.stripes)
		}
		if !ok {
			continue
		}
		if back, iso, ok := fromStripe(got, stripe.Currency(strings.ToLower(c.code))); !ok || back != c.minor || iso != c.code {
			t.Errorf("%d %s came back as %d %s, %t", c.minor, c.code, back, iso, ok)
		}
	}
	if _, _, ok := fromStripe(150, "isk"); ok {
		t.Error("half a króna was taken")
	}
}
