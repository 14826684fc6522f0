package relay

import (
	"encoding/json"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/event"
)

const (
	packFacts = 100       // most facts in one message, unless told otherwise
	packBytes = 128 << 10 // most bytes in one message of several facts
)

// row is a row of the outbox, as far as the broker needs it.
type row struct {
	id   uuid.UUID
	key  string // routing key
	body []byte // the finished event
	xid  uint32 // low half of its transaction's id when it comes from the log, else 0
}

// parcel is one message with the rows in it.
type parcel struct {
	rows  []row
	bytes int
}

// pack puts rows of one routing key into one message each, in their order. Rows of one key keep their order; those of
// different keys have none among themselves.
func pack(rows []row, most int) []parcel {
	var parcels []parcel
	filling := map[string]int{} // index of the parcel that a key's next row goes into
	for _, r := range rows {
		at, ok := filling[r.key]
		if !ok || !parcels[at].takes(r, most) {
			at = len(parcels)
			parcels = append(parcels, parcel{})
			filling[r.key] = at
		}
		parcels[at].add(r)
	}
	return parcels
}

// takes says whether a row fits. What is no JSON travels alone, or it would spoil the batch around it.
func (p *parcel) takes(r row, most int) bool {
	if len(p.rows) >= most || p.bytes+len(r.body) > packBytes || !json.Valid(r.body) {
		return false
	}
	return len(p.rows) > 1 || json.Valid(p.rows[0].body)
}

func (p *parcel) add(r row) {
	p.rows = append(p.rows, r)
	p.bytes += len(r.body)
}

// message gives the parcel the form in which it is published.
func (p *parcel) message(exchange string) broker.Message {
	first := p.rows[0]
	m := broker.Message{
		ID: first.id.String(), Exchange: exchange, Key: first.key, ContentType: event.ContentType, Body: first.body,
	}
	if len(p.rows) == 1 {
		return m
	}
	bodies := make([][]byte, len(p.rows))
	for i, r := range p.rows {
		bodies[i] = r.body
	}
	m.ContentType, m.Body = event.BatchContentType, event.Batch(bodies)
	return m
}
