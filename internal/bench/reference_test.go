package bench

import (
	"strings"
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// The references do a saga's whole work in our own tables: each checks the books that it leaves.
func TestReferencesCompleteTheirOrders(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"set.sql", "rows.sql"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			p := testPlace(t)
			got, err := p.reference(t.Context(), p.postgresURL, file)
			if err != nil {
				t.Fatal(err)
			}
			if got.TPS <= 0 || got.Orders != 20 {
				t.Errorf("%+v", got)
			}
		})
	}
}

func testPlace(t *testing.T) *place {
	t.Helper()
	env := testkit.New(t)
	o := Options{Orders: 24, References: 23, Lines: 3, Concurrency: 4, Clients: 4, Products: 20, Seed: 7, Dir: t.TempDir(), Scripts: "../../bench", Log: env.Log}
	p := &place{Options: o, postgresURL: env.PostgresURL, prefix: env.Namespace, shop: newShop(o)}
	for i := range p.shop.articles {
		p.shop.articles[i].ID = newID().String()
	}
	return p
}

func TestScriptsHaveEveryStep(t *testing.T) {
	t.Parallel()
	text, err := script("../../bench", "rows.sql", 3)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(text, "INSERT INTO orders.lines"); n != 3 {
		t.Errorf("%d inserts of order lines, want one for each of 3", n)
	}
	if strings.Contains(text, "{i}") || strings.Contains(text, "-- each") {
		t.Errorf("not repeated: %s", text)
	}
	if _, err := script("../../bench", "nothing.sql", 3); err == nil {
		t.Error("a file that does not exist was taken")
	}
}
