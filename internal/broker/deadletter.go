package broker

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/event"
)

// Why a fact became a dead letter.
const (
	ReasonUndecodable = "undecodable" // it is no event of ours
	ReasonPermanent   = "permanent"   // the module can never take it, like one older than its inbox
	ReasonExhausted   = "exhausted"   // every attempt failed
	ReasonDelivery    = "delivery"    // RabbitMQ gave up: its consumer died of it again and again
)

// DeadLetter is a fact that a module could not digest. Its id follows from module and fact, so that the same fact is one
// dead letter, however often it is buried.
type DeadLetter struct {
	ID         uuid.UUID
	Module     string
	FactID     uuid.UUID // zero when it could not be read
	OrderID    uuid.UUID // whose fact it is; zero for none
	Name       event.Name
	RoutingKey string // that it was published under
	Reason     string
	FirstError string
	LastError  string
	Attempts   int
	Body       []byte // the event, as it was published
	At         time.Time
}

// NewDeadLetter makes one of an event's bytes, reading from them what can be read.
func NewDeadLetter(module, routingKey, reason string, body []byte, cause error) DeadLetter {
	d := DeadLetter{Module: module, RoutingKey: routingKey, Reason: reason, Body: body, At: clock.Now()}
	if facts, err := event.Split(body); err == nil && len(facts) == 1 {
		d.FactID, d.OrderID, d.Name, d.RoutingKey = facts[0].ID, facts[0].OrderID, facts[0].Name, facts[0].RoutingKey()
	}
	if cause != nil {
		d.FirstError = clip(cause.Error())
		d.LastError = d.FirstError
	}
	d.ID = deadLetterID(d)
	return d
}

// deadLetterID is a name-based UUID: of the fact where there is one, else of the bytes.
func deadLetterID(d DeadLetter) uuid.UUID {
	space := uuid.NewSHA1(uuid.NameSpaceURL, []byte("holdfast/dead-letter/"+d.Module))
	if d.FactID != uuid.Nil {
		return uuid.NewSHA1(space, d.FactID[:])
	}
	return uuid.NewSHA1(space, d.Body)
}

func undecodable(module string, d amqp.Delivery, body []byte, cause error) DeadLetter {
	return NewDeadLetter(module, d.RoutingKey, ReasonUndecodable, body, cause)
}

func spent(module string, p *piece, f *failure, reason string) DeadLetter {
	d := NewDeadLetter(module, p.letter.delivery.RoutingKey, reason, p.body(), f.first)
	d.LastError, d.Attempts = clip(f.last.Error()), f.attempts
	return d
}

const (
	headerModule     = "holdfast-module"
	headerRoutingKey = "holdfast-routing-key"
	headerReason     = "holdfast-reason"
	headerFirst      = "holdfast-first-error"
	headerLast       = "holdfast-last-error"
	headerAttempts   = "holdfast-attempts"
	headerAt         = "holdfast-at"
)

// message is the dead letter on its way to the queue of dead letters.
func (d DeadLetter) message(t Topology) Message {
	return Message{
		ID: d.ID.String(), Key: t.Dead(), ContentType: event.ContentType, Body: d.Body,
		Headers: map[string]any{
			headerModule: d.Module, headerRoutingKey: d.RoutingKey, headerReason: d.Reason, headerFirst: d.FirstError,
			headerLast: d.LastError, headerAttempts: int64(d.Attempts), headerAt: d.At.Format(time.RFC3339Nano),
		},
	}
}

// readDeadLetters reads what the queue of dead letters holds: ours by their headers, or a whole message that RabbitMQ gave
// up, one dead letter per event in it.
func readDeadLetters(t Topology, d amqp.Delivery) []DeadLetter {
	if module, ok := d.Headers[headerModule].(string); ok {
		one := NewDeadLetter(module, text(d, headerRoutingKey), text(d, headerReason), d.Body, nil)
		one.FirstError, one.LastError = text(d, headerFirst), text(d, headerLast)
		attempts, _ := d.Headers[headerAttempts].(int64)
		one.Attempts = int(attempts)
		if at, err := time.Parse(time.RFC3339Nano, text(d, headerAt)); err == nil {
			one.At = at
		}
		return []DeadLetter{one}
	}
	module := t.Module(strings.TrimPrefix(text(d, "x-first-death-queue"), t.Namespace+"."))
	cause := fmt.Errorf("given up by RabbitMQ: %s", text(d, "x-first-death-reason"))
	var all []DeadLetter
	for _, part := range split(d.Body) {
		all = append(all, NewDeadLetter(module, d.RoutingKey, ReasonDelivery, part, cause))
	}
	return all
}

func text(d amqp.Delivery, header string) string {
	s, _ := d.Headers[header].(string)
	return s
}

// clip makes an error's text fit for a header and for Postgres, which takes neither NUL nor broken UTF-8.
func clip(s string) string {
	const most = 2000
	if len(s) > most {
		s = s[:most]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "?")
}
