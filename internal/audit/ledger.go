package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// Ledger is where a provider shows its own books: GET <URL>/ledger, pages of charges and refunds, oldest first.
type Ledger struct {
	URL    string
	APIKey string
	Client *http.Client // nil: one of its own, 10 s for a page
}

// errUnreachable says that the provider cannot be asked. What needs its books is then skipped.
var errUnreachable = errors.New("the provider cannot be reached")

// ledgerPage is how many entries are asked for at once. Only one page is ever in memory.
const ledgerPage = 5000

// entry is one line of the provider's ledger.
type entry struct {
	Seq         int64  `json:"seq"`  // grows
	Kind        string `json:"kind"` // charge or refund
	ID          string `json:"id"`
	Key         string `json:"key"`
	OrderID     string `json:"order_id"`
	ChargeID    string `json:"charge_id"` // of a refund: what it gives back
	AmountMinor int64  `json:"amount_minor"`
	Currency    string `json:"currency"`
	Status      string `json:"status"` // only what succeeded moved money
}

// after gives the next page of entries, and whether there are more.
func (l *Ledger) after(ctx context.Context, seq int64, limit int) (entries []entry, more bool, err error) {
	var page struct {
		Entries   []entry `json:"entries"`
		NextAfter int64   `json:"next_after"`
	}
	err = l.get(ctx, seq, limit, &page)
	return page.Entries, page.NextAfter > seq, err
}

func (l *Ledger) get(ctx context.Context, after int64, limit int, page any) error {
	query := url.Values{"after": {strconv.FormatInt(after, 10)}, "limit": {strconv.Itoa(limit)}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.URL+"/ledger?"+query.Encode(), nil)
	if err != nil {
		return fmt.Errorf("ask for the ledger: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+l.APIKey)
	res, err := l.client().Do(req)
	if err != nil {
		return fmt.Errorf("ask for the ledger: %w: %w", errUnreachable, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(res.Body, 200)) // for the message alone
		return fmt.Errorf("ask for the ledger: %w: %s: %s", errUnreachable, res.Status, said)
	}
	if err := json.NewDecoder(res.Body).Decode(page); err != nil {
		return fmt.Errorf("read the ledger after entry %d: %w: %w", after, errUnreachable, err)
	}
	return nil
}

func (l *Ledger) client() *http.Client {
	if l.Client != nil {
		return l.Client
	}
	return &http.Client{Timeout: 10 * time.Second}
}

// catchUp lays on the desk what the ledger has gained. Before a snapshot is taken, every entry's intent is in our books by
// then, for it was committed before the provider was called.
func (d *desk) catchUp(ctx context.Context) error {
	if d.ledger == nil {
		return nil
	}
	if err := d.readOn(ctx, func(page []entry) error { return d.lay(ctx, page) }); err != nil {
		return fmt.Errorf("lay the ledger beside the books: %w", err)
	}
	if _, err := d.conn.Exec(ctx, `ANALYZE audit_entries`); err != nil {
		return fmt.Errorf("lay the ledger beside the books: %w", err)
	}
	return nil
}

// catchUpLate lays beside a snapshot's books what the ledger has gained since: what those books say is in the ledger by then. A ledger
// that could not be read before is not read now, or all of it would be late.
func (d *desk) catchUpLate(ctx context.Context, s *snapshot) error {
	if d.ledger == nil || d.gone != nil {
		return nil
	}
	late := []entry{}
	if err := d.readOn(ctx, func(page []entry) error { late = append(late, page...); return nil }); err != nil {
		return err
	}
	text, err := json.Marshal(late)
	if err == nil {
		_, err = s.tx.Exec(ctx, `SELECT set_config('holdfast.late_entries', $1, true)`, string(text))
	}
	if err != nil {
		return fmt.Errorf("lay the ledger beside the books: %w", err)
	}
	return nil
}

// readOn hands on the entries that moved money and have not been read, a page at a time.
func (d *desk) readOn(ctx context.Context, take func([]entry) error) error {
	d.gone = nil
	for more := true; more; {
		var page []entry
		var err error
		if page, more, err = d.ledger.after(ctx, d.read, ledgerPage); err != nil {
			d.gone = err
			return ctx.Err() // a provider that does not answer is no failure of the audit
		}
		if len(page) == 0 {
			continue
		}
		last := page[len(page)-1].Seq
		if err := take(slices.DeleteFunc(page, func(e entry) bool { return e.Status != "succeeded" })); err != nil {
			return err
		}
		d.read = last
	}
	return nil
}

// lay copies entries.
func (d *desk) lay(ctx context.Context, page []entry) error {
	rows := make([][]any, len(page))
	for i, e := range page {
		rows[i] = []any{e.Kind, e.ID, e.Key, e.OrderID, e.ChargeID, e.AmountMinor, e.Currency}
	}
	columns := []string{"kind", "id", "key", "order_id", "charge_id", "amount_minor", "currency"}
	_, err := d.conn.CopyFrom(ctx, pgx.Identifier{"audit_entries"}, columns, pgx.CopyFromRows(rows))
	return err
}
