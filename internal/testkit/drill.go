package testkit

import (
	"os"
	"strconv"
	"testing"
)

// Variables in the environment by which `make drill` makes a test long, and repeatable.
const (
	DrillVariable = "HOLDFAST_DRILL" // set: tests take their long form
	SeedVariable  = "HOLDFAST_SEED"  // a number from which a test makes everything that it does at random
)

// Size is how much a test that could go on for ever does: short in the suite, long in a drill. A test that calls it is named
// TestDrill…, so that `make drill` finds it.
func Size(short, long int) int {
	if os.Getenv(DrillVariable) == "" {
		return short
	}
	return long
}

// Seed is what everything random in a test is made from: always the same in the suite, given by `make drill` otherwise. It is
// logged, so that what failed can be done again.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed := uint64(1)
	if given := os.Getenv(SeedVariable); given != "" {
		var err error
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatalf("read %s: %v", SeedVariable, err)
		}
	}
	t.Logf("seed %d", seed)
	return seed
}
