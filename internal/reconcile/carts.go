package reconcile

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/lua"
)

// cart is what the rows of a cart say of its copy in Redis.
type cart struct {
	turn    int64            // the copy's version
	expires int64            // ms
	lines   map[string]int64 // quantity by product; none: there ought to be no copy
	live    bool             // false: the copy of an expired cart is not brought back, but a wrong one is set right
	young   bool             // changed within the cooldown
}

// compareCarts walks over the carts that changed in the window, or over all that are open.
func (p *pass) compareCarts(ctx context.Context) error {
	if p.window.all {
		return p.compareOpenCarts(ctx)
	}
	return p.changedCarts(ctx, func(ids []uuid.UUID) error { return p.compareCartPage(ctx, ids) })
}

// changedCarts hands out the carts that changed in the window in pages.
func (p *pass) changedCarts(ctx context.Context, do func(ids []uuid.UUID) error) error {
	for at, last := p.window.from, uuid.Max; ; {
		rows, err := p.Postgres.Query(ctx, `
			SELECT id, changed_at FROM cart.carts WHERE (changed_at, id) > ($1, $2) AND changed_at <= $3 ORDER BY changed_at, id LIMIT $4`,
			at, last, p.window.to, page)
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (uuid.UUID, error) {
			err := row.Scan(&last, &at)
			return last, err
		})
		if err != nil || len(ids) == 0 {
			return err
		}
		if err := do(ids); err != nil {
			return err
		}
	}
}

func (p *pass) compareOpenCarts(ctx context.Context) error {
	return walk(ctx, func(ctx context.Context, last uuid.UUID) ([]uuid.UUID, error) {
		return column(ctx, p.Postgres, `SELECT id FROM cart.carts WHERE state = 'OPEN' AND id > $1 ORDER BY id LIMIT $2`, last, portion)
	}, p.compareCartPage)
}

// compareCartPage reads the copies, then the rows, and repairs what differs.
func (p *pass) compareCartPage(ctx context.Context, ids []uuid.UUID) error {
	p.compared(len(ids))
	calls := make([]redisx.Call, len(ids))
	for i, id := range ids {
		calls[i] = redisx.Command("HGETALL", p.Keys.Cart(id))
	}
	copies, err := p.Scripts.Run(ctx, calls)
	if err != nil {
		return err
	}
	rows, err := p.readCarts(ctx, ids)
	if err != nil {
		return err
	}
	var found []Difference
	var repairs []redisx.Call
	for i, id := range ids {
		c := rows[id]
		is, was := copyText(copies[i])
		ought := c.text(is != "")
		if is == ought || c.young || rows == nil {
			continue
		}
		found = append(found, Difference{Pair: pairCart, Key: "cart:{" + id.String() + "}", Redis: is, Postgres: ought})
		repairs = append(repairs, redisx.Call{Script: lua.CartRepair, Keys: []string{p.Keys.Cart(id)}, Args: c.repairArgs(was)})
	}
	return p.repairCarts(ctx, found, repairs)
}

func (p *pass) repairCarts(ctx context.Context, found []Difference, repairs []redisx.Call) error {
	replies := make([]redisx.Reply, len(repairs))
	if !p.run.DryRun {
		var err error
		if replies, err = p.Scripts.Run(ctx, repairs); err != nil {
			return err
		}
	}
	for i := range found {
		if err := replies[i].Err; err != nil {
			return fmt.Errorf("repair %s: %w", found[i].Key, err)
		}
		found[i].Action = p.action(replies[i].Value == int64(1))
	}
	return p.differ(ctx, found)
}

// text writes what the copy ought to say, in the order of copyText; there says whether there is a copy.
func (c cart) text(there bool) string {
	if len(c.lines) == 0 || !c.live && !there {
		return ""
	}
	words := []string{fmt.Sprintf("turn %d, expires %d", c.turn, c.expires)}
	for _, id := range slices.Sorted(maps.Keys(c.lines)) {
		words = append(words, id+": "+strconv.FormatInt(c.lines[id], 10))
	}
	return strings.Join(words, ", ")
}

// repairArgs are those of the script: the version that was compared, and what to write, or zeros for no copy.
func (c cart) repairArgs(was string) []any {
	if len(c.lines) == 0 {
		return []any{was, 0, 0}
	}
	args := []any{was, c.turn, c.expires}
	for id, quantity := range c.lines {
		args = append(args, id, quantity)
	}
	return args
}

// copyText writes what a copy says, and the version by which a repair knows that it has not changed. A cart that is gone
// leaves its version behind for a while, which is as good as nothing.
func copyText(r redisx.Reply) (text, version string) {
	if wrongType(r.Err) {
		return r.Err.Error(), "0"
	}
	fields := pairs(r.Value)
	if len(fields) == 0 {
		return "", "0"
	}
	version = fields["version"]
	if n, err := strconv.ParseUint(version, 10, 53); err != nil || n == 0 {
		version = "0" // what the script takes what is no version for
	}
	if fields["gone"] != "" {
		return "", version
	}
	words := []string{"turn " + fields["version"] + ", expires " + fields["expires"]}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if name != "version" && name != "expires" {
			words = append(words, name+": "+fields[name])
		}
	}
	return strings.Join(words, ", "), version
}

// pairs reads the answer to HGETALL, which is a map or a list by the protocol's version.
func pairs(v any) map[string]string {
	fields := map[string]string{}
	switch v := v.(type) {
	case map[any]any:
		for name, value := range v {
			fields[word(name)] = word(value)
		}
	case []any:
		for i := 0; i+1 < len(v); i += 2 {
			fields[word(v[i])] = word(v[i+1])
		}
	}
	return fields
}

// readCarts gives all of the carts, those that are not there too: they ought to have no copy.
func (p *pass) readCarts(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]cart, error) {
	rows, err := p.Postgres.Query(ctx, `
		SELECT i.id, coalesce(c.turn, 0), coalesce((extract(epoch FROM c.expires_at) * 1000)::bigint, 0), coalesce(c.expires_at > now(), false),
			coalesce(c.changed_at > now() - $2::interval, false), l.product_id, l.quantity
		FROM unnest($1::uuid[]) AS i(id)
		LEFT JOIN cart.carts c ON c.id = i.id
		LEFT JOIN cart.lines l ON l.cart_id = c.id AND c.state = 'OPEN'`, ids, p.Cooldown)
	if err != nil {
		return nil, fmt.Errorf("read %d carts: %w", len(ids), err)
	}
	carts := make(map[uuid.UUID]cart, len(ids))
	var id uuid.UUID
	var c cart
	var product *uuid.UUID
	var quantity *int64
	_, err = pgx.ForEachRow(rows, []any{&id, &c.turn, &c.expires, &c.live, &c.young, &product, &quantity}, func() error {
		one, seen := carts[id]
		if !seen {
			one = c
			one.lines = map[string]int64{}
			one.young = c.young || c.turn == 0 && clock.Since(madeAt(id)) < p.Cooldown
		}
		if product != nil {
			one.lines[product.String()] = *quantity
		}
		carts[id] = one
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read %d carts: %w", len(ids), err)
	}
	return carts, nil
}
