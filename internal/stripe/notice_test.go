package stripe

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stripe/stripe-go/v85"
	"github.com/stripe/stripe-go/v85/webhook"

	"github.com/holdfast-checkout/holdfast/internal/payment"
)

const hookSecret = "whsec_of_the_tests"

// webhookOf is a webhook of Stripe's, as it is sent.
func webhookOf(t *testing.T, kind string, of object) []byte {
	t.Helper()
	raw, err := json.Marshal(object{
		"id": "evt_1", "object": "event", "type": kind, "created": 1_700_000_000, "api_version": "2020-08-27", "livemode": false,
		"data": object{"object": of}, "pending_webhooks": 1, "request": nil,
	})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func signed(body []byte, secret string, when time.Time) http.Header {
	s := webhook.GenerateTestSignedPayload(&webhook.UnsignedPayload{Payload: body, Secret: secret, Timestamp: when})
	return http.Header{"Stripe-Signature": {s.Header}}
}

// A webhook is a line of the provider's books, or of no interest.
func TestNoticesAreLines(t *testing.T) {
	t.Parallel()
	in := bought()
	paid := with(intentOf(in, "succeeded"), object{"amount_received": in.Terms.TotalMinor})
	poor := with(intentOf(in, "requires_payment_method"), object{"last_payment_error": object{"type": "card_error", "code": "card_declined"}})
	line := payment.Line{
		Verdict: payment.Charged, ID: "pi_1", Key: in.ChargeKey, OrderID: in.OrderID.String(), AmountMinor: 1275, Currency: "GBP", At: time.Unix(1_700_000_000, 0),
	}
	no, back := line, line
	no.Verdict, no.Reason = payment.Rejected, "card_declined"
	back.Verdict, back.ID, back.ChargeID, back.Key = payment.GivenBack, "re_1", "pi_1", in.RefundKey
	failed, cancelled, part := no, no, line
	failed.Verdict = payment.Absent // it is over only when it is canceled
	cancelled.Reason, part.AmountMinor = "canceled", 1
	nothing := payment.Line{At: line.At}
	lost, byHand := back, back
	lost.Verdict, lost.Reason = payment.RefundFailed, "lost_or_stolen_card"
	byHand.Verdict, byHand.Reason, byHand.Key, byHand.OrderID = payment.RefundFailed, "canceled", "", ""
	gone := with(refundOf(in, "failed"), object{"failure_reason": "lost_or_stolen_card"})
	dispute := object{
		"id": "du_1", "object": "dispute", "amount": 1275, "currency": "gbp", "charge": "ch_1", "payment_intent": "pi_1", "reason": "fraudulent",
		"status": "needs_response", "balance_transactions": []object{{"id": "txn_1", "object": "balance_transaction", "amount": -1275}}, "metadata": object{},
	}
	raised := payment.Line{
		Verdict: payment.Disputed, ID: "du_1", ChargeID: "pi_1", Reason: "fraudulent", AmountMinor: 1275, Currency: "GBP", At: line.At,
		Dispute: payment.Dispute{Status: "needs_response", Funds: payment.FundsWithdrawn},
	}
	asked, won := raised, raised
	asked.Dispute = payment.Dispute{Status: "warning_needs_response", Funds: payment.FundsKept}
	won.Dispute = payment.Dispute{Status: "won", Over: true, Funds: payment.FundsReinstated}
	twice := []object{{"id": "txn_1", "object": "balance_transaction"}, {"id": "txn_2", "object": "balance_transaction"}}
	for name, c := range map[string]struct {
		kind string
		of   object
		want payment.Line
	}{
		"charged":               {"payment_intent.succeeded", paid, line},
		"charged in part":       {"payment_intent.succeeded", with(paid, object{"amount_received": 1}), part},
		"declined":              {"payment_intent.payment_failed", poor, failed},
		"cancelled":             {"payment_intent.canceled", intentOf(in, "canceled"), cancelled},
		"given back":            {"refund.created", refundOf(in, "succeeded"), back},
		"given back later":      {"refund.updated", refundOf(in, "succeeded"), back},
		"given back, in old":    {"charge.refunded", object{"id": "ch_1", "object": "charge", "refunds": listOf(refundOf(in, "succeeded"))}, back},
		"given back, in new":    {"charge.refunded", object{"id": "ch_1", "object": "charge"}, nothing},
		"on its way back":       {"refund.created", refundOf(in, "pending"), nothing},
		"another shop's":        {"payment_intent.succeeded", with(paid, object{"metadata": object{ofNamespace: "other"}}), nothing},
		"somebody else's":       {"payment_intent.succeeded", with(paid, object{"metadata": object{}}), nothing},
		"a refund by hand":      {"refund.created", with(refundOf(in, "succeeded"), object{"metadata": object{}}), nothing},
		"failed":                {"refund.failed", gone, lost},
		"failed, as a change":   {"refund.updated", gone, lost},
		"failed, in old":        {"charge.refund.updated", gone, lost},
		"failed, by hand":       {"refund.updated", with(refundOf(in, "canceled"), object{"metadata": object{}}), byHand},
		"failed, another's":     {"refund.failed", with(gone, object{"metadata": object{ofNamespace: "other"}}), nothing},
		"disputed":              {"charge.dispute.created", dispute, raised},
		"withdrawn":             {"charge.dispute.funds_withdrawn", dispute, raised},
		"asked for":             {"charge.dispute.created", with(dispute, object{"status": "warning_needs_response", "balance_transactions": []object{}}), asked},
		"won":                   {"charge.dispute.closed", with(dispute, object{"status": "won", "balance_transactions": twice}), won},
		"reinstated":            {"charge.dispute.funds_reinstated", with(dispute, object{"status": "won", "balance_transactions": twice}), won},
		"dispute of a charge":   {"charge.dispute.updated", with(dispute, object{"payment_intent": nil}), nothing},
		"of something else":     {"customer.created", object{"id": "cus_1", "object": "customer"}, nothing},
		"of what was made only": {"payment_intent.created", intentOf(in, "requires_payment_method"), nothing},
	} {
		body := webhookOf(t, c.kind, c.of)
		got, err := at(t, "http://127.0.0.1:1").Notice(signed(body, hookSecret, time.Now()), body)
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
}

// Whatever Stripe has not signed lately is forged; what cannot be read is no notice.
func TestForgedNotices(t *testing.T) {
	t.Parallel()
	in := bought()
	s, now := at(t, "http://127.0.0.1:1"), time.Now()
	good := webhookOf(t, "payment_intent.succeeded", with(intentOf(in, "succeeded"), object{"amount_received": in.Terms.TotalMinor}))
	spoilt := append([]byte(" "), good...)
	odd := webhookOf(t, "payment_intent.succeeded", with(intentOf(in, "succeeded"), object{"amount_received": 7, "currency": "isk"}))
	for name, c := range map[string]struct {
		header http.Header
		body   []byte
		want   error
	}{
		"not signed":         {http.Header{}, good, payment.ErrForged},
		"no signature":       {http.Header{"Stripe-Signature": {"t=1"}}, good, payment.ErrForged},
		"nonsense":           {http.Header{"Stripe-Signature": {"hello"}}, good, payment.ErrForged},
		"another secret":     {signed(good, "whsec_another", now), good, payment.ErrForged},
		"another body":       {signed(good, hookSecret, now), spoilt, payment.ErrForged},
		"too old":            {signed(good, hookSecret, now.Add(-6*time.Minute)), good, payment.ErrForged},
		"from the future":    {signed(good, hookSecret, now.Add(6*time.Minute)), good, payment.ErrForged},
		"garbage":            {signed([]byte("{"), hookSecret, now), []byte("{"), payment.ErrUnreadable},
		"no event":           {signed([]byte("{}"), hookSecret, now), []byte("{}"), payment.ErrUnreadable},
		"of another shape":   {signed(webhookOf(t, "payment_intent.succeeded", object{"id": "pi_1"}), hookSecret, now), webhookOf(t, "payment_intent.succeeded", object{"id": "pi_1"}), payment.ErrUnreadable},
		"half a króna":       {signed(odd, hookSecret, now), odd, payment.ErrUnreadable},
		"good, at long last": {signed(good, hookSecret, now.Add(-4*time.Minute)), good, nil},
	} {
		if _, err := s.Notice(c.header, c.body); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for _, off := range []time.Duration{20 * time.Minute, -20 * time.Minute} { // Stripe's clock is the one that counts
		s.now = func() time.Time { return now.Add(off) }
		for at, want := range map[time.Duration]error{off: nil, 0: payment.ErrForged} {
			if _, err := s.Notice(signed(good, hookSecret, now.Add(at)), good); !errors.Is(err, want) {
				t.Errorf("signed at %s, where Stripe's clock is off by %s: %v, want %v", at, off, err, want)
			}
		}
	}
	deaf := New(Options{Key: "sk_test_x", Namespace: namespace})
	if _, err := deaf.Notice(signed(good, "", now), good); !errors.Is(err, payment.ErrForged) {
		t.Errorf("without a secret: %v", err)
	}
}

// The list of events is read from its beginning to its end, each once and the oldest first, however dense it is, from wherever it was
// left.
func TestBooksAreReadInOrder(t *testing.T) {
	t.Parallel()
	const began = 1_700_000_000
	in := bought()
	s := at(t, "http://127.0.0.1:1")
	s.now = func() time.Time { return time.Unix(began, 0).Add(20 * 24 * time.Hour) }
	var all []*stripe.Event
	var want []string
	add := func(second int64, ours bool) {
		charge := with(intentOf(in, "succeeded"), object{"id": "pi_" + time.Duration(len(all)).String(), "amount_received": in.Terms.TotalMinor})
		if !ours {
			charge["metadata"] = object{}
		}
		raw, err := json.Marshal(charge)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, &stripe.Event{
			ID: "evt_" + time.Duration(len(all)).String(), Type: stripe.EventTypePaymentIntentSucceeded, Created: second, Data: &stripe.EventData{Raw: raw},
		})
		if ours {
			want = append(want, charge["id"].(string))
		}
	}
	for i := range int64(300) { // more than a page within one second, then few and far between, some of them somebody else's
		add(began+i/250, i%7 != 0)
	}
	for i := range int64(150) {
		add(began+5000+i*9973, i%3 != 0)
	}
	asked := 0
	between := func(from, to int64) (events []*stripe.Event, more bool, err error) {
		asked++
		for _, e := range all {
			if e.Created >= from && e.Created < to {
				events = append(events, e)
			}
		}
		if len(events) > eventPage && to-from > 1 {
			return nil, true, nil
		}
		return events, false, nil
	}
	var got []string
	for mark := ""; ; {
		page, err := s.readOn(mark, 40, between)
		if err != nil || len(page) > 40 {
			t.Fatalf("%d lines, %v", len(page), err)
		}
		if len(page) == 0 {
			break
		}
		for _, l := range page {
			if l.Verdict != "" {
				got = append(got, l.ID)
			}
		}
		mark = page[len(page)-1].Mark
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if asked > 400 {
		t.Errorf("asked %d times for %d events", asked, len(all))
	}
	rest, err := s.readOn(mark{began, "evt_gone"}.String(), 1, between)
	if err != nil || len(rest) != 1 || rest[0].At.Unix() <= began {
		t.Errorf("behind an event that is gone: %+v, %v", rest, err)
	}
	if _, err := s.readOn("yesterday", 1, between); err == nil {
		t.Error("a mark that is none was taken")
	}
}
