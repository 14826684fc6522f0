package house

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// wallClock are the files of the modules that may ask this machine for the time, and what for. Deadlines, expiries and ids go by
// Postgres' clock: package clock.
var wallClock = map[string]string{
	"audit/audit.go": "how long it took", "audit/queues.go": "a connection's deadline", "audit/redis.go": "how long it may wait", "audit/rest.go": "how long it may wait",
	"audit/snapshot.go":  "when Postgres was asked for the time",
	"inventory/shelf.go": "how long it may wait", "inventory/shelf_flight.go": "how long it may wait", "inventory/shelf_load.go": "how long it may wait",
	"inventory/shelf_write.go": "how long it took", "order/place.go": "how long it waited",
	"payment/charger.go": "how long a call took", "payment/gateway.go": "how long this process stood still", "payment/store.go": "when a claim was asked for, by this process",
	"reconcile/forget.go": "how long it took", "reconcile/reconcile.go": "when to look again", "reconcile/run.go": "how long it took",
	"refill/lead.go": "when it looked at all of them last", "rollout/rollout.go": "when it counted last",
}

// Ids that are made from the time are of package clock as well.
var asksTheMachine = regexp.MustCompile(`time\.Now\b|uuid\.NewV7`)

func TestWhatIsDecidedGoesByPostgres(t *testing.T) {
	t.Parallel()
	for _, module := range strings.Fields("archive audit cart deadletter event inbox inventory order outbox payment reconcile refill rollout saga stripe timeline") {
		files, err := filepath.Glob(filepath.Join("..", module, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			name := module + "/" + filepath.Base(file)
			if strings.HasSuffix(file, "_test.go") || wallClock[name] != "" {
				continue
			}
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if found := asksTheMachine.Find(source); found != nil {
				t.Errorf("%s has %s: take it from package clock, or say in wallClock what it is for", name, found)
			}
		}
	}
}
