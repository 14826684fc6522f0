package reconcile

import (
	"testing"
	"time"
)

// What was left has everything compared once the last run has been rested from, and no sooner: a product that is fought over must not
// have a large catalogue compared without a pause.
func TestWhatWasLeftIsDueAfterARest(t *testing.T) {
	t.Parallel()
	long, rested, resting := time.Now().Add(-time.Hour), turn{}, turn{rest: time.Now().Add(time.Hour)}
	for what, c := range map[string]struct {
		run          Run
		restless     bool
		hurry        bool
		rested, soon bool
	}{
		"nothing left":                  {Run{Drifted: 2, Repaired: 2}, false, false, false, false},
		"some too young":                {Run{Drifted: 2, Repaired: 2}, false, true, true, true},
		"some left":                     {Run{Drifted: 2, Repaired: 1}, false, false, true, false},
		"some restless":                 {Run{Drifted: 2, Repaired: 2}, true, false, true, false},
		"some left, and some too young": {Run{Drifted: 2, Repaired: 1}, false, true, true, false},
	} {
		r := New(Options{})
		r.whole.Store(true)
		r.left(&pass{run: c.run, began: long, restless: c.restless}, c.hurry)
		if got, soon := r.due(rested), r.due(resting); got != c.rested || soon != c.soon {
			t.Errorf("%s: due %v after a rest and %v before, want %v and %v", what, got, soon, c.rested, c.soon)
		}
	}
}
