package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/relay"
)

// selfCheck looks whether the servers are set so that promises can be kept. It refuses to start where a committed order could
// be lost or facts could not leave, and warns of what only a power cut or a full memory would show.
func selfCheck(ctx context.Context, db *postgres.DB, client redis.UniversalClient, mode relay.Mode, log *slog.Logger) error {
	var walLevel, commit, fsync, pages, keep string
	err := db.QueryRow(ctx, `SELECT current_setting('wal_level'), current_setting('synchronous_commit'), current_setting('fsync'),
		current_setting('full_page_writes'), current_setting('max_slot_wal_keep_size')`).Scan(&walLevel, &commit, &fsync, &pages, &keep)
	if err != nil {
		return fmt.Errorf("read the settings of Postgres: %w", err)
	}
	if mode == relay.CDC && walLevel != "logical" {
		return fmt.Errorf("the outbox mode cdc needs Postgres with wal_level = logical, and it has %s (or choose --outbox-mode=polling)", walLevel)
	}
	if commit == "off" {
		return errors.New("postgres runs with synchronous_commit = off: an order that was answered could be lost")
	}
	if fsync == "off" || pages == "off" {
		log.WarnContext(ctx, "Postgres would not survive a power cut", "fsync", fsync, "full_page_writes", pages)
	}
	if keep == "-1" {
		log.WarnContext(ctx, "a reader of the log that stays away could fill the disk: set max_slot_wal_keep_size")
	}
	checkRedis(ctx, client, log)
	return nil
}

// checkRedis looks at every master: one with other settings than the rest forgets the holds of its own products only. A Redis
// that is away, or that does not tell, is looked at by nobody.
func checkRedis(ctx context.Context, client redis.UniversalClient, log *slog.Logger) {
	_ = redisx.EachMaster(ctx, client, func(ctx context.Context, node *redis.Client) error {
		addr := slog.String("addr", node.Options().Addr)
		if policy, err := node.ConfigGet(ctx, "maxmemory-policy").Result(); err == nil && policy["maxmemory-policy"] != "noeviction" {
			log.WarnContext(ctx, "Redis may forget holds when its memory is full: set maxmemory-policy to noeviction", addr, "policy", policy["maxmemory-policy"])
		}
		return nil
	})
}
