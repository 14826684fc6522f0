package bench

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

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

func TestTheFileKeepsTheRowsOfOtherRuns(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "latest.json")
	if rows, err := readRows(file); rows != nil || err != nil {
		t.Fatalf("%v, %v before the first run", rows, err)
	}
	for _, run := range [][]Row{
		{{Name: "hold/hot", Ours: 1}, {Name: "hold/spread", Ours: 1}},
		{{Name: "saga/optimistic", Ours: 2}, {Name: "hold/hot", Ours: 2}},
	} {
		earlier, err := readRows(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := writeRows(file, latest(run, append(earlier, Row{Name: "hold/gone"}))); err != nil {
			t.Fatal(err)
		}
	}
	got, err := readRows(file)
	want := []Row{{Name: "saga/optimistic", Ours: 2}, {Name: "hold/spread", Ours: 1}, {Name: "hold/hot", Ours: 2}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if err := os.WriteFile(file, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readRows(file); err == nil {
		t.Error("half a file was read")
	}
}

func TestProcessorTimePerSaga(t *testing.T) {
	t.Parallel()
	if got := perSaga(map[string]float64{"server": 1.5, "total": 4}, 200); got["server"] != 7.5 || got["total"] != 20 {
		t.Errorf("%v", got)
	}
}
