package payment

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Name is the sandbox's in the path of its webhooks.
func (s *Sandbox) Name() string { return "sandbox" }

// Notice reads a webhook of the sandbox. Its signature and the five minutes that it is good for are of Standard Webhooks; these are
// counted on the sandbox's own clock.
func (s *Sandbox) Notice(header http.Header, body []byte) (Line, error) {
	if s.secret == "" {
		return Line{}, fmt.Errorf("%w: no secret of the sandbox's webhooks is configured", ErrForged)
	}
	verifier, err := standardwebhooks.NewWebhook(s.secret)
	if err != nil {
		return Line{}, fmt.Errorf("%w: the secret of the sandbox's webhooks is none", ErrForged)
	}
	if err := verifier.VerifyIgnoringTimestamp(body, header); err != nil {
		return Line{}, fmt.Errorf("%w: %w", ErrForged, err)
	}
	if err := Timely(header.Get(standardwebhooks.HeaderWebhookTimestamp), s.Now()); err != nil {
		return Line{}, err
	}
	var told struct {
		Type string `json:"type"`
		Data entry  `json:"data"`
	}
	if err := json.Unmarshal(body, &told); err != nil {
		return Line{}, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	line := told.Data.line()
	switch {
	case told.Type == "":
		return Line{}, ErrUnreadable
	case told.Type != told.Data.Kind+"."+told.Data.Status:
		return Line{}, nil // of another kind, some day
	case line.Verdict == "" || line.ID == "":
		return Line{}, ErrUnreadable
	}
	return line, nil
}

// maxLine bounds an entry in a page of the ledger, in bytes: each of its texts has 255 at most.
const maxLine = 2 << 10

// Lines gives a page of the sandbox's ledger. A mark is an entry's number.
func (s *Sandbox) Lines(ctx context.Context, after string, limit int) ([]Line, error) {
	var page struct {
		Entries []entry `json:"entries"`
	}
	query := url.Values{"after": {after}, "limit": {strconv.Itoa(limit)}}
	if err := s.doUpTo(ctx, int64(limit+1)*maxLine, http.MethodGet, "/ledger?"+query.Encode(), nil, &page); err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	lines := make([]Line, len(page.Entries))
	for i, e := range page.Entries {
		lines[i] = e.line()
		if lines[i].ID == "" || lines[i].Verdict == "" || e.Seq == 0 {
			return nil, fmt.Errorf("read the ledger after %q: %w", after, errUnfit)
		}
		lines[i].Mark = strconv.FormatInt(e.Seq, 10)
	}
	return lines, nil
}

// findAtOnce is how many ids the sandbox is asked for at once.
const findAtOnce = 1000

// Find asks which of these stand in the ledger.
func (s *Sandbox) Find(ctx context.Context, lines []Line) (map[string]bool, error) {
	there := make(map[string]bool, len(lines))
	for page := range slices.Chunk(lines, findAtOnce) {
		ids := make([]string, len(page))
		for i, l := range page {
			ids[i] = l.ID
		}
		var found struct {
			IDs []string `json:"ids"`
		}
		if err := s.do(ctx, http.MethodPost, "/find", map[string]any{"ids": ids}, &found); err != nil {
			return nil, fmt.Errorf("find %d entries in the ledger: %w", len(ids), err)
		}
		for _, id := range found.IDs {
			there[id] = true
		}
	}
	return there, nil
}

// line is an entry as any provider's books have it.
func (e entry) line() Line {
	l := Line{
		ID: e.ID, Key: e.Key, OrderID: e.OrderID, ChargeID: e.ChargeID, Reason: e.Reason,
		AmountMinor: e.AmountMinor, Currency: e.Currency, At: e.At,
	}
	if e.Kind == "dispute" && e.Status != "" && (e.Funds == FundsWithdrawn || e.Funds == FundsReinstated) {
		l.Verdict, l.Dispute = Disputed, Dispute{Status: e.Status, Over: e.Status == "won" || e.Status == "lost", Funds: e.Funds}
		return l
	}
	switch e.Kind + "." + e.Status {
	case "charge.succeeded":
		l.Verdict = Charged
	case "charge.declined":
		l.Verdict = Rejected
	case "refund.succeeded":
		l.Verdict = GivenBack
	case "refund.failed":
		l.Verdict = RefundFailed
	}
	return l
}
