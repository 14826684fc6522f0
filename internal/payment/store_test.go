package payment_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/payment"
)

// The table itself refuses what must not be, whoever writes it.
func TestWhatTheTableRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	service, _, _ := w.charger(nil)
	paid, refunded, other := buy("pm_ok"), buy("pm_ok"), buy("pm_ok")
	w.hear(service.Charge, paid.fact(event.OrderCreated), refunded.fact(event.OrderCreated), other.fact(event.OrderCreated))
	w.rest()
	w.hear(service.GiveBack, refunded.fact(event.OrderEnding))
	w.reach(refunded.id, payment.Refunded)
	for _, c := range []struct {
		order     uuid.UUID
		change    string
		violation string
	}{
		{paid.id, "amount_minor = -1, charge_id = NULL", "payments_amount_minor_check"},
		{paid.id, "currency = 'pounds'", "terms_are_whole"},
		{paid.id, "payment_method = ''", "terms_are_whole"},
		{paid.id, "state = 'PAID', charge_id = NULL", "payments_state_check"},
		{paid.id, "charge_id = NULL", "money_has_a_charge"},
		{paid.id, "charge_key = 'charge-2'", "keys_of_the_order"},
		{paid.id, "refund_id = 're_1'", "refunded_has_a_refund"},
		{paid.id, "state = 'PENDING', charge_id = NULL", "due_until_settled"},
		{paid.id, "undo_cause = order_id", "kept_without_one"},
		{paid.id, "attempted_at = NULL", "attempted_first"},
		{paid.id, "leased_until = now()", "leased_while_due"},
		{paid.id, fmt.Sprintf("charge_id = (SELECT charge_id FROM payment.payments WHERE order_id = '%s')", other.id), "payments_by_charge"},
		{paid.id, "state = 'DECLINED', charge_id = NULL", "declined_says_why"},
		{refunded.id, "state = 'REFUNDING', refund_id = NULL", "due_until_settled"},
		{refunded.id, "undo_cause = NULL", "undone_for_a_cause"},
		{refunded.id, "refund_attempted_at = NULL", "refund_attempted_first"},
		{refunded.id, "charge_id = NULL, amount_minor = 0", "nothing_is_not_refunded"},
	} {
		_, err := w.env.DB.Exec(t.Context(), "UPDATE payment.payments SET "+c.change+" WHERE order_id = $1", c.order)
		if got := constraint(err); got != c.violation {
			t.Errorf("%s: violates %q (%v), want %q", c.change, got, err, c.violation)
		}
	}
}

func constraint(err error) string {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return refused.ConstraintName
	}
	return ""
}
