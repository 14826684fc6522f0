package compare

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
)

// column is one number of a result as the tables show it.
type column struct {
	name  string
	value func(Result) string
}

func columns() []column {
	return []column{
		{"strategy", func(r Result) string { return r.Strategy }},
		{"hold", func(r Result) string { return yesNo(r.HoldOnOrder) }},
		{"stock", func(r Result) string { return r.Stock }},
		{"customers", func(r Result) string { return fmt.Sprint(r.Customers) }},
		{"completed", func(r Result) string { return fmt.Sprint(r.Completed) }},
		{"completed/s", func(r Result) string { return fmt.Sprintf("%.1f", r.CompletedPerSecond) }},
		{"p50 ms", func(r Result) string { return fmt.Sprintf("%.0f", r.P50) }},
		{"p99 ms", func(r Result) string { return fmt.Sprintf("%.0f", r.P99) }},
		{"facts", func(r Result) string { return fmt.Sprintf("%.1f", r.FactsPerOrder) }},
		{"transactions", func(r Result) string { return fmt.Sprintf("%.1f", r.TransactionsPerOrder) }},
		{"WAL bytes", func(r Result) string { return fmt.Sprintf("%.0f", r.WALBytesPerOrder) }},
		{"compensations", func(r Result) string { return fmt.Sprint(r.Compensations) }},
		{"refunds", func(r Result) string { return fmt.Sprint(r.Refunds) }},
		{"refused", func(r Result) string { return fmt.Sprint(r.Refused) }},
		{"turned away", func(r Result) string { return fmt.Sprint(r.TurnedAway) }},
		{"try again", func(r Result) string { return fmt.Sprint(r.TryAgain) }},
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// Print prints the results as a table for a terminal.
func (r Report) Print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i, row := range r.rows() {
		if i != 1 { // what Markdown has below its head
			fmt.Fprintln(w, strings.Join(row, "\t"))
		}
	}
	return w.Flush()
}

// markdown is the same as a table for a document.
func (r Report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", r.title())
	for _, row := range r.rows() {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
	}
	return b.String()
}

// rows are the head of the table, the line below it, and a row for each result.
func (r Report) rows() [][]string {
	var head, line []string
	for i, c := range columns() {
		head, line = append(head, c.name), append(line, "---:")
		if i < 3 {
			line[i] = "---"
		}
	}
	rows := [][]string{head, line}
	for _, result := range r.Results {
		var row []string
		for _, c := range columns() {
			row = append(row, c.value(result))
		}
		rows = append(rows, row)
	}
	return rows
}

// title says what was played.
func (r Report) title() string {
	return fmt.Sprintf("Load %s: %d orders of %g lines in each row, %g of them declined; a flash sale has %d units; seed %d.",
		r.Load, r.Orders, r.Lines, r.Decline, r.FlashUnits, r.Seed)
}

// Write writes compare.json, compare.md and compare.svg into a folder, which is made if need be.
func (r Report) Write(dir string) error {
	body, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	err = os.MkdirAll(dir, 0o755)
	for name, text := range map[string]string{"compare.json": string(body) + "\n", "compare.md": r.markdown(), "compare.svg": r.plot()} {
		err = cmp.Or(err, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	if err != nil {
		return fmt.Errorf("write the comparison: %w", err)
	}
	return nil
}
