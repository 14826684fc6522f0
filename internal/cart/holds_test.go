package cart_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/cart"
)

func TestLiveHolds(t *testing.T) {
	onEach(t, usual, func(t *testing.T, s *shop) {
		tea, cup := s.product(50), s.product(50)
		ann := s.put("ann", tea, 2)
		bob := s.put("bob", tea, 3)
		expired := s.put("eve", tea, 4)
		s.age(*expired.ID, time.Hour)
		s.put("joe", tea, 5)
		basket, err := s.checkout("joe")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.buy(basket); err != nil {
			t.Fatal(err)
		}
		lost := s.put("kim", tea, 6)
		s.exec(`UPDATE cart.lines SET held = false WHERE cart_id = $1`, *lost.ID)
		s.put("ann", cup, 1)

		got, ends, err := s.carts.LiveHolds(t.Context(), []uuid.UUID{tea, uuid.New()}, make([]uuid.UUID, 2), 10)
		if err != nil {
			t.Fatal(err)
		}
		want := []cart.LiveHold{
			{CartID: *ann.ID, Customer: "ann", ProductID: tea, Quantity: 2, ExpiresAt: *ann.ExpiresAt},
			{CartID: *bob.ID, Customer: "bob", ProductID: tea, Quantity: 3, ExpiresAt: *bob.ExpiresAt},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("live holds (-want +got):\n%s", diff)
		}
		if len(ends) > 0 {
			t.Errorf("more follow after %v", ends)
		}

		// Page by page they are the same: each follows the line that was looked at last, whether that is live or not.
		var paged []cart.LiveHold
		for after, more := uuid.Nil, true; more; after, more = ends[tea], len(ends) > 0 {
			if got, ends, err = s.carts.LiveHolds(t.Context(), []uuid.UUID{tea}, []uuid.UUID{after}, 1); err != nil {
				t.Fatal(err)
			}
			paged = append(paged, got...)
		}
		if diff := cmp.Diff(want, paged); diff != "" {
			t.Errorf("live holds, one by one (-want +got):\n%s", diff)
		}
		got, err = s.carts.Holds(t.Context(), *bob.ID, []uuid.UUID{tea, cup})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want[1:], got); diff != "" {
			t.Errorf("holds of one (-want +got):\n%s", diff)
		}
	})
}

func TestTheCopyFollowsTheRows(t *testing.T) {
	onEach(t, usual, func(t *testing.T, s *shop) {
		tea, cup := s.product(50), s.product(50)
		v := s.put("ann", tea, 2)
		id := *v.ID
		s.wantCopy(id)
		s.put("ann", cup, 1)
		s.wantCopy(id)
		s.put("ann", tea, 1) // lowered: two turns
		s.wantCopy(id)
		if err := s.carts.Remove(t.Context(), "ann", tea); err != nil {
			t.Fatal(err)
		}
		s.wantCopy(id)
		if err := s.env.Redis.Del(t.Context(), s.keys.Cart(id)).Err(); err != nil {
			t.Fatal(err)
		}
		s.put("ann", tea, 5) // the copy was lost: all of it is written
		s.wantCopy(id)
		if err := s.carts.Clear(t.Context(), "ann"); err != nil {
			t.Fatal(err)
		}
		if got := s.copyOf(id); got != nil {
			t.Errorf("an empty cart's copy is %v", got)
		}
		s.put("ann", cup, 3)
		s.wantCopy(id)
	})
}

// wantCopy holds the copy in Redis against the rows.
func (s *shop) wantCopy(id uuid.UUID) {
	s.Helper()
	rows, err := s.env.DB.Query(s.Context(), `
SELECT c.turn, (extract(epoch FROM c.expires_at) * 1000)::bigint, l.product_id, l.quantity
FROM cart.carts c JOIN cart.lines l ON l.cart_id = c.id WHERE c.id = $1`, id)
	if err != nil {
		s.Fatal(err)
	}
	var turn, expires, quantity int64
	var product uuid.UUID
	want := map[string]string{}
	_, err = pgx.ForEachRow(rows, []any{&turn, &expires, &product, &quantity}, func() error {
		want["version"], want["expires"] = strconv.FormatInt(turn, 10), strconv.FormatInt(expires, 10)
		want[product.String()] = strconv.FormatInt(quantity, 10)
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	if diff := cmp.Diff(want, s.copyOf(id)); diff != "" {
		s.Errorf("copy of the cart (-rows +copy):\n%s", diff)
	}
}
