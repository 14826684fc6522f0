package broker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

// letter is one delivery: one fact or a batch of them. It is acknowledged when none of its facts is open.
type letter struct {
	delivery amqp.Delivery
	open     int
}

// piece is one fact of a letter.
type piece struct {
	fact   event.Fact
	letter *letter
	index  int // in the letter's batch
}

// unpack reads a delivery. What is no event of ours becomes a dead letter at once, and the rest of its batch goes on.
func (s *hearing) unpack(ctx context.Context, d amqp.Delivery) ([]*piece, error) {
	l := &letter{delivery: d}
	s.open++
	if d.Redelivered {
		s.m.redelivered.WithLabelValues(s.sub.Queue).Inc()
		s.tally.redelivered.Add(1)
	}
	facts, err := event.Split(d.Body)
	if err == nil {
		pieces := make([]*piece, len(facts))
		for i, f := range facts {
			pieces[i] = &piece{fact: f, letter: l, index: i}
		}
		l.open = len(pieces)
		if len(pieces) == 0 { // an empty batch
			l.open = 1
			s.done(&piece{letter: l})
		}
		return pieces, nil
	}
	return s.salvage(ctx, l)
}

// salvage reads a batch event by event, because some of it is no event.
func (s *hearing) salvage(ctx context.Context, l *letter) ([]*piece, error) {
	var pieces []*piece
	var broken []*piece
	parts := split(l.delivery.Body)
	l.open = len(parts)
	for i, part := range parts {
		p := &piece{letter: l, index: i}
		facts, err := event.Split(part)
		if err == nil && len(facts) != 1 {
			err = fmt.Errorf("a batch inside a batch")
		}
		if err != nil {
			if err := s.bury(ctx, undecodable(s.sub.Module, l.delivery, part, err)); err != nil {
				return nil, err
			}
			broken = append(broken, p)
			continue
		}
		p.fact = facts[0]
		pieces = append(pieces, p)
	}
	s.done(broken...)
	return pieces, nil
}

// split cuts a body into the bytes of its events. A body that is no JSON is one event, a broken one.
func split(body []byte) [][]byte {
	trimmed := bytes.TrimSpace(body)
	var raw []json.RawMessage
	if len(trimmed) == 0 || trimmed[0] != '[' || json.Unmarshal(trimmed, &raw) != nil || len(raw) == 0 {
		return [][]byte{body}
	}
	parts := make([][]byte, len(raw))
	for i, r := range raw {
		parts[i] = r
	}
	return parts
}

// body gives the bytes of the one event, as they were published.
func (p *piece) body() []byte { return split(p.letter.delivery.Body)[p.index] }
