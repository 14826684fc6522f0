package stripe

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v85"

	"github.com/holdfast-checkout/holdfast/internal/payment"
)

const (
	eventsKept = 30 * 24 * time.Hour // how far back Stripe lists its events
	eventPage  = 100                 // the most that it gives at once
	firstSpan  = int64(3600)         // seconds that are asked for at first
)

// mark is where the list of events is to be read on from: behind one event, and behind all of the seconds before.
type mark struct {
	second int64
	event  string
}

func (m mark) String() string { return strconv.FormatInt(m.second, 10) + " " + m.event }

func (s *Stripe) parse(after string) (mark, error) {
	if after == "" {
		return mark{second: s.now().Add(-eventsKept).Unix()}, nil
	}
	second, event, _ := strings.Cut(after, " ")
	n, err := strconv.ParseInt(second, 10, 64)
	if err != nil {
		return mark{}, fmt.Errorf("read on in Stripe's events from %q: %w", after, err)
	}
	return mark{n, event}, nil
}

// Lines reads on in Stripe's events: these are in the order in which money moved, which PaymentIntents by the time of their making
// are not. Stripe lists the newest first, so that the oldest are had by asking for a span of time that has few enough.
func (s *Stripe) Lines(ctx context.Context, after string, limit int) ([]payment.Line, error) {
	return s.readOn(after, limit, func(from, to int64) ([]*stripe.Event, bool, error) { return s.events(ctx, from, to) })
}

// readOn reads on in a list of which between gives a span of time, the oldest first, or says that it has too many.
func (s *Stripe) readOn(after string, limit int, between func(from, to int64) ([]*stripe.Event, bool, error)) ([]payment.Line, error) {
	at, err := s.parse(after)
	if err != nil {
		return nil, err
	}
	var lines []payment.Line
	now := s.now().Unix()
	for span := firstSpan; at.second <= now && len(lines) < limit; {
		to := min(at.second+span, now+1)
		events, more, err := between(at.second, to)
		if err != nil {
			return nil, fmt.Errorf("read Stripe's events after %q: %w", at, told(err))
		}
		if more {
			span = max(span/2, 1)
			continue
		}
		if lines, err = s.read(lines, at, events); err != nil {
			return nil, err
		}
		at = mark{second: to}
		if len(events) < eventPage/2 {
			span *= 2
		}
	}
	return lines[:min(len(lines), limit)], nil
}

// events gives those of a span of time, the oldest first, from its first second to the one before to. more says that there are too many
// for one page, unless the span is a single second, which is read to its end.
func (s *Stripe) events(ctx context.Context, from, to int64) (events []*stripe.Event, more bool, err error) {
	params := &stripe.EventListParams{Types: toldOf, CreatedRange: &stripe.RangeQueryParams{GreaterThanOrEqual: from, LesserThan: to}}
	params.Limit, params.Single = stripe.Int64(eventPage), to-from > 1
	list := s.api.V1Events.List(ctx, params)
	if list.Err() != nil {
		return nil, false, list.Err()
	}
	if params.Single && list.Meta().HasMore {
		return nil, true, nil
	}
	for e, err := range list.All(ctx) {
		if err != nil {
			return nil, false, err
		}
		if e.Created < from || e.Created >= to {
			return nil, false, errUnfit
		}
		events = append(events, e)
	}
	slices.Reverse(events)
	return events, false, nil
}

// read adds the lines of events behind a mark. The last one, if it is none of ours, is kept to say how far the list was read.
func (s *Stripe) read(lines []payment.Line, at mark, events []*stripe.Event) ([]payment.Line, error) {
	events = behind(events, at)
	for i, e := range events {
		line, err := s.line(e)
		if err != nil {
			return nil, fmt.Errorf("read Stripe's events: %w", err)
		}
		if line.Verdict == "" && i < len(events)-1 {
			continue
		}
		line.Mark = mark{e.Created, e.ID}.String()
		lines = append(lines, line)
	}
	return lines, nil
}

// behind gives the events after the one of a mark; if that is gone, those after its second.
func behind(events []*stripe.Event, at mark) []*stripe.Event {
	if at.event == "" {
		return events
	}
	if i := slices.IndexFunc(events, func(e *stripe.Event) bool { return e.ID == at.event }); i >= 0 {
		return events[i+1:]
	}
	return slices.DeleteFunc(events, func(e *stripe.Event) bool { return e.Created <= at.second })
}
