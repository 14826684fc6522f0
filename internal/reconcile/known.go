package reconcile

import (
	"hash/maphash"
	"slices"
	"sync/atomic"

	"github.com/google/uuid"
)

// known are products that Postgres is known to have, as far as there is room: each has up to six keys in Redis, and Postgres
// is to be asked about it once and not for every key. It is as large for a small catalogue as for a large one.
type known struct {
	seed  maphash.Seed
	slots []atomic.Uint64 // a product's hash in the slot that it names; of two products with one slot the later one
}

// knownSlots are 8 MiB: of a million products two thirds are remembered.
const knownSlots = 1 << 20

func newKnown() *known {
	return &known{seed: maphash.MakeSeed(), slots: make([]atomic.Uint64, knownSlots)}
}

func (k *known) slot(id uuid.UUID) (*atomic.Uint64, uint64) {
	sum := maphash.Bytes(k.seed, id[:]) | 1 // 0 is an empty slot
	return &k.slots[sum>>1%knownSlots], sum
}

func (k *known) add(ids []uuid.UUID) {
	for _, id := range ids {
		slot, sum := k.slot(id)
		slot.Store(sum)
	}
}

// without gives the ids that are not known.
func (k *known) without(ids []uuid.UUID) []uuid.UUID {
	return slices.DeleteFunc(ids, func(id uuid.UUID) bool {
		slot, sum := k.slot(id)
		return slot.Load() == sum
	})
}
