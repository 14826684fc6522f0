package payment

import (
	"fmt"
	"strconv"
	"time"
)

// signatureGood is how long a webhook's signature is good for.
const signatureGood = 5 * time.Minute

// Timely reports an error unless a webhook was signed lately: at a second since 1970, as it came, when it is now by the provider's
// clock.
func Timely(second string, now time.Time) error {
	n, err := strconv.ParseInt(second, 10, 64)
	if err != nil {
		return fmt.Errorf("%w: signed at %.40q, which is no second", ErrForged, second)
	}
	if off := now.Sub(time.Unix(n, 0)); off.Abs() > signatureGood {
		return fmt.Errorf("%w: signed %s ago, and %s is the most", ErrForged, off.Round(time.Second), signatureGood)
	}
	return nil
}
