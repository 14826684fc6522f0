package inbox_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/inbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestDeathsAreCountedByFactAndModule(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	alone := inbox.Alone{DB: env.DB}
	a, b := uuid.New(), uuid.New()
	begins := func(module string, fact uuid.UUID, want int) {
		t.Helper()
		if deaths, err := alone.Begin(t.Context(), module, fact); err != nil || deaths != want {
			t.Errorf("%s begins: %d deaths before, want %d, %v", module, deaths, want, err)
		}
	}
	begins("order", a, 0)
	begins("order", a, 1)
	begins("view", a, 0)
	begins("order", b, 0)
	if err := alone.End(t.Context(), "order", a); err != nil {
		t.Fatal(err)
	}
	begins("order", a, 0)
	begins("order", b, 1)
	if _, err := env.DB.Exec(t.Context(), `UPDATE shared.hearings SET at = now() - interval '2 hours' WHERE fact_id = $1`, b); err != nil {
		t.Fatal(err)
	}
	if n, err := alone.Clean(t.Context(), time.Hour); err != nil || n != 1 {
		t.Fatalf("%d forgotten, %v", n, err)
	}
	begins("order", b, 0)
	begins("view", a, 1)
}
