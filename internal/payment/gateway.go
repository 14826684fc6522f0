package payment

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

// Provider moves money. A key belongs to one intent: whatever is asked twice under it is done once. An error of any kind
// means that the outcome is not known; only an Outcome is an answer. An error that the provider has answered, and may answer again
// under the same key, is ErrAnswered.
type Provider interface {
	// Account says which account of which provider this is, in the provider's own word. It is the same whatever the key and the address.
	Account(ctx context.Context) (Account, error)
	// Charge takes the money, once per ChargeKey. It answers Charged, Rejected or Closed.
	Charge(ctx context.Context, in Intent) (Outcome, error)
	// Refund gives all of it back, once per charge, however often and late it is asked for: that no more can be given back than was
	// charged guards it, not a key that the provider may have forgotten. It answers GivenBack.
	Refund(ctx context.Context, in Intent) (Outcome, error)
	// Lookup says what became of ChargeKey so far. Absent is no promise: a charge may still be on its way.
	Lookup(ctx context.Context, in Intent) (Outcome, error)
	// Close ends ChargeKey, at any age: after it, either the charge has happened (Charged, GivenBack) or it never will (Closed, Rejected).
	Close(ctx context.Context, in Intent) (Outcome, error)
}

// Opener is a provider that has a charge opened before it is made. Nothing is charged by opening, and a charge is made at most once
// for what was opened, so that its id, once committed, is worth more than any key. Close and Lookup of an intent that was never
// opened need not ask: nobody can have charged it.
type Opener interface {
	Provider
	// Open answers Opened with the id under which the charge will be known, once per ChargeKey as long as the provider remembers that,
	// or Rejected.
	Open(ctx context.Context, in Intent) (Outcome, error)
}

// Gateway is a provider with all that a server asks of it: it moves money, tells of it and shows its books.
type Gateway interface {
	Books
	Herald
	// Hangup gives up idle connections.
	Hangup()
}

// Intent is what the provider is asked about.
type Intent struct {
	OrderID   uuid.UUID
	ChargeKey string
	RefundKey string
	OpenedAs  string // the provider's id of what was opened; "" where nothing was
	ChargeID  string // the provider's id of the charge; "" until one is known
	Terms     event.Terms

	SendBy time.Time // a charge is not sent later; zero: whenever

	Insist bool // an operator wants the refund made, though it has failed again and again

	ErrorAnswers int // how many answers about it were errors; a key under which an answer is kept ends with it, see KeyOf
}

// KeyOf returns the key to send where an answer is kept under it, errors included: another one after each answer that was an error.
func (in Intent) KeyOf(key string) string {
	if in.ErrorAnswers == 0 {
		return key
	}
	return key + "-" + strconv.Itoa(in.ErrorAnswers)
}

// errLate is a charge that was not asked for, because its claim is over.
var errLate = errors.New("not asked for: this process stood still for longer than its claim lasts")

// InTime reports an error if a charge may not be sent any more. A provider looks right before it sends one. A process that was frozen
// learns it by the monotonic clock, one on a machine that was suspended by the other.
func (in Intent) InTime() error {
	if now := time.Now(); in.SendBy.IsZero() || now.Before(in.SendBy) && now.Round(0).Before(in.SendBy.Round(0)) {
		return nil
	}
	return errLate
}

// ErrAnswered is an error that the provider has answered, unlike an answer that was lost.
var ErrAnswered = errors.New("the provider answered with an error")

// ErrRefundFailed says that a provider is not asked for a refund any more by ourselves.
var ErrRefundFailed = errors.New("the refund has failed again and again: a person must have it tried again or give the money back")

// Verdict is what a provider says of a charge.
type Verdict string

// The verdicts.
const (
	Charged   Verdict = "charged"
	Rejected  Verdict = "rejected"   // nothing was charged under this key, and never will be
	Closed    Verdict = "closed"     // the same, because the key was closed first
	Opened    Verdict = "opened"     // nothing was charged so far, and it can be now
	Absent    Verdict = "absent"     // nothing was charged so far
	GivenBack Verdict = "given back" // it was charged, and given back under RefundKey

	// No provider answers these; it tells of them unasked, or has them in its books.
	RefundFailed Verdict = "refund failed" // a refund that was made, or was being made, has failed
	Disputed     Verdict = "disputed"      // a customer has his bank take a charge back
)

// Outcome is a provider's answer, checked against the intent.
type Outcome struct {
	Verdict  Verdict
	ChargeID string // with Opened, Charged and GivenBack
	RefundID string // with GivenBack
	Reason   string // with Rejected
}
