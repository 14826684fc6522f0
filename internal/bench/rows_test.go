package bench

import (
	"slices"
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/saga"
)

func TestEveryStrategyHasARow(t *testing.T) {
	t.Parallel()
	rows := measures()
	for _, s := range saga.All() {
		if !slices.ContainsFunc(rows, func(m measure) bool { return m.name == "saga/"+s.Name }) {
			t.Errorf("no row for %s", s.Name)
		}
	}
}

func TestProcessorTimePerSaga(t *testing.T) {
	t.Parallel()
	if got := perSaga(map[string]float64{"server": 1.5, "total": 4}, 200); got["server"] != 7.5 || got["total"] != 20 {
		t.Errorf("%v", got)
	}
}
