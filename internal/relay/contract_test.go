package relay

import (
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// contract is what both modes promise. The cases of a mode follow one another in one place, as one life of an outbox.
var contract = []struct {
	name  string
	holds func(*testing.T, *bench, Mode)
}{
	{"order", keepsOrder},
	{"late commit", findsLateCommits},
	{"rollback", leavesOutRollbacks},
	{"many writers", losesNothingOfManyWriters},
	{"restarts", losesNothingOverRestarts},
	{"large", carriesLargeTransactions},
	{"take-over", isTakenOver},
	{"other mode", carriesOnFromTheOtherMode},
	{"switch and back", losesNothingOverSwitches},
	{"backlog", catchesUp},
	{"stopped in a backlog", goesOnInABacklog},
	{"broker away", waitsForTheBroker},
	{"confirm lost", publishesAgainWhatIsNotConfirmed},
	{"unroutable", findsAWayForTheUnroutable},
	{"holds nothing", holdsNothingWhileItWaits},
	{"poison", letsNothingStandInTheWay},
}

func TestContract(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{CDC, Polling} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			b := newBench(t, testkit.New(t))
			for _, c := range contract {
				t.Run(c.name, func(t *testing.T) { c.holds(t, b.again(), mode) })
			}
		})
	}
}
