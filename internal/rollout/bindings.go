package rollout

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// nobody stands for the module of keys that nobody needs to hear from a queue.
const nobody = ""

// Record writes down what this version binds. It comes before the version's first fact. RabbitMQ keeps bindings in the same way,
// until their queue is made anew.
func (r *Rollout) Record(ctx context.Context) error {
	var modules, keys []string
	for queue, bound := range r.Topology.Queues {
		for _, key := range bound {
			modules, keys = append(modules, r.Topology.Module(queue)), append(keys, key)
		}
	}
	for _, key := range r.Topology.Quiet {
		modules, keys = append(modules, nobody), append(keys, key)
	}
	_, err := r.DB.Exec(ctx, `
		INSERT INTO shared.bindings (module, key) SELECT DISTINCT * FROM unnest($1::text[], $2::text[]) ORDER BY 1, 2
		ON CONFLICT DO NOTHING`, modules, keys)
	if err != nil {
		return fmt.Errorf("write down what this version binds: %w", err)
	}
	return nil
}

// Bound gives the modules that hear a routing key in any version, and whether any version knows the key at all.
func (r *Rollout) Bound(ctx context.Context, key string) (modules []string, known bool, err error) {
	rows, err := r.DB.Query(ctx, `SELECT module FROM shared.bindings WHERE key = $1`, key)
	if err != nil {
		return nil, false, fmt.Errorf("look for who hears %s: %w", key, err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, false, fmt.Errorf("look for who hears %s: %w", key, err)
	}
	known = len(all) > 0
	return slices.DeleteFunc(all, func(module string) bool { return module == nobody }), known, nil
}

// Foreign gives the routing keys that a module hears in other versions only.
func (r *Rollout) Foreign(ctx context.Context, module string) ([]string, error) {
	rows, err := r.DB.Query(ctx, `SELECT key FROM shared.bindings WHERE module = $1 AND key <> ALL ($2::text[]) ORDER BY key`, module, r.Topology.Keys(module))
	if err != nil {
		return nil, fmt.Errorf("look for what other versions bind: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for what other versions bind: %w", err)
	}
	return keys, nil
}

// Unbind forgets what a module hears in other versions only, once its queue is not bound to it any more.
func (r *Rollout) Unbind(ctx context.Context, module string) error {
	_, err := r.DB.Exec(ctx, `DELETE FROM shared.bindings WHERE module = $1 AND key <> ALL ($2::text[])`, module, r.Topology.Keys(module))
	if err != nil {
		return fmt.Errorf("forget what other versions bound: %w", err)
	}
	return nil
}
