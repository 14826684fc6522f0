// Package lease elects who does what only one instance may do: a row in shared.leases with a holder, a term that grows
// with every change of holder, and an end on Postgres' clock. A leader that was frozen or cut off finds its term over, and
// Fence makes whatever it still writes fail.
package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/run"
)

// DefaultTTL is how long a lease lasts that is not renewed, and so how long the work stands still after its leader died.
const DefaultTTL = 6 * time.Second

// ErrOver says that the term has ended: somebody else holds the lease, or nobody.
var ErrOver = errors.New("the lease's term is over")

// Term is one holder's time with one lease.
type Term struct {
	Name   string // of the lease
	Holder string
	Number int64 // grows by one with every change of holder
}

// Lease is one contender for leases. It may run several of them at once.
type Lease struct {
	db     *postgres.DB
	log    *slog.Logger
	holder string
	ttl    time.Duration
}

// New makes a contender. holder names it for people and must differ between instances; a ttl of 0 means DefaultTTL.
func New(db *postgres.DB, log *slog.Logger, holder string, ttl time.Duration) *Lease {
	if ttl <= 0 {
		ttl = DefaultTTL
	}
	return &Lease{db: db, log: log, holder: holder, ttl: ttl}
}

// Holder is the name of this contender.
func (l *Lease) Holder() string { return l.holder }

// Run does work whenever this contender holds the lease, until ctx ends. The context that work is given ends as soon as
// the lease cannot be shown to be held any more, and carries a fence: whatever the work writes under it by postgres.DB's InTx
// and Exec is refused with ErrOver once the term is over. Work that returns gives the lease back and contends again.
func (l *Lease) Run(ctx context.Context, name string, work func(context.Context, Term) error) error {
	for {
		term, until, err := l.campaign(ctx, name)
		if err != nil {
			return nil //nolint:nilerr // campaign fails only when ctx has ended
		}
		log := l.log.With("lease", name, "term", term.Number)
		log.Info("lease won")
		err = l.hold(ctx, term, until, work)
		if ctx.Err() != nil {
			return nil
		}
		log.Warn("lease given up", "error", err)
		if run.Pause(ctx, l.ttl/3) != nil {
			return nil
		}
	}
}

// campaign waits until the lease is free and takes it. until is when it ends unless it is renewed, on the local clock.
func (l *Lease) campaign(ctx context.Context, name string) (term Term, until time.Time, err error) {
	failing := false
	for {
		asked := time.Now()
		term, err := l.take(ctx, name)
		if err == nil {
			return term, asked.Add(l.ttl), nil
		}
		if ctx.Err() != nil {
			return Term{}, until, ctx.Err()
		}
		if outage := !errors.Is(err, pgx.ErrNoRows); outage != failing {
			failing = outage
			if failing {
				l.log.Warn("lease cannot be asked for", "lease", name, "error", err)
			}
		}
		if run.Pause(ctx, l.ttl/6+rand.N(l.ttl/6)) != nil {
			return Term{}, until, ctx.Err()
		}
	}
}

// take takes a lease that has run out. One that seems to last for very long was taken before Postgres' clock was put back.
func (l *Lease) take(ctx context.Context, name string) (Term, error) {
	ctx, cancel := context.WithTimeout(ctx, l.ttl/2)
	defer cancel()
	term := Term{Name: name, Holder: l.holder}
	err := l.db.QueryRow(ctx, `
		INSERT INTO shared.leases AS l (name, holder, term, expires_at) VALUES ($1, $2, 1, clock_timestamp() + $3)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, term = l.term + 1, expires_at = excluded.expires_at
		WHERE l.expires_at <= clock_timestamp() OR l.expires_at > clock_timestamp() + $3 * 10
		RETURNING term`, name, l.holder, l.ttl).Scan(&term.Number)
	if err != nil {
		return Term{}, fmt.Errorf("take lease %s: %w", name, err)
	}
	return term, nil
}

// hold does the work while the lease is renewed, and gives the lease back when the work has returned.
func (l *Lease) hold(ctx context.Context, term Term, until time.Time, work func(context.Context, Term) error) error {
	working, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		l.renew(working, term, until, stop)
	}()
	err := protect(WithTerm(working, term), term, work)
	cause := context.Cause(working)
	stop(nil)
	<-renewed
	l.giveBack(ctx, term)
	if errors.Is(cause, ErrOver) {
		return cause
	}
	return err
}

// protect turns a panic of the work into its error, so that one leader's defect does not end the process.
func protect(ctx context.Context, term Term, work func(context.Context, Term) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("lease %s: work panicked: %v", term.Name, p)
		}
	}()
	return work(ctx, term)
}

// renew prolongs the lease at a third of its time and stops the work when too little of it is left. The local clock runs
// from before the question was sent, so it is never later than Postgres'.
func (l *Lease) renew(ctx context.Context, term Term, until time.Time, stop context.CancelCauseFunc) {
	wait := time.Until(until) - l.ttl*2/3
	for run.Pause(ctx, wait) == nil {
		asked := time.Now()
		err := l.prolong(ctx, term)
		switch {
		case err == nil:
			until, wait = asked.Add(l.ttl), l.ttl/3
		case errors.Is(err, ErrOver):
			stop(fmt.Errorf("renew lease %s: %w", term.Name, err))
			return
		case time.Until(until) < l.ttl/3:
			stop(fmt.Errorf("renew lease %s: %w: %w", term.Name, ErrOver, err))
			return
		default:
			wait = l.ttl / 12
		}
	}
}

func (l *Lease) prolong(ctx context.Context, term Term) error {
	ctx, cancel := context.WithTimeout(ctx, l.ttl/6)
	defer cancel()
	done, err := l.db.Exec(ctx, `
		UPDATE shared.leases SET expires_at = clock_timestamp() + $4 WHERE name = $1 AND holder = $2 AND term = $3`,
		term.Name, term.Holder, term.Number, l.ttl)
	if err == nil && done.RowsAffected() == 0 {
		return ErrOver
	}
	return err
}

// giveBack ends the term at once, so that the next holder need not wait for it. When it fails the lease just runs out.
func (l *Lease) giveBack(ctx context.Context, term Term) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.ttl/6)
	defer cancel()
	_, err := l.db.Exec(ctx, `
		UPDATE shared.leases SET expires_at = clock_timestamp() WHERE name = $1 AND holder = $2 AND term = $3`,
		term.Name, term.Holder, term.Number)
	if err != nil {
		l.log.Warn("lease not given back", "lease", term.Name, "error", err)
	}
}

// WithTerm gives a context under which postgres.DB writes only while the term lasts.
func WithTerm(ctx context.Context, term Term) context.Context {
	return postgres.WithFence(ctx, func(ctx context.Context, tx pgx.Tx) error { return Fence(ctx, tx, term) })
}

// Fence makes the transaction fail with ErrOver when the term is over, and keeps the term from being taken over until the
// transaction has ended; renewals go on meanwhile. Call it before the leader's writes.
func Fence(ctx context.Context, tx pgx.Tx, term Term) error {
	var held bool
	err := tx.QueryRow(ctx, `
		SELECT true FROM shared.leases WHERE name = $1 AND holder = $2 AND term = $3 FOR KEY SHARE`,
		term.Name, term.Holder, term.Number).Scan(&held)
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("fence %s: %w", term.Name, ErrOver)
	}
	if err != nil {
		return fmt.Errorf("fence %s: %w", term.Name, err)
	}
	return nil
}
