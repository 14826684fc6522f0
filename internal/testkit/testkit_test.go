package testkit_test

import (
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestNew(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	var n int
	if err := env.DB.QueryRow(t.Context(), "SELECT count(*) FROM shared.outbox").Scan(&n); err != nil {
		t.Fatal(err)
	}
	env.Log.Info("hello", "ns", env.Namespace)
	if err := env.Redis.Set(t.Context(), env.Namespace+":a", 1, 0).Err(); err != nil {
		t.Fatal(err)
	}
}
