package cart

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/lua"
)

// never is a turn that no cart reaches: a copy that is dropped at it does not come back.
const never = 1<<53 - 1

// copies keeps a copy of each open cart that has lines in Redis, at the version of the cart's turn.
type copies struct {
	scripts *redisx.Scripts
	keys    redisx.Keys
}

// copy brings a cart's copy to where a change has brought its rows. What fails is left for the reconciler.
func (s *Service) copy(ctx context.Context, ch Change) {
	if err := s.copies.follow(ctx, ch); err != nil {
		s.doubt()
		s.log.WarnContext(ctx, "copy of a cart left to the reconciler", "cart", ch.After.ID, "error", err)
	}
}

// follow sends what has changed, or all of the cart where the copy is not of the turn before.
func (k copies) follow(ctx context.Context, ch Change) error {
	if len(ch.After.Lines) == 0 {
		return k.drop(ctx, ch.After.Turn, ch.After.ID)
	}
	if ch.Before.Turn > 0 && ch.After.Turn == ch.Before.Turn+1 {
		put, gone := ch.written()
		answer, err := k.put(ctx, "lines", ch.After, put, gone)
		if err != nil || answer != missesTurn {
			return err
		}
	}
	_, err := k.put(ctx, "whole", ch.After, ch.After.Lines, nil)
	return err
}

// missesTurn is what cart_put answers when the copy is not of the turn before.
const missesTurn = 2

func (k copies) put(ctx context.Context, mode string, c Cart, lines []Line, gone []uuid.UUID) (int64, error) {
	args := make([]any, 0, 3+2*len(lines)+2*len(gone))
	args = append(args, mode, c.Turn, c.ExpiresAt.UnixMilli())
	for _, l := range lines {
		args = append(args, l.ProductID.String(), l.Quantity)
	}
	for _, id := range gone {
		args = append(args, id.String(), 0)
	}
	answer, err := k.scripts.One(ctx, redisx.Call{Script: lua.CartPut, Keys: []string{k.keys.Cart(c.ID)}, Args: args})
	if err != nil {
		return 0, fmt.Errorf("put copy of cart %s: %w", c.ID, err)
	}
	code, _ := answer.(int64)
	return code, nil
}

// drop deletes copies that are of that turn or an earlier one.
func (k copies) drop(ctx context.Context, turn int64, cartIDs ...uuid.UUID) error {
	calls := make([]redisx.Call, len(cartIDs))
	for i, id := range cartIDs {
		calls[i] = redisx.Call{Script: lua.CartDrop, Keys: []string{k.keys.Cart(id)}, Args: []any{turn}}
	}
	replies, err := k.scripts.Run(ctx, calls)
	for i := 0; err == nil && i < len(replies); i++ {
		err = replies[i].Err
	}
	if err != nil {
		return fmt.Errorf("drop copies of %d carts: %w", len(cartIDs), err)
	}
	return nil
}
