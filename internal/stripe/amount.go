package stripe

import (
	"math"
	"strings"

	"github.com/bojanz/currency"
)

// Stripe counts most currencies in hundredths, whatever ISO 4217 says of them: the króna and the Uganda shilling, which have no
// digits, too. These it counts in whole units, and those in thousandths of which the last digit is always 0.
const (
	wholeUnits  = " BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF "
	thousandths = " BHD JOD KWD OMR TND "
)

func digitsOfStripe(code string) int {
	switch spaced := " " + code + " "; {
	case strings.Contains(wholeUnits, spaced):
		return 0
	case strings.Contains(thousandths, spaced):
		return 3
	}
	return 2
}

// toStripe gives an amount in minor units of ISO 4217 as Stripe counts it; false if Stripe cannot say it.
func toStripe(minor int64, code string) (int64, bool) {
	amount, ok := shift(minor, code, 1)
	return amount, ok && (digitsOfStripe(code) != 3 || amount%10 == 0)
}

// fromStripe is the way back; false if it is no whole number of minor units.
func fromStripe(amount int64, code stripeCurrency) (minor int64, iso string, ok bool) {
	iso = strings.ToUpper(string(code))
	minor, ok = shift(amount, iso, -1)
	return minor, iso, ok
}

// shift moves the point of an amount: for 1 from the digits of ISO 4217 to those of Stripe, for -1 back.
func shift(amount int64, code string, way int) (int64, bool) {
	digits, known := currency.GetDigits(code)
	if !known {
		return 0, false
	}
	by := way * (digitsOfStripe(code) - int(digits))
	for ; by > 0; by-- {
		if amount > math.MaxInt64/10 || amount < 0 {
			return 0, false
		}
		amount *= 10
	}
	for ; by < 0; by++ {
		if amount%10 != 0 {
			return 0, false
		}
		amount /= 10
	}
	return amount, true
}
