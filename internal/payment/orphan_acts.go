package payment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/fault"
)

// ShownOrphanAct is something that an operator has done about an orphan.
type ShownOrphanAct struct {
	ID     uuid.UUID `json:"id" validate:"required" format:"uuid"`
	Act    string    `json:"act" validate:"required" enums:"refund,settle"`
	By     string    `json:"by" validate:"required"` // whose token it was
	Reason string    `json:"reason,omitempty"`
	Result string    `json:"result" validate:"required"`
	At     time.Time `json:"at" validate:"required" format:"date-time"`
} //	@name	OrphanAct

func (a *ShownOrphanAct) inUTC() { a.At = a.At.UTC() }

const orphanColumns = `provider_id, provider, account, kind, found, order_id, key, amount_minor, currency, found_at, due_at, attempted_at, tries,
	error_answers, cardinality(failed_refunds), last_error, coalesce(refund_id, ''), refunded_at, settled_at`

// ShowOrphan gives one, with what operators have done about it.
func (c *Charger) ShowOrphan(ctx context.Context, id string) (o Orphan, err error) {
	rows, err := c.db.Query(ctx, `SELECT `+orphanColumns+` FROM payment.orphans WHERE provider_id = $1`, id)
	list, err := collect[Orphan](rows, err, "orphans")
	if err != nil {
		return o, err
	}
	if len(list) == 0 {
		return o, fault.New(fault.NotFound, "No charge or refund of that id is among those that only one side knows of.")
	}
	o = list[0]
	rows, err = c.db.Query(ctx, `SELECT id, act, by, reason, result, at FROM payment.orphan_acts WHERE provider_id = $1 ORDER BY at DESC, id DESC LIMIT 100`, id)
	o.Acts, err = collect[ShownOrphanAct](rows, err, "acts")
	return o, err
}

// open says why nothing can be done about an orphan any more.
func (o Orphan) open() error {
	switch {
	case o.RefundID != "":
		return fault.New(fault.Conflict, "It was given back already, as %s.", o.RefundID)
	case o.SettledAt != nil:
		return fault.New(fault.Conflict, "Somebody has seen to it already.")
	}
	return nil
}

const actOnOrphanSQL = `INSERT INTO payment.orphan_acts (id, provider_id, act, by, reason, result) VALUES ($1, $2, $3, $4, $5, $6)`

// SettleOrphan notes that a person has seen to it by another way than a refund of the provider's. What was settled already stays so.
func (c *Charger) SettleOrphan(ctx context.Context, id, by, reason string) (Orphan, error) {
	o, err := c.ShowOrphan(ctx, id)
	if err != nil || o.SettledAt != nil {
		return o, err
	}
	err = c.db.InTx(ctx, func(tx pgx.Tx) error {
		done, err := tx.Exec(ctx, `
			UPDATE payment.orphans SET settled_at = now(), due_at = NULL WHERE provider_id = $1 AND settled_at IS NULL AND refund_id IS NULL`, id)
		if err != nil || done.RowsAffected() == 0 {
			return err
		}
		_, err = tx.Exec(ctx, actOnOrphanSQL, clock.NewID(), id, "settle", by, reason, "settled")
		return err
	})
	if err != nil {
		return o, fmt.Errorf("settle orphan %s: %w", id, err)
	}
	if o, err = c.ShowOrphan(ctx, id); err == nil && o.SettledAt == nil {
		err = o.open()
	}
	c.options.Log.WarnContext(ctx, "an operator has settled an orphan", "id", id, "by", by, "reason", reason)
	return o, err
}

// RefundOrphan has the provider give a charge back now, also one that has failed too often to be asked for by itself. When it fails, the
// hunt goes on asking.
func (c *Charger) RefundOrphan(ctx context.Context, id, by string) (Orphan, error) {
	o, err := c.ShowOrphan(ctx, id)
	if err == nil {
		err = o.open()
	}
	if err == nil && o.Kind != "charge" {
		err = fault.New(fault.Conflict, "It is a %s, and only a charge can be given back.", o.Kind)
	}
	if err == nil && o.Found == "missing" {
		err = fault.New(fault.Conflict, "The provider does not know it, so it cannot give it back.")
	}
	if err != nil {
		return o, err
	}
	account := Account{o.Provider, o.Account}
	at := c.at(ctx, account)
	if at == nil {
		return o, notConfigured(account)
	}
	in := Intent{
		ChargeID: id, RefundKey: orphanKey(id), ErrorAnswers: o.ErrorAnswers, Insist: true,
		Terms: event.Terms{TotalMinor: o.AmountMinor, Currency: o.Currency},
	}
	if order, err := uuid.Parse(o.OrderID); err == nil {
		in.OrderID = order
	}
	if err := c.claimOrphan(ctx, id); err != nil {
		return o, err
	}
	outcome, asked := at.provider.Refund(ctx, in)
	if err := c.noteOrphan(context.WithoutCancel(ctx), id, by, outcome, asked); err != nil {
		return o, err
	}
	c.options.Log.WarnContext(ctx, "an operator has had an orphan given back", "id", id, "by", by, "refund_id", outcome.RefundID, "err", asked)
	if asked != nil {
		return o, fault.New(fault.Unavailable, "The provider has not given it back: %s", lastError(asked)).Because(asked)
	}
	return c.ShowOrphan(ctx, id)
}

// claimOrphan keeps the hunt from asking for it meanwhile, and has it go on where this is not lived to the end.
func (c *Charger) claimOrphan(ctx context.Context, id string) error {
	done, err := c.db.Exec(ctx, `
		UPDATE payment.orphans SET attempted_at = coalesce(attempted_at, now()), tries = tries + 1, due_at = now() + $2 * interval '1 millisecond'
		WHERE provider_id = $1 AND refund_id IS NULL AND settled_at IS NULL`, id, orphanAgain.Milliseconds())
	switch {
	case err != nil:
		return fmt.Errorf("claim orphan %s: %w", id, err)
	case done.RowsAffected() == 0:
		return fault.New(fault.Conflict, "Somebody has seen to it just now.")
	}
	return nil
}

// noteOrphan writes down what came of asking for an orphan's refund, and who has asked.
func (c *Charger) noteOrphan(ctx context.Context, id, by string, outcome Outcome, asked error) error {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	err := c.db.InTx(ctx, func(tx pgx.Tx) error {
		result := "given back as " + outcome.RefundID
		var err error
		if asked != nil {
			result = lastError(asked)
			_, err = tx.Exec(ctx, `UPDATE payment.orphans SET last_error = $2, error_answers = error_answers + $3 WHERE provider_id = $1`,
				id, result, map[bool]int{true: 1}[errors.Is(asked, ErrAnswered)])
		} else {
			_, err = tx.Exec(ctx, refundedSQL, []string{id}, []string{outcome.RefundID})
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, actOnOrphanSQL, clock.NewID(), id, "refund", by, "", result)
		return err
	})
	if err != nil {
		return fmt.Errorf("note what came of giving orphan %s back: %w", id, err)
	}
	return nil
}
