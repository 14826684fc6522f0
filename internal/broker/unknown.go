package broker

import (
	"context"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

// Unknown is a fact that this program cannot hand to anybody, with the event as it was published: a newer version may have put
// more into it than this one reads.
type Unknown struct {
	Fact event.Fact
	Body []byte
}

// putByTries is how often facts are to be stored that Postgres, though it is there, does not take.
const putByTries = 8

// putBy stores the facts that nobody here knows, acknowledges them once that is committed, and gives the others. Giving them back
// would raise their count of deliveries until they are dead, and keeping them would fill the prefetch, so that nothing else came in.
// What cannot be stored is handed on and fails there.
func (s *hearing) putBy(ctx context.Context, pieces []*piece) (known []*piece, err error) {
	if s.sub.Knows == nil {
		return pieces, nil
	}
	var unknown []*piece
	for _, p := range pieces {
		if s.sub.Knows(p.fact) {
			known = append(known, p)
		} else {
			unknown = append(unknown, p)
		}
	}
	if len(unknown) == 0 {
		return pieces, nil
	}
	facts := bodies(unknown)
	pauses := s.cfg.retries()
	for try := 1; ; {
		if err = s.store(ctx, facts); err == nil {
			break
		}
		if over := s.over(ctx); over != nil {
			return nil, over
		}
		if try == 1 {
			s.log.Warn("facts that this version has no row for cannot be stored yet", "facts", len(facts), "first", facts[0].Fact.ID, "error", err)
		}
		if !s.outage(err) {
			try++
		}
		if try > putByTries {
			return pieces, nil
		}
		s.wait(ctx, pauses.NextBackOff())
	}
	s.m.unknown.WithLabelValues(s.sub.Queue).Add(float64(len(facts)))
	s.log.Info("stored facts that this version has no row for", "facts", len(facts), "first", facts[0].Fact.ID, "key", facts[0].Fact.RoutingKey())
	s.done(unknown...)
	return known, nil
}

func (s *hearing) store(ctx context.Context, facts []Unknown) error {
	ctx, cancel := context.WithTimeout(ctx, s.sub.Timeout)
	defer cancel()
	return s.sub.PutBy(ctx, s.sub.Module, facts)
}

// bodies gives facts with their events, taking each letter apart once.
func bodies(pieces []*piece) []Unknown {
	facts := make([]Unknown, len(pieces))
	var of *letter
	var parts [][]byte
	for i, p := range pieces {
		if p.letter != of {
			of, parts = p.letter, split(p.letter.delivery.Body)
		}
		facts[i] = Unknown{p.fact, parts[p.index]}
	}
	return facts
}
