package stripe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/stripe/stripe-go/v85"

	"github.com/holdfast-checkout/holdfast/internal/payment"
)

type stripeCurrency = stripe.Currency

// The names of our metadata.
const (
	ofNamespace = "holdfast_namespace"
	ofOrder     = "holdfast_order"
	ofKey       = "holdfast_key"
)

// None of these is an answer: the outcome is not known yet.
var (
	errUnfit     = errors.New("the answer does not fit what was asked")
	errAtIt      = errors.New("the provider is still at it")
	errNotOpened = errors.New("nothing was opened for it")
)

func (s *Stripe) metadata(in payment.Intent, key string) map[string]string {
	return map[string]string{ofNamespace: s.namespace, ofOrder: in.OrderID.String(), ofKey: key}
}

// fits says whether a PaymentIntent is the one of an intent.
func (s *Stripe) fits(pi *stripe.PaymentIntent, id string, in payment.Intent) bool {
	minor, iso, ok := fromStripe(pi.Amount, pi.Currency)
	return ok && pi.Object == "payment_intent" && pi.ID != "" && (id == "" || id == pi.ID) &&
		minor == in.Terms.TotalMinor && iso == in.Terms.Currency &&
		pi.Metadata[ofNamespace] == s.namespace && pi.Metadata[ofOrder] == in.OrderID.String() && pi.Metadata[ofKey] == in.ChargeKey
}

// standing is what the status of a PaymentIntent means for its charge.
type standing int

const (
	open     standing = iota // nothing was charged, and it can be
	charged                  // the money is ours
	over                     // nothing was charged, and it cannot be any more
	declined                 // nothing was charged, and it must be cancelled lest it be
	atIt                     // Stripe does not know yet
	strange                  // not a status that one of ours can have
)

// read says what a PaymentIntent has come to and, if nothing was charged, why.
func read(pi *stripe.PaymentIntent) (standing, string) {
	why := ""
	if e := pi.LastPaymentError; e != nil {
		why = cmp.Or(string(e.DeclineCode), string(e.Code), string(e.Type), "declined")
	}
	switch pi.Status {
	case stripe.PaymentIntentStatusSucceeded:
		if pi.AmountReceived != pi.Amount {
			return strange, ""
		}
		return charged, ""
	case stripe.PaymentIntentStatusCanceled:
		if pi.CancellationReason == stripe.PaymentIntentCancellationReasonAbandoned { // by us, for it was declined
			why = cmp.Or(why, "declined")
		}
		return over, why
	case stripe.PaymentIntentStatusRequiresPaymentMethod:
		if why != "" {
			return declined, why
		}
		return open, ""
	case stripe.PaymentIntentStatusRequiresConfirmation:
		return open, ""
	case stripe.PaymentIntentStatusRequiresAction: // there is nobody here to send the customer to
		return declined, string(stripe.ErrorCodeAuthenticationRequired)
	case stripe.PaymentIntentStatusProcessing:
		return atIt, ""
	}
	return strange, ""
}

// nothingCharged is the outcome of what is over.
func nothingCharged(why string) payment.Outcome {
	if why == "" {
		return payment.Outcome{Verdict: payment.Closed}
	}
	return payment.Outcome{Verdict: payment.Rejected, Reason: why}
}

// refusal is an error that Stripe has answered, without its words: they may quote what is nobody's business.
type refusal struct {
	status                     int
	kind, code, param, request string
}

func (r refusal) Error() string {
	return fmt.Sprintf("answered %d %s %q of %q (%s)", r.status, r.kind, r.code, r.param, r.request)
}

// Is reports whether Stripe keeps this answer under the request's key, and would give it again: all but those that say that the request
// was not begun.
func (r refusal) Is(target error) bool {
	switch r.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusConflict, http.StatusTooManyRequests:
		return false
	}
	return target == payment.ErrAnswered
}

// told gives an error that may be shown: what Stripe has refused, or why it was not reached.
func told(err error) error {
	var answered *stripe.Error
	var lost *url.Error
	switch {
	case errors.As(err, &answered):
		return refusal{answered.HTTPStatusCode, string(answered.Type), string(answered.Code), answered.Param, answered.RequestID}
	case errors.As(err, &lost), errors.Is(err, errTooLong), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return errUnfit // the library would quote it
}

// isCode says whether Stripe has answered with an error of that code.
func isCode(err error, code stripe.ErrorCode) bool {
	var answered *stripe.Error
	return errors.As(err, &answered) && answered.Code == code
}

// refused says why Stripe will not charge this, whoever asks and whenever; "" for every other error: who asks too often, at a bad
// moment or with a bad key is not told "no".
func refused(err error) string {
	var e *stripe.Error
	if !errors.As(err, &e) || e.HTTPStatusCode != http.StatusBadRequest && e.HTTPStatusCode != http.StatusNotFound || e.Type != stripe.ErrorTypeInvalidRequest {
		return ""
	}
	switch {
	case e.Code == stripe.ErrorCodeAmountTooSmall, e.Code == stripe.ErrorCodeAmountTooLarge:
		return string(e.Code)
	case e.Param == "amount", e.Param == "currency", strings.HasPrefix(e.Param, "payment_method"):
		return cmp.Or(string(e.Code), e.Param)
	}
	return ""
}
