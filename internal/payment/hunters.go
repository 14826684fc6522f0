package payment

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// Hunters compare the books of several accounts with ours, each with its own mark: the one that charges, and former ones.
type Hunters struct {
	db  *postgres.DB
	all []*Hunter
}

// NewHunters makes them.
func NewHunters(db *postgres.DB, books []Books, wake func(), o HunterOptions) *Hunters {
	h := &Hunters{db: db}
	for _, b := range books {
		h.all = append(h.all, NewHunter(db, b, wake, o))
	}
	return h
}

// Run hunts until ctx ends. One instance does it at a time.
func (h *Hunters) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, one := range h.all {
		running.Go(func() { _ = one.Run(ctx) }) // never fails: it logs and goes on
	}
	running.Wait()
	return nil
}

// HuntStatus is what came of comparing books, for operators.
type HuntStatus struct {
	RanAt    *time.Time `json:"ran_at,omitempty"`             // when the list that was read least lately was last read to its end; absent: never
	Open     int64      `json:"open" validate:"required"`     // money that only one side knows of, and that was not given back or settled
	Refunded int64      `json:"refunded" validate:"required"` // charges that nobody wanted, given back
} //	@name	OrphanHunt

// Status counts what was found, at whatever account.
func (h *Hunters) Status(ctx context.Context, of []AccountStatus) (s HuntStatus, err error) {
	var accounts []Account
	for _, a := range of {
		if !a.Unattended() {
			accounts = append(accounts, Account{a.Provider, a.Account})
		}
	}
	providers, ids := columnsOf(accounts)
	err = h.db.QueryRow(ctx, `
		SELECT (SELECT min(h.ran_at) FROM payment.hunts h JOIN unnest($1::text[], $2::text[]) AS a(provider, account) USING (provider, account)),
		       count(*) FILTER (WHERE refund_id IS NULL AND settled_at IS NULL), count(refund_id)
		FROM payment.orphans`, providers, ids).Scan(&s.RanAt, &s.Open, &s.Refunded)
	if err != nil {
		return s, fmt.Errorf("status of the hunt: %w", err)
	}
	return s, nil
}

// counted registers a counter, or gives the one that another account's hunter has registered.
func counted(registry prometheus.Registerer, o prometheus.CounterOpts, label string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(o, []string{label})
	var there prometheus.AlreadyRegisteredError
	if err := registry.Register(c); errors.As(err, &there) {
		return there.ExistingCollector.(*prometheus.CounterVec)
	} else if err != nil {
		panic(err) // like MustRegister: two metrics of one name and other labels
	}
	return c
}
