package app

import (
	"math/rand/v2"
	"slices"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/saga"
)

// carrier decides in what order, how often and in what company posts are delivered.
type carrier interface {
	// carry takes what is new, and gives the batches to be delivered now: those of one wave at the same time, wave after wave.
	// It may keep posts for later; it gives nothing once it has nothing.
	carry(fresh []post) (waves [][]batch)
}

// batch is what a consumer hands its module at once.
type batch struct {
	to    saga.Module
	facts []event.Fact
}

// batches sorts posts by module, in batches of a size at most.
func batches(posts []post, size int) []batch {
	facts := map[saga.Module][]event.Fact{}
	for _, p := range posts {
		facts[p.to] = append(facts[p.to], p.fact)
	}
	var list []batch
	for _, module := range saga.Modules() {
		for part := range slices.Chunk(facts[module], size) {
			list = append(list, batch{module, part})
		}
	}
	return list
}

// inOrder delivers each post once, in the order in which it was said, one batch after the other.
type inOrder struct{}

func (inOrder) carry(fresh []post) (waves [][]batch) {
	for _, b := range batches(fresh, 128) {
		waves = append(waves, []batch{b})
	}
	return waves
}

// shuffled delivers posts in any order, two or three times, some of them late, many at a time, and some to two consumers at once.
type shuffled struct {
	*stage
	random *rand.Rand
	held   []post
}

func (s *shuffled) carry(fresh []post) (waves [][]batch) {
	for _, p := range fresh {
		for range 2 + s.random.IntN(2) {
			s.held = append(s.held, p)
		}
	}
	s.random.Shuffle(len(s.held), func(i, j int) { s.held[i], s.held[j] = s.held[j], s.held[i] })
	now := s.held[:(len(s.held)*2+2)/3]
	s.held = slices.Clone(s.held[len(now):])
	for len(now) > 0 {
		n := min(1+s.random.IntN(120), len(now))
		wave := batches(now[:n], 1+s.random.IntN(60))
		for _, b := range wave {
			if s.random.IntN(4) == 0 {
				wave = append(wave, b)
			}
		}
		waves, now = append(waves, wave), now[n:]
	}
	return waves
}
