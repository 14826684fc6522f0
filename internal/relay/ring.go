package relay

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/run"
)

// debounce gathers the rings of many commits into one notification.
const debounce = 5 * time.Millisecond

// ringing passes rings on: straight to a leader in this process, else as one notification on a connection of its own, after
// the commits that it tells of.
func (r *Relay) ringing(ctx context.Context) error {
	for ctx.Err() == nil {
		conn, err := r.dedicated(ctx)
		if err == nil {
			err = r.ringOn(ctx, conn)
			closeConn(ctx, conn)
		}
		if ctx.Err() == nil {
			r.Log.Warn("bell lost, the poll interval goes on", "error", err)
			_ = run.Pause(ctx, time.Second)
		}
	}
	return ctx.Err()
}

func (r *Relay) ringOn(ctx context.Context, conn *pgx.Conn) error {
	for {
		select {
		case <-r.ring:
		case <-ctx.Done():
			return ctx.Err()
		}
		if run.Pause(ctx, debounce) != nil {
			return ctx.Err()
		}
		select {
		case <-r.ring: // those that came meanwhile are told of as well
		default:
		}
		if r.leading.Load() {
			poke(r.wake)
			continue
		}
		if _, err := conn.Exec(ctx, `SELECT pg_notify($1, '')`, r.slot); err != nil {
			poke(r.ring)
			return err
		}
	}
}

// listening wakes the poller for the notifications of other instances.
func (r *Relay) listening(ctx context.Context) error {
	for ctx.Err() == nil {
		conn, err := r.dedicated(ctx)
		if err == nil {
			err = r.listenOn(ctx, conn)
			closeConn(ctx, conn)
		}
		if ctx.Err() == nil {
			r.Log.Warn("notifications lost, the poll interval goes on", "error", err)
			_ = run.Pause(ctx, time.Second)
		}
	}
	return ctx.Err()
}

func (r *Relay) listenOn(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, "LISTEN "+pgx.Identifier{r.slot}.Sanitize()); err != nil {
		return err
	}
	for {
		poke(r.wake) // at first for what was missed before
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return err
		}
	}
}

// dedicated opens a connection outside the pool, with its settings, and past any pooler: those lose notifications.
func (r *Relay) dedicated(ctx context.Context) (*pgx.Conn, error) {
	return r.DB.Connect(ctx, nil)
}

func closeConn(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}
