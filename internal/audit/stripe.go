package audit

import (
	"context"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/bojanz/currency"
)

// stripeBooks are Stripe's own lists of PaymentIntents and Refunds, the newest first, at most a hundred at once. A list is read whole,
// then on from the newest that was seen. Neither has its last status when it is made: what had none is looked for again, once our books
// say that it has.
type stripeBooks struct {
	Ledger
	seen [2]string        // the newest of each list
	open map[string]int64 // what has no last status yet, and when it was made
}

// stripeLists are in the order in which they are read: a refund that was made in between gives back what was not read yet.
var stripeLists = [2]string{"/v1/payment_intents", "/v1/refunds"}

// stripePage is the most that Stripe gives at once.
const stripePage = 100

// stripeObject is a PaymentIntent or a Refund, as far as it is read.
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
	return b.readAnew(ctx, expected, lay)
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
	for _, path := range stripeLists {
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

// lay hands over what moved money and may be ours: what carries our namespace, and refunds that carry none, which somebody made by hand.
// Whether those give back a charge of ours is known when both lists are laid beside each other.
func (b *stripeBooks) lay(objects []stripeObject, lay func([]entry) error) error {
	var entries []entry
	for _, o := range objects {
		namespace := o.Metadata["holdfast_namespace"]
		if namespace != b.Namespace && (o.Object != "refund" || namespace != "") {
			continue
		}
		delete(b.open, o.ID)
		if !slices.Contains([]string{"succeeded", "failed", "canceled"}, o.Status) {
			b.open[o.ID] = o.Created
		}
		if o.Status != "succeeded" {
			continue
		}
		e := entry{Kind: "charge", ID: o.ID, Key: o.Metadata["holdfast_key"], OrderID: o.Metadata["holdfast_order"], ChargeID: o.PaymentIntent}
		amount := o.AmountReceived
		if o.Object == "refund" {
			e.Kind, amount = "refund", o.Amount
		}
		var err error
		if e.AmountMinor, e.Currency, err = minor(amount, o.Currency); err != nil {
			return fmt.Errorf("read %s: %w", o.ID, err)
		}
		entries = append(entries, e)
	}
	return lay(entries)
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
