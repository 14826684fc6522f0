package payment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// Herald is a provider that tells unasked of what it did.
type Herald interface {
	// Name is the provider's in the path of its webhooks.
	Name() string
	// Account says which account of the provider it is that tells.
	Account(ctx context.Context) (Account, error)
	// Notice reads a webhook as it came. It is ErrForged if the provider has not signed it lately, ErrUnreadable if nothing can
	// be made of it. A Line without a Verdict is of something else than charges and refunds.
	Notice(header http.Header, body []byte) (Line, error)
}

// What is wrong with a webhook.
var (
	ErrForged     = errors.New("not signed by the provider, or too long ago")
	ErrUnreadable = errors.New("not a notice that can be read")
	ErrNotOurs    = errors.New("does not fit any payment of ours")
)

// Notices hears what a provider tells unasked. It needs no memory of what it was told: a payment that has heard of its charge or
// refund knows it for ever, so that a notice that comes again, or out of order, changes nothing.
type Notices struct {
	db      *postgres.DB
	heralds []Herald
	wake    func()
	log     *slog.Logger
	heard   *prometheus.CounterVec // result
	later   afterwards
	found   *prometheus.CounterVec // orphans
}

// NewNotices makes it. wake is called when a notice leaves something for the charger to do, and must not block. Accounts at which
// charges were made before still tell of them.
func NewNotices(db *postgres.DB, herald Herald, wake func(), log *slog.Logger, registry prometheus.Registerer, former ...Herald) *Notices {
	n := &Notices{db: db, heralds: append([]Herald{herald}, former...), wake: wake, log: log, heard: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "holdfast_payment_notices_total", Help: "Webhooks of the payment provider, by what came of them.",
	}, []string{"result"})}
	n.later = newAfterwards(db, wake, nil, log, registry)
	n.found = countOrphans(registry)
	registry.MustRegister(n.heard)
	return n
}

// from hears one provider alone, at whichever of its accounts; nil if there is none of that name.
func (n *Notices) from(name string) *Notices {
	one := *n
	one.heralds = nil
	for _, h := range n.heralds {
		if h.Name() == name {
			one.heralds = append(one.heralds, h)
		}
	}
	if one.heralds == nil {
		return nil
	}
	return &one
}

// read gives the line that a webhook tells, and whose it is: of whoever has signed it.
func (n *Notices) read(ctx context.Context, header http.Header, body []byte) (line Line, err error) {
	for _, h := range n.heralds {
		if line, err = h.Notice(header, body); errors.Is(err, ErrForged) {
			continue
		}
		if err == nil {
			line.Account, err = h.Account(ctx)
		}
		return line, err
	}
	return line, err
}

// Hear takes one webhook. An error that is none of the above means that it is to be told again.
func (n *Notices) Hear(ctx context.Context, header http.Header, body []byte) error {
	line, err := n.read(ctx, header, body)
	switch {
	case errors.Is(err, ErrForged), errors.Is(err, ErrUnreadable):
		n.heard.WithLabelValues("refused").Inc()
		return err
	case err != nil:
		n.heard.WithLabelValues("failed").Inc()
		return fault.New(fault.Unavailable, "The provider does not say which account it is; tell it again later.").Because(err)
	}
	result, err := n.take(ctx, line)
	if err != nil {
		n.heard.WithLabelValues("failed").Inc()
		return err
	}
	n.heard.WithLabelValues(result).Inc()
	if result == "not ours" {
		n.log.WarnContext(ctx, "the provider tells of money that does not fit any payment", "id", line.ID, "key", line.Key, "order_id", line.OrderID,
			"verdict", line.Verdict, "amount_minor", line.AmountMinor, "currency", line.Currency)
		return ErrNotOurs
	}
	return nil
}

// take looks first: most notices tell what the provider's answer has told already, and cost nothing more.
func (n *Notices) take(ctx context.Context, line Line) (result string, err error) {
	if line.Verdict == "" {
		return "of no interest", nil
	}
	if line.isLater() {
		return n.later.hear(ctx, line)
	}
	order, err := uuid.Parse(line.OrderID)
	if err == nil && line.Verdict == Absent {
		return n.ask(ctx, order, line)
	}
	payments, err := findAll(ctx, n.db, ordersOf([]Line{line}))
	if err != nil {
		return "", err
	}
	sense, found := sortLine(payments, line)
	switch {
	case sense == known, line.Verdict == GivenBack && line.Key == orphanKey(line.ChargeID):
		return "known", nil
	case sense == news:
		return "adopted", n.adopt(ctx, order, line)
	case found == "":
		return "not ours", nil
	}
	return n.keep(ctx, line, found)
}

// keep writes an orphan down at once, as the hunt would when it comes to it.
func (n *Notices) keep(ctx context.Context, line Line, found string) (string, error) {
	fresh, err := keepOrphans(ctx, n.db, line.Account, []orphan{{line, found, found == "stray"}}, func(*pgx.Batch) {})
	for _, o := range fresh {
		o.tell(ctx, n.log, n.found)
	}
	if err != nil || found == "stray" {
		return "stray", err
	}
	return "not ours", nil
}

// ask has the charger ask the provider now. An attempt that has failed is no end: the charge could be tried again there, until whoever
// asks has closed it.
func (n *Notices) ask(ctx context.Context, order uuid.UUID, line Line) (string, error) {
	done, err := n.db.Exec(ctx, `
		UPDATE payment.payments SET due_at = now()
		WHERE order_id = $1 AND charge_key = $2 AND (provider, account) = ($3, $4) AND state IN ('PENDING', 'UNKNOWN') AND attempted_at IS NOT NULL`,
		order, line.Key, line.Account.Provider, line.Account.ID)
	if err != nil {
		return "", fmt.Errorf("have the provider asked about order %s: %w", order, err)
	}
	if done.RowsAffected() > 0 {
		n.wake()
	}
	return "asked", nil
}

func (n *Notices) adopt(ctx context.Context, order uuid.UUID, line Line) error {
	adopted, again, err := adopt(ctx, n.db, map[uuid.UUID]Line{order: line})
	if err != nil {
		return err
	}
	if adopted > 0 {
		n.log.InfoContext(ctx, "the provider told the outcome of a payment", "order_id", order, "verdict", line.Verdict, "id", line.ID)
	}
	if again {
		n.wake()
	}
	return nil
}
