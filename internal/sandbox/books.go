package sandbox

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// Kinds of ledger entries, and what came of them.
const (
	KindCharge = "charge"
	KindRefund = "refund"
	KindClose  = "close" // in the file only; GET /ledger leaves it out

	Succeeded = "succeeded"
	Declined  = "declined"
	Closed    = "closed"
)

// Entry is one line of the ledger. It never changes, and is the answer to the request that it was made by.
type Entry struct {
	Seq           int64     `json:"seq"` // from 1, no gaps
	Kind          string    `json:"kind"`
	ID            string    `json:"id"`
	Key           string    `json:"key"`
	OrderID       string    `json:"order_id,omitempty"`
	AmountMinor   int64     `json:"amount_minor,omitempty"`
	Currency      string    `json:"currency,omitempty"`
	PaymentMethod string    `json:"payment_method,omitempty"` // of a charge
	ChargeID      string    `json:"charge_id,omitempty"`      // of a refund: the charge it gives back; of a dispute: the charge that is disputed
	RequestKey    string    `json:"request_key,omitempty"`    // of a refund: the header under which it was made
	Funds         string    `json:"funds,omitempty"`          // of a dispute: withdrawn or reinstated
	Status        string    `json:"status"`
	Reason        string    `json:"reason,omitempty"` // why it was declined, failed or is disputed
	At            time.Time `json:"at"`
}

// Record is all that is known of one charge key.
type Record struct {
	Key     string   `json:"key"`
	Closed  bool     `json:"closed"`
	Charge  *Entry   `json:"charge"` // null: nothing was charged under the key so far, or never will be if it is closed
	Refunds []*Entry `json:"refunds"`
}

// Page is a part of the ledger.
type Page struct {
	Entries   []*Entry `json:"entries"`
	NextAfter int64    `json:"next_after,omitempty"` // what to give as after for the next page; absent on the last one
}

var (
	errKeyReused      = errors.New("the key belongs to another request")
	errKeyClosed      = errors.New("the key is closed")
	errNoSuchCharge   = errors.New("there is no such charge, or it was declined")
	errRefundTooLarge = errors.New("more would be refunded than was charged")
)

// books are the ledger's entries, found by key, with the provider's rules. What a method returns is on disk. A key is
// remembered for a time; what was entered under it stays.
type books struct {
	journal *journal
	now     func() time.Time
	memory  time.Duration // how long a key is remembered

	mu      sync.Mutex // guards the rest; held while deciding, not while syncing
	entries []*Entry
	charges map[string]*Entry   // by key, the newest
	refunds map[string]*Entry   // by key
	closes  map[string]*Entry   // by the charge's key
	byID    map[string]*Entry   // charges by their id
	of      map[string][]*Entry // refunds by their charge's id

	made     map[string]*Entry // refunds by their id
	failed   map[string]*Entry // that refunds have failed, by the refund's id
	disputes map[string]*Entry // the last turn of each dispute, by its id
}

func openBooks(path string, now func() time.Time, memory time.Duration) (*books, error) {
	journal, entries, err := openJournal(path)
	if err != nil {
		return nil, err
	}
	b := &books{
		journal: journal, now: now, memory: memory,
		charges: map[string]*Entry{}, refunds: map[string]*Entry{}, closes: map[string]*Entry{},
		byID: map[string]*Entry{}, of: map[string][]*Entry{},
		made: map[string]*Entry{}, failed: map[string]*Entry{}, disputes: map[string]*Entry{},
	}
	for _, e := range entries {
		b.enter(e)
	}
	return b, nil
}

// charge enters what is wanted under its key, or gives what stands there; fresh says which.
func (b *books) charge(want Entry) (got *Entry, fresh bool, err error) {
	got, fresh, err = b.decideCharge(want)
	if err != nil {
		return nil, false, err
	}
	return got, fresh, b.journal.flush(got.Seq)
}

func (b *books) decideCharge(want Entry) (*Entry, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.charges[want.Key]; b.remembers(e) {
		if e.OrderID != want.OrderID || e.AmountMinor != want.AmountMinor || e.Currency != want.Currency || e.PaymentMethod != want.PaymentMethod {
			return nil, false, errKeyReused
		}
		return e, false, nil
	}
	if b.remembers(b.closes[want.Key]) {
		return nil, false, errKeyClosed
	}
	want.Kind, want.ID = KindCharge, newID("ch")
	e, err := b.add(want)
	return e, true, err
}

// remembers says whether the key of an entry, nil if there is none, still belongs to it.
func (b *books) remembers(e *Entry) bool { return e != nil && b.now().Sub(e.At) < b.memory }

// refund enters a refund under its key, or gives what stands there; fresh says which.
func (b *books) refund(want Entry) (got *Entry, fresh bool, err error) {
	got, fresh, err = b.decideRefund(want)
	if err != nil {
		return nil, false, err
	}
	return got, fresh, b.journal.flush(got.Seq)
}

func (b *books) decideRefund(want Entry) (*Entry, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	// A refund that has failed is answered under its request's key as it was; another request makes another refund.
	if e := b.refunds[want.Key]; b.remembers(e) && (b.failed[e.ID] == nil || e.RequestKey == want.RequestKey) {
		if e.ChargeID != want.ChargeID || e.AmountMinor != want.AmountMinor || e.Currency != want.Currency {
			return nil, false, errKeyReused
		}
		return e, false, nil
	}
	charge := b.byID[want.ChargeID]
	if charge == nil || charge.Status != Succeeded || charge.Currency != want.Currency {
		return nil, false, errNoSuchCharge
	}
	if b.disputed(charge.ID) {
		return nil, false, errDisputed
	}
	left := charge.AmountMinor
	for _, e := range b.standing(charge.ID) {
		if e.Status == Succeeded {
			left -= e.AmountMinor
		}
	}
	if want.AmountMinor > left {
		return nil, false, errRefundTooLarge
	}
	want.Kind, want.ID, want.OrderID, want.Status = KindRefund, newID("re"), charge.OrderID, Succeeded
	e, err := b.add(want)
	return e, true, err
}

// close ends a charge key: from here on it charges nothing that is not in the record.
func (b *books) close(key string) (Record, error) {
	b.mu.Lock()
	if !b.remembers(b.closes[key]) {
		if _, err := b.add(Entry{Kind: KindClose, ID: newID("cl"), Key: key, Status: Closed}); err != nil {
			b.mu.Unlock()
			return Record{}, err
		}
	}
	b.mu.Unlock()
	record, _, err := b.lookup(key)
	return record, err
}

// lookup gives what is known of a charge key; found is false if nothing is.
func (b *books) lookup(key string) (record Record, found bool, err error) {
	b.mu.Lock()
	charge, closed := b.charges[key], b.remembers(b.closes[key])
	record = Record{Key: key, Charge: charge, Closed: closed, Refunds: []*Entry{}}
	if charge != nil {
		record.Refunds = b.standing(charge.ID)
	}
	last := int64(len(b.entries))
	b.mu.Unlock()
	if charge == nil && !closed {
		return record, false, nil
	}
	return record, true, b.journal.flush(last)
}

// page lists all that became of charges and refunds, with a number above after.
func (b *books) page(after int64, limit int) (Page, error) {
	b.mu.Lock()
	all := b.entries[min(after, int64(len(b.entries))):] // entry n stands at n-1
	page := Page{Entries: make([]*Entry, 0, min(limit, len(all)))}
	for _, e := range all {
		if e.Kind == KindClose {
			continue
		}
		if len(page.Entries) == limit {
			page.NextAfter = page.Entries[limit-1].Seq
			break
		}
		page.Entries = append(page.Entries, e)
	}
	b.mu.Unlock()
	if len(page.Entries) == 0 {
		return page, nil
	}
	return page, b.journal.flush(page.Entries[len(page.Entries)-1].Seq)
}

// newest lists the last of them, with a number below before (0: all), the newest first.
func (b *books) newest(before int64, limit int) ([]*Entry, error) {
	b.mu.Lock()
	last := int64(len(b.entries))
	end := last
	if before > 0 {
		end = min(end, before-1)
	}
	var list []*Entry
	for i := end - 1; i >= 0 && len(list) < limit; i-- {
		if e := b.entries[i]; e.Kind != KindClose {
			list = append(list, e)
		}
	}
	b.mu.Unlock()
	return list, b.journal.flush(last)
}

// method gives the payment method of a charge, or nothing.
func (b *books) method(chargeID string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.byID[chargeID]; e != nil {
		return e.PaymentMethod
	}
	return ""
}

// add numbers a new entry, puts it in line for the disk and enters it. The caller holds mu.
func (b *books) add(e Entry) (*Entry, error) {
	e.At = b.now().UTC()
	if err := b.journal.append(&e); err != nil {
		return nil, fmt.Errorf("append %s %s: %w", e.Kind, e.Key, err)
	}
	b.enter(&e)
	return &e, nil
}

func (b *books) enter(e *Entry) {
	b.entries = append(b.entries, e)
	switch e.Kind {
	case KindCharge:
		b.charges[e.Key], b.byID[e.ID] = e, e
	case KindDispute:
		b.disputes[e.ID] = e
	case KindRefund:
		if e.Status == Failed {
			b.failed[e.ID] = e
			return
		}
		b.made[e.ID] = e
		b.refunds[e.Key] = e
		b.of[e.ChargeID] = append(slices.Clip(b.of[e.ChargeID]), e)
	case KindClose:
		b.closes[e.Key] = e
	}
}

func newID(prefix string) string { return prefix + "_" + uuid.Must(uuid.NewV7()).String() }
