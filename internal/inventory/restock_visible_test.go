package inventory_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/inventory"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/lua"
)

// A restock decides the next hold though no fact of it has arrived.
func TestRestockIsVisibleBeforeItIsAnswered(t *testing.T) {
	onEach(t, func(t *testing.T, s *shop) {
		p := s.sell(1)[0]
		s.wantFree(p, 1)
		until := time.Now().Add(time.Hour)
		for round := range 20 {
			moved, err := s.books.Restock(t.Context(), p, 5, "")
			if err != nil || !moved.Visible {
				t.Fatalf("round %d: %+v, %v", round, moved, err)
			}
			hold := uuid.New()
			if got := s.hold(hold, until, line(p, 6)); !got[0].Held {
				t.Fatalf("round %d: after +5 %+v", round, got[0])
			}
			if err := s.shelf.Release(t.Context(), hold, []uuid.UUID{p}); err != nil {
				t.Fatal(err)
			}
			if moved, err = s.books.Restock(t.Context(), p, -5, ""); err != nil || !moved.Visible {
				t.Fatalf("round %d: %+v, %v", round, moved, err)
			}
			if got := s.hold(hold, until, line(p, 2)); got[0].Held {
				t.Fatalf("round %d: after -5 two units of one were held", round)
			}
		}
	})
}

// With Redis away the movement stands, and the answer says that buyers do not see it.
func TestRestockWithRedisAwayStands(t *testing.T) {
	s := newShop(t)
	p := s.sell(1)[0]
	client, err := redisx.Open("redis://127.0.0.1:1/0", redisx.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	away := inventory.NewShelf(s.env.DB, redisx.NewScripts(client, lua.Sources()), s.keys, s.holders, s.orders, s.env.Log)
	books := inventory.New(s.env.DB, s.orders, away, s.env.Log)
	moved, err := books.Restock(context.WithoutCancel(t.Context()), p, 5, "")
	if err != nil || moved.Visible || moved.Balance != 6 || moved.OverHeld == nil || *moved.OverHeld != 0 {
		t.Fatalf("%+v, %v", moved, err)
	}
	s.wantBooks(p, 6, 0)
	s.holders.set(inventory.LiveHold{HoldID: uuid.New(), ProductID: p, Quantity: 4, ExpiresAt: in(time.Minute)})
	if moved, err = books.Restock(context.WithoutCancel(t.Context()), p, -4, ""); err != nil || moved.OverHeld == nil || *moved.OverHeld != 2 {
		t.Fatalf("%+v, %v: want 2 units held, as the rows say, and not there", moved, err)
	}
}
