package relay

import (
	"testing"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// What is asked again and again costs the same however many published facts are kept.
func TestAskingCostsTheSameHoweverMuchIsKept(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	statements := map[string][]any{waitingSQL: nil, youngerSQL: {uint64(1) << 40},
		begunSQL: {uint64(1) << 40, uuid.Nil, uint64(1) << 41, []string{}, page},
		endedSQL: {uint64(5), uuid.Nil, []string{"5", "6"}, page}}
	few := map[string]int{}
	testkit.Keep(t, env.DB, 3000)
	for sql, args := range statements {
		few[sql] = testkit.Reads(t, env.DB, sql, args...)
	}
	testkit.Keep(t, env.DB, 9000)
	for sql, args := range statements {
		if many := testkit.Reads(t, env.DB, sql, args...); many > few[sql]+10 {
			t.Errorf("%d pages with 3,000 facts, %d with 12,000:%s", few[sql], many, sql)
		}
	}
}
