package audit

import (
	"context"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bojanz/currency"
)

// stripeBooks are Stripe's own lists of PaymentIntents, Refunds and Disputes, the newest first, at most a hundred at once. A list is
// read whole, then on from the newest that was seen. None has its last status when it is made: what had none is looked for again, once
// our books say that it has; what befell it later is in the events.
type stripeBooks struct {
	Ledger
	seen  [3]string        // the newest of each list
	open  map[string]int64 // what has no last status yet, and when it was made
	since time.Time        // when the events were read last
	held  []stripeObject   // what befell refunds and charges later, as the lists have it: until the events say when
	laid  map[string]bool  // what was handed over of it
}

// stripeLists are in the order in which they are read: a refund that was made in between gives back what was not read yet.
var stripeLists = [3]string{"/v1/payment_intents", "/v1/refunds", "/v1/disputes"}

// stripePage is the most that Stripe gives at once.
const stripePage = 100

// stripeObject is a PaymentIntent, a Refund or a Dispute, as far as it is read.
type stripeObject struct {
	ID             string            `json:"id"`
	Object         string            `json:"object"`
	Created        int64             `json:"created"`
	Status         string            `json:"status"`
	Amount         int64             `json:"amount"`
	AmountReceived int64             `json:"amount_received"`
	Currency       string            `json:"currency"`
	PaymentIntent  string            `json:"payment_intent"`
	Metadata       map[string]string `json:"metadata"`
	Moves          []struct{}        `json:"balance_transactions"` // of a dispute: that its money was withdrawn, and reinstated

	told time.Time // of one from an event: when that was
}

func (b *stripeBooks) url() string {
	if b.URL == "" {
		return "https://api.stripe.com"
	}
	return b.URL
}

// account is told apart by mode too: test mode and live mode share the id.
func (b *stripeBooks) account(ctx context.Context) (string, error) {
	var a struct {
		ID string `json:"id"`
	}
	if err := b.ask(ctx, "/v1/account", nil, &a); err != nil {
		return "", err
	}
	if strings.HasPrefix(b.APIKey, "sk_test_") || strings.HasPrefix(b.APIKey, "rk_test_") {
		return a.ID + "/test", nil
	}
	return a.ID + "/live", nil
}

func (b *stripeBooks) ask(ctx context.Context, path string, query url.Values, into any) error {
	at := b.Ledger
	at.URL = b.url()
	return at.get(ctx, path, query, into)
}

// page asks for one page of a list.
func (b *stripeBooks) page(ctx context.Context, path string, query url.Values) (objects []stripeObject, more bool, err error) {
	query.Set("limit", strconv.Itoa(stripePage))
	var page struct {
		Data    []stripeObject `json:"data"`
		HasMore bool           `json:"has_more"`
	}
	err = b.ask(ctx, path, query, &page)
	return page.Data, page.HasMore && len(page.Data) > 0, err
}

func (b *stripeBooks) gained(ctx context.Context, expected []string, lay func([]entry) error) error {
	for i, path := range stripeLists {
		if err := b.readOn(ctx, i, path, lay); err != nil {
			return err
		}
	}
	if err := b.readAnew(ctx, expected, lay); err != nil {
		return err
	}
	return b.readEvents(ctx, lay)
}

// readOn reads what a list has gained: from the newest that was seen towards the newest of all, or all of it towards the oldest.
func (b *stripeBooks) readOn(ctx context.Context, i int, path string, lay func([]entry) error) error {
	query := url.Values{}
	for first := true; ; first = false {
		if b.seen[i] != "" && first {
			query = url.Values{"ending_before": {b.seen[i]}}
		}
		objects, more, err := b.page(ctx, path, query)
		if err != nil {
			return err
		}
		if err := b.lay(objects, lay); err != nil {
			return err
		}
		onward := query.Has("ending_before")
		if len(objects) > 0 && (onward || first) {
			b.seen[i] = objects[0].ID
		}
		if !more {
			return nil
		}
		if onward {
			query = url.Values{"ending_before": {objects[0].ID}}
		} else {
			query = url.Values{"starting_after": {objects[len(objects)-1].ID}}
		}
	}
}

// readAnew reads the lists once more back to the oldest of what was open and is expected to have ended.
func (b *stripeBooks) readAnew(ctx context.Context, expected []string, lay func([]entry) error) error {
	since := int64(math.MaxInt64)
	for _, id := range expected {
		if created, open := b.open[id]; open {
			since = min(since, created)
		}
	}
	if since == math.MaxInt64 {
		return nil
	}
	for _, path := range stripeLists[:2] {
		query := url.Values{"created[gte]": {strconv.FormatInt(since, 10)}}
		for {
			objects, more, err := b.page(ctx, path, query)
			if err != nil {
				return err
			}
			if err := b.lay(objects, lay); err != nil {
				return err
			}
			if !more {
				break
			}
			query.Set("starting_after", objects[len(objects)-1].ID)
		}
	}
	return nil
}

// lay hands over what moved money, and holds back what befell it later.
func (b *stripeBooks) lay(objects []stripeObject, lay func([]entry) error) error {
	var now []stripeObject
	for _, o := range objects {
		if o.Object == "dispute" || o.Object == "refund" && o.failed() {
			b.held = append(b.held, o)
		} else {
			now = append(now, o)
		}
	}
	return b.hand(now, lay)
}

// hand hands over what may be ours: what carries our namespace, and refunds and disputes that carry none, the former made by hand. Whether
// those are of a charge of ours is known when the lists are laid beside each other.
func (b *stripeBooks) hand(objects []stripeObject, lay func([]entry) error) error {
	var entries []entry
	for _, o := range objects {
		namespace := o.Metadata["holdfast_namespace"]
		if namespace != b.Namespace && (o.Object == "payment_intent" || namespace != "") {
			continue
		}
		delete(b.open, o.ID)
		if o.Object != "dispute" && o.Status != "succeeded" && !o.failed() {
			b.open[o.ID] = o.Created
		}
		more, err := o.entries()
		if err != nil {
			return fmt.Errorf("read %s: %w", o.ID, err)
		}
		for _, e := range more {
			if e.Kind != "charge" {
				is := e.Kind + " " + e.ID + " " + e.Status
				if b.laid[is] {
					continue
				}
				b.laid[is] = true
			}
			entries = append(entries, e)
		}
	}
	return lay(entries)
}

// failed says of a charge or a refund that it has come to nothing.
func (o stripeObject) failed() bool { return o.Status == "failed" || o.Status == "canceled" }

// entries are what an object is in any provider's books. A refund that has failed was made, and taken back.
func (o stripeObject) entries() (entries []entry, err error) {
	e := entry{ID: o.ID, Key: o.Metadata["holdfast_key"], OrderID: o.Metadata["holdfast_order"], ChargeID: o.PaymentIntent, At: o.told}
	amount := o.Amount
	switch {
	case o.Object == "dispute":
		e.Kind, e.Status = "stand", o.Status+"/"+[]string{"kept", "withdrawn", "reinstated"}[min(len(o.Moves), 2)]
	case o.Object == "payment_intent" && o.Status == "succeeded":
		e.Kind, amount = "charge", o.AmountReceived
	case o.Object == "refund" && (o.Status == "succeeded" || o.failed()):
		e.Kind = "refund"
	default: // it moved no money
		return nil, nil
	}
	if e.AmountMinor, e.Currency, err = minor(amount, o.Currency); err != nil {
		return nil, err
	}
	entries = append(entries, e)
	if e.Kind == "refund" && o.failed() {
		e.Kind = "reversal"
		entries = append(entries, e)
	}
	return entries, nil
}

// minor counts an amount of Stripe's in the minor units of ISO 4217. Stripe counts in hundredths, but for currencies that it counts whole
// and a few in thousandths.
func minor(amount int64, code string) (int64, string, error) {
	code = strings.ToUpper(code)
	iso, known := currency.GetDigits(code)
	theirs := 2
	switch {
	case slices.Contains(strings.Fields("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"), code):
		theirs = 0
	case slices.Contains(strings.Fields("BHD JOD KWD OMR TND"), code):
		theirs = 3
	}
	if !known {
		return 0, "", fmt.Errorf("%w: it counts in %q", errUnreachable, code)
	}
	for ; theirs < int(iso); theirs++ {
		amount *= 10
	}
	for ; theirs > int(iso); theirs-- {
		if amount%10 != 0 {
			return 0, "", fmt.Errorf("%w: %d %s is no whole number of minor units", errUnreachable, amount, code)
		}
		amount /= 10
	}
	return amount, code, nil
}
