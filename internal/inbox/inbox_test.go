package inbox_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func hear(t *testing.T, env *testkit.Env, module string, facts ...event.Fact) ([]event.Fact, error) {
	t.Helper()
	var fresh []event.Fact
	err := env.DB.InTx(t.Context(), func(tx pgx.Tx) (err error) {
		fresh, err = inbox.Fresh(t.Context(), tx, module, facts)
		return err
	})
	return fresh, err
}

func TestFactsAreFreshOncePerModule(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	a, b := event.New(event.OrderCreated, "s", uuid.New(), event.Order{}), event.New(event.OrderCreated, "s", uuid.New(), event.Order{})
	for _, c := range []struct {
		module string
		facts  []event.Fact
		want   []uuid.UUID
	}{
		{"order", []event.Fact{b, a, b}, []uuid.UUID{b.ID, a.ID}},
		{"order", []event.Fact{a, b}, nil},
		{"payment", []event.Fact{a}, []uuid.UUID{a.ID}},
		{"order", nil, nil},
	} {
		fresh, err := hear(t, env, c.module, c.facts...)
		if err != nil {
			t.Fatal(err)
		}
		if len(fresh) != len(c.want) {
			t.Fatalf("%s: %d fresh, want %d", c.module, len(fresh), len(c.want))
		}
		for i := range fresh {
			if fresh[i].ID != c.want[i] {
				t.Fatalf("%s: order of facts not kept", c.module)
			}
		}
	}
}

func TestTwoAtOnceHearOnce(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	facts := make([]event.Fact, 50)
	for i := range facts {
		facts[i] = event.New(event.OrderCreated, "s", uuid.New(), event.Order{})
	}
	var heard [8]int
	var wg sync.WaitGroup
	for i := range heard {
		wg.Go(func() {
			fresh, err := hear(t, env, "order", facts...)
			if err != nil {
				t.Error(err)
			}
			heard[i] = len(fresh)
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range heard {
		sum += n
	}
	if sum != len(facts) {
		t.Fatalf("%v: heard %d, want %d", heard, sum, len(facts))
	}
}

func TestAnUndoneTransactionHasHeardNothing(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	f := event.New(event.OrderCreated, "s", uuid.New(), event.Order{})
	undone := errors.New("undone")
	err := env.DB.InTx(t.Context(), func(tx pgx.Tx) error {
		if fresh, err := inbox.Fresh(t.Context(), tx, "order", []event.Fact{f}); err != nil || len(fresh) != 1 {
			t.Errorf("%d fresh, %v", len(fresh), err)
		}
		return undone
	})
	if !errors.Is(err, undone) {
		t.Fatal(err)
	}
	if fresh, err := hear(t, env, "order", f); err != nil || len(fresh) != 1 {
		t.Fatalf("%d fresh, %v", len(fresh), err)
	}
}

func TestFactsOutsideTheRetentionAreNotDone(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	for name, at := range map[string]time.Time{"old": time.Now().Add(-30 * 24 * time.Hour), "of the future": time.Now().Add(30 * 24 * time.Hour)} {
		f := event.New(event.OrderCreated, "s", uuid.New(), event.Order{})
		ms := at.UnixMilli()
		for i := range 6 {
			f.ID[i] = byte(ms >> (40 - 8*i))
		}
		if _, err := hear(t, env, "order", f); !inbox.TooOld(t.Context(), env.DB, err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A partition that is missing is no verdict on a fact: it waits until the partition is there.
func TestAMissingPartitionIsAnOutage(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	if _, err := env.DB.Exec(t.Context(), `DO $$ BEGIN EXECUTE 'DROP TABLE shared.inbox_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD'); END $$`); err != nil {
		t.Fatal(err)
	}
	f := event.New(event.OrderCreated, "s", uuid.New(), event.Order{})
	_, err := hear(t, env, "order", f)
	var outside *inbox.OutsideError
	if !errors.As(err, &outside) || inbox.TooOld(t.Context(), env.DB, err) {
		t.Errorf("%v", err)
	}
}
