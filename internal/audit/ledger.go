package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Ledger is where an account of a provider shows its own books.
type Ledger struct {
	Provider  string // sandbox, also when it is empty, or stripe
	URL       string // empty: Stripe's own
	APIKey    string
	Namespace string       // what is ours at Stripe carries it
	Client    *http.Client // nil: one of its own, 10 s for a page
}

// errUnreachable says that the provider cannot be asked. What needs its books is then skipped.
var errUnreachable = errors.New("the provider cannot be reached")

// entry is one line of a provider's books that moved money.
type entry struct {
	Kind        string `json:"kind"` // charge or refund; reversal: that a refund has failed; stand: how a dispute stands
	ID          string `json:"id"`   // of a reversal: the refund's
	Key         string `json:"key"`  // under which it was asked for; empty: by hand, at the provider
	OrderID     string `json:"order_id"`
	ChargeID    string `json:"charge_id"` // of a refund: what it gives back
	AmountMinor int64  `json:"amount_minor"`
	Currency    string `json:"currency"`

	// Of a stand: how it is and where the money is, and since when.
	Status string    `json:"status"`
	At     time.Time `json:"at"`
}

func unreachable(err error) bool { return errors.Is(err, errUnreachable) }

// reader reads an account's books during one audit.
type reader interface {
	// account says in the provider's word which account it is.
	account(ctx context.Context) (string, error)
	// gained hands over page by page what the books have gained since it was last called. Of what had no end then, and that by our books
	// has ended since, expected gives the ids; they are looked for again.
	gained(ctx context.Context, expected []string, lay func([]entry) error) error
}

func (l Ledger) name() string {
	if l.Provider == "" {
		return "sandbox"
	}
	return l.Provider
}

func (l Ledger) reader() reader {
	if l.Provider == "stripe" {
		return &stripeBooks{Ledger: l, open: map[string]int64{}, laid: map[string]bool{}}
	}
	return &sandboxBooks{Ledger: l}
}

// get asks for JSON.
func (l Ledger) get(ctx context.Context, path string, query url.Values, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.URL+path+"?"+query.Encode(), nil)
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
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		return fmt.Errorf("read the ledger: %w: %w", errUnreachable, err)
	}
	return nil
}

func (l Ledger) client() *http.Client {
	if l.Client != nil {
		return l.Client
	}
	return &http.Client{Timeout: 10 * time.Second}
}

// ledgerPage is how many entries are asked for at once. Only one page is ever in memory.
const ledgerPage = 5000

// sandboxBooks are the sandbox's: GET /ledger, pages of charges and refunds, oldest first, each with its number.
type sandboxBooks struct {
	Ledger
	read int64 // number of the last entry that was handed over
}

func (b *sandboxBooks) account(ctx context.Context) (string, error) {
	var a struct {
		ID string `json:"id"`
	}
	err := b.get(ctx, "/account", nil, &a)
	return a.ID, err
}

func (b *sandboxBooks) gained(ctx context.Context, _ []string, lay func([]entry) error) error {
	for {
		var page struct {
			Entries []struct {
				entry
				Seq   int64  `json:"seq"` // grows
				Funds string `json:"funds"`
			} `json:"entries"`
			NextAfter int64 `json:"next_after"`
		}
		query := url.Values{"after": {strconv.FormatInt(b.read, 10)}, "limit": {strconv.Itoa(ledgerPage)}}
		if err := b.get(ctx, "/ledger", query, &page); err != nil {
			return err
		}
		var entries []entry
		for _, e := range page.Entries {
			b.read = e.Seq
			switch {
			case e.Kind == "dispute":
				e.Kind, e.Status = "stand", e.Status+"/"+e.Funds
			case e.Kind == "refund" && e.Status == "failed":
				e.Kind = "reversal"
			case e.Status != "succeeded": // it moved no money
				continue
			}
			entries = append(entries, e.entry)
		}
		if err := lay(entries); err != nil {
			return err
		}
		if page.NextAfter == 0 || len(page.Entries) == 0 {
			return nil
		}
	}
}
