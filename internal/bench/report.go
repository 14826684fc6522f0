package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

// compared makes a row of two numbers.
func compared(ours, reference float64, name, unit string, detail map[string]any) Row {
	return Row{Ours: rounded(ours, 1), Reference: rounded(reference, 1), ReferenceName: name, Ratio: rounded(ours/reference, 3), Unit: unit, Detail: detail}
}

func rounded(x float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(x*scale) / scale
}

// printTable prints the rows for a person.
func printTable(out io.Writer, rows []Row) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "row\tours\treference\tratio\tunit\treference is")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.2f\t%s\t%s\n", r.Name, r.Ours, r.Reference, r.Ratio, r.Unit, r.ReferenceName)
	}
	_ = w.Flush() // the file has it too
}

// readRows gives the rows of an earlier run, if there was one.
func readRows(path string) (rows []Row, err error) {
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(body, &rows); err != nil {
		return nil, fmt.Errorf("%s holds no rows: %w", path, err)
	}
	return rows, nil
}

// latest gives each row as it was measured last.
func latest(measured, earlier []Row) []Row {
	var rows []Row
	for _, m := range measures() {
		named := func(r Row) bool { return r.Name == m.name }
		if i := slices.IndexFunc(measured, named); i >= 0 {
			rows = append(rows, measured[i])
		} else if i := slices.IndexFunc(earlier, named); i >= 0 {
			rows = append(rows, earlier[i])
		}
	}
	return rows
}

func writeRows(path string, rows []Row) error {
	body, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(body, '\n'), 0o644)
}

// quantiles of durations, in milliseconds.
func quantiles(all []time.Duration) map[string]float64 {
	sorted := slices.Sorted(slices.Values(all))
	at := func(q float64) float64 {
		if len(sorted) == 0 {
			return 0
		}
		i := max(int(math.Ceil(q*float64(len(sorted))))-1, 0)
		return rounded(sorted[i].Seconds()*1000, 1)
	}
	return map[string]float64{"p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": at(1)}
}
