package payment

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

// Every state meets every thing that can be heard. "" says nothing; a state that is not named stays.
func TestMoves(t *testing.T) {
	t.Parallel()
	charged := Outcome{Verdict: Charged, ChargeID: "ch"}
	rejected := Outcome{Verdict: Rejected, Reason: "card_declined"}
	closed, absent := Outcome{Verdict: Closed}, Outcome{Verdict: Absent}
	givenBack := Outcome{Verdict: GivenBack, ChargeID: "ch", RefundID: "re"}
	for _, c := range []struct {
		from   State
		undone bool
		hear   any // an Outcome, "lost" or "give back"
		to     State
		say    event.Name
	}{
		{Pending, false, charged, Success, event.PaymentProcessed},
		{Pending, false, rejected, Declined, event.PaymentFailed},
		{Pending, false, closed, Declined, event.PaymentFailed},
		{Pending, false, absent, Unknown, event.PaymentUnknown},
		{Pending, false, givenBack, Unknown, event.PaymentUnknown}, // nobody asked for that: it is not ours to believe
		{Pending, false, "lost", Unknown, event.PaymentUnknown},
		{Pending, false, "give back", Pending, ""}, // attempted: the provider must be asked
		{Pending, true, charged, Refunding, ""},
		{Pending, true, rejected, Voided, event.PaymentVoided},
		{Pending, true, closed, Voided, event.PaymentVoided},
		{Pending, true, absent, Unknown, event.PaymentUnknown},
		{Pending, true, givenBack, Refunding, ""},
		{Pending, true, "lost", Unknown, event.PaymentUnknown},
		{Pending, true, "give back", Pending, ""},
		{Unknown, false, charged, Success, event.PaymentProcessed},
		{Unknown, false, rejected, Declined, event.PaymentFailed},
		{Unknown, false, closed, Declined, event.PaymentFailed},
		{Unknown, false, absent, Unknown, ""},
		{Unknown, false, givenBack, Unknown, ""},
		{Unknown, false, "lost", Unknown, ""},
		{Unknown, false, "give back", Unknown, ""},
		{Unknown, true, charged, Refunding, ""},
		{Unknown, true, rejected, Voided, event.PaymentVoided},
		{Unknown, true, closed, Voided, event.PaymentVoided},
		{Unknown, true, absent, Unknown, ""},
		{Unknown, true, "lost", Unknown, ""},
		{Success, false, charged, Success, ""},
		{Success, false, "lost", Success, ""},
		{Success, false, "give back", Refunding, ""},
		{Declined, false, charged, Declined, ""},
		{Declined, false, "give back", Declined, ""},
		{Refunding, true, charged, Refunding, ""},
		{Refunding, true, rejected, Refunding, ""},
		{Refunding, true, closed, Refunding, ""},
		{Refunding, true, "lost", Refunding, ""},
		{Refunding, true, "give back", Refunding, ""},
		{Refunding, true, givenBack, Refunded, event.PaymentRefunded},
		{Refunding, true, Outcome{Verdict: GivenBack, ChargeID: "another", RefundID: "re"}, Refunding, ""},
		{Refunded, true, givenBack, Refunded, ""},
		{Refunded, true, "give back", Refunded, ""},
		{Voided, true, charged, Voided, ""},
		{Voided, true, "lost", Voided, ""},
		{Voided, true, "give back", Voided, ""},
	} {
		t.Run(fmt.Sprintf("%s undone %t hears %v", c.from, c.undone, c.hear), func(t *testing.T) {
			t.Parallel()
			p := Payment{State: c.from, Terms: event.Terms{TotalMinor: 5}, Attempted: true, Tries: 3}
			if c.undone {
				p.Undo.Fact = uuid.New()
			}
			if c.from == Success || c.from == Refunding || c.from == Refunded {
				p.ChargeID = "ch"
			}
			if say := hear(&p, c.hear); p.State != c.to || say != c.say {
				t.Errorf("is %s and says %q, want %s and %q", p.State, say, c.to, c.say)
			}
		})
	}
}

func hear(p *Payment, what any) event.Name {
	switch what := what.(type) {
	case Outcome:
		return p.Hear(what)
	case string:
		if what == "give back" {
			return p.GiveBack(Cause{Fact: uuid.New()})
		}
	}
	return p.Lose()
}

// Whatever a payment hears, in whatever order: what it says of its end it says once, and it never says what is not so.
func TestWhateverIsHeard(t *testing.T) {
	t.Parallel()
	things := []any{
		"lost", "give back",
		Outcome{Verdict: Charged, ChargeID: "ch"},
		Outcome{Verdict: Rejected, Reason: "no"},
		Outcome{Verdict: Closed},
		Outcome{Verdict: Absent},
		Outcome{Verdict: GivenBack, ChargeID: "ch", RefundID: "re"},
	}
	rapid.Check(t, func(t *rapid.T) {
		p := Payment{State: Pending, Terms: event.Terms{TotalMinor: 5}, Attempted: rapid.Bool().Draw(t, "attempted")}
		said := map[event.Name]int{}
		for _, thing := range rapid.SliceOf(rapid.SampledFrom(things)).Draw(t, "heard") {
			if !p.Attempted && thing != "give back" {
				continue // nobody was asked
			}
			said[hear(&p, thing)]++
		}
		for name, n := range said {
			if name != "" && n > 1 {
				t.Errorf("said %s %d times", name, n)
			}
		}
		ends := said[event.PaymentFailed] + said[event.PaymentVoided] + said[event.PaymentRefunded]
		if ends > 1 || said[event.PaymentFailed]+said[event.PaymentProcessed] > 1 {
			t.Errorf("said %v", said)
		}
		for state, name := range map[State]event.Name{
			Declined: event.PaymentFailed, Voided: event.PaymentVoided, Refunded: event.PaymentRefunded,
		} {
			if (p.State == state) != (said[name] == 1) {
				t.Errorf("is %s and said %v", p.State, said)
			}
		}
		if p.State == Success != (said[event.PaymentProcessed] == 1 && !p.Undone()) {
			t.Errorf("is %s and said %v", p.State, said)
		}
	})
}
