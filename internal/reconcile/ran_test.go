package reconcile

import (
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// Only a run that repairs and has come to its end counts for when the next is due.
func TestWhatRanWithinATime(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	r := &Reconciler{Options: Options{Postgres: env.DB}}
	for _, c := range []struct {
		insert string
		want   bool
	}{
		{`SELECT`, false},
		{`INSERT INTO shared.reconciliations (id, scope, everything, dry_run, term, ended_at) VALUES (gen_random_uuid(), 'full', true, true, 1, now())`, false},
		{`INSERT INTO shared.reconciliations (id, scope, everything, dry_run, term) VALUES (gen_random_uuid(), 'full', true, false, 1)`, false},
		{`INSERT INTO shared.reconciliations (id, scope, everything, dry_run, term, ended_at) VALUES (gen_random_uuid(), 'full', true, false, 1, now())`, true},
	} {
		if _, err := env.DB.Exec(t.Context(), c.insert); err != nil {
			t.Fatal(err)
		}
		if ran, err := r.ranWithin(t.Context(), time.Hour); err != nil || ran != c.want {
			t.Errorf("after %s: %v, %v", c.insert, ran, err)
		}
	}
}
