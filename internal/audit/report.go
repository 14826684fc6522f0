package audit

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Outcome is what is said of one invariant.
type Outcome string

// The outcomes. Skipped means that it could not be judged; Reason says why.
const (
	OK      Outcome = "ok"
	Broken  Outcome = "broken"
	Skipped Outcome = "skipped"
)

// firstRows is how many rows a verdict shows of those that break it, and of those that it lists.
const firstRows = 10

// Row is a JSON object: "rule" says what does not hold, the other members say where.
type Row = json.RawMessage

// Verdict is what was found out about one invariant.
type Verdict struct {
	ID      string  `json:"id" example:"S1"`
	Says    string  `json:"says" example:"nothing is below zero"`
	Verdict Outcome `json:"verdict" enums:"ok,broken,skipped" swaggertype:"string"`
	Checked int64   `json:"checked"`                           // how many things were looked at
	Rows    []Row   `json:"rows" swaggertype:"array,object"`   // the first that break it, at most 10 per rule
	Listed  []Row   `json:"listed" swaggertype:"array,object"` // the first that are legal and worth a look, like payments still being asked for
	Reason  string  `json:"reason,omitempty"`                  // why it was skipped
	Seconds float64 `json:"seconds"`                           // what it took to find out
}

func (v *Verdict) skip(reason string) {
	v.Verdict, v.Reason = Skipped, reason
}

// breaks adds rows that break the invariant. What is broken stays broken, whatever else could not be judged.
func (v *Verdict) breaks(rows ...Row) {
	if len(rows) > 0 {
		v.Verdict, v.Rows = Broken, append(v.Rows, rows...)
	}
}

// Report is the answer of an audit.
type Report struct {
	AtRest    bool      `json:"at_rest"`
	Waiting   []string  `json:"waiting,omitempty"` // what kept it from rest, when there was none
	Notes     []string  `json:"notes,omitempty"`   // what to know of the audit itself
	StartedAt time.Time `json:"started_at"`
	Seconds   float64   `json:"seconds"`
	Verdicts  []Verdict `json:"verdicts"`
}

// Exit codes of a report.
const (
	ExitOK      = 0
	ExitSkipped = 1
	ExitBroken  = 3
)

// ExitCode is 3 when an invariant is broken, else 1 when one was skipped, else 0.
func (r Report) ExitCode() int {
	code := ExitOK
	for _, v := range r.Verdicts {
		switch v.Verdict {
		case Broken:
			return ExitBroken
		case Skipped:
			code = ExitSkipped
		}
	}
	return code
}

// Broken gives the ids of the invariants that do not hold.
func (r Report) Broken() []string {
	ids := []string{}
	for _, v := range r.Verdicts {
		if v.Verdict == Broken {
			ids = append(ids, v.ID)
		}
	}
	return ids
}

// Print writes a line per invariant, and under a broken one the first rows that break it.
func (r Report) Print(w io.Writer) error {
	for _, v := range r.Verdicts {
		if err := v.print(w); err != nil {
			return err
		}
	}
	for _, reason := range r.Waiting {
		if _, err := fmt.Fprintf(w, "no rest: %s\n", reason); err != nil {
			return err
		}
	}
	for _, note := range r.Notes {
		if _, err := fmt.Fprintf(w, "note: %s\n", note); err != nil {
			return err
		}
	}
	return nil
}

func (v Verdict) print(w io.Writer) error {
	word := map[Outcome]string{OK: "ok", Broken: "BROKEN", Skipped: "skipped"}[v.Verdict]
	line := fmt.Sprintf("%-3s %-8s %s (%d checked)", v.ID, word, v.Says, v.Checked)
	if v.Reason != "" {
		line += ": " + v.Reason
	}
	if _, err := fmt.Fprintln(w, line); err != nil {
		return err
	}
	for _, row := range v.Rows {
		if _, err := fmt.Fprintf(w, "      %s\n", row); err != nil {
			return err
		}
	}
	for _, row := range v.Listed {
		if _, err := fmt.Fprintf(w, "      listed: %s\n", row); err != nil {
			return err
		}
	}
	return nil
}
