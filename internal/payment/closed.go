package payment

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

// Money was asked for at an account if something is under way there, was moved there, or its books were compared.
const knownAccountSQL = `
	SELECT (SELECT order_id FROM payment.payments WHERE provider = $1 AND account = $2 AND due_at IS NOT NULL ORDER BY due_at LIMIT 1) IS NOT NULL
	    OR (SELECT provider_id FROM payment.transfers WHERE provider = $1 AND account = $2 ORDER BY at LIMIT 1) IS NOT NULL
	    OR EXISTS (SELECT FROM payment.hunts WHERE provider = $1 AND account = $2)`

// CloseAccount notes that an account is gone for good, so that the auditor does not wait for its books and the archive not for their
// being compared. It ends no payment: those are settled. Of an account that was closed already the first word stays.
func (c *Charger) CloseAccount(ctx context.Context, a Account, by, reason string) (AccountStatus, error) {
	if slices.Contains(c.known(), a) {
		return AccountStatus{}, fault.New(fault.Conflict, "The %s is configured here. Take it out of the configuration first.", a)
	}
	var known bool
	if err := c.db.QueryRow(ctx, knownAccountSQL, a.Provider, a.ID).Scan(&known); err != nil {
		return AccountStatus{}, fmt.Errorf("look for the %s: %w", a, err)
	}
	if !known {
		return AccountStatus{}, fault.New(fault.NotFound, "Nothing was paid at such an account.")
	}
	_, err := c.db.Exec(ctx, `
		INSERT INTO payment.closed_accounts (provider, account, by, reason) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, a.Provider, a.ID, by, reason)
	if err != nil {
		return AccountStatus{}, fmt.Errorf("close the %s: %w", a, err)
	}
	c.options.Log.WarnContext(ctx, "an operator has closed an account", "provider", a.Provider, "account", a.ID, "by", by, "reason", reason)
	all, err := c.accounts(ctx)
	if err != nil {
		return AccountStatus{}, fmt.Errorf("show the %s: %w", a, err)
	}
	i := slices.IndexFunc(all, func(s AccountStatus) bool { return s.Provider == a.Provider && s.Account == a.ID })
	return all[i], nil
}

// closeAccountRequest names an account as the status and the audit do.
type closeAccountRequest struct {
	Provider string `json:"provider" validate:"required,max=255,plain" example:"sandbox"`
	Account  string `json:"account" validate:"required,max=255,plain"` // the provider's own word for it
	Reason   string `json:"reason" validate:"required,max=500,plain" example:"the contract ended in March"`
} //	@name	ClosePaymentAccount

// closeAccount notes that an account is gone.
//
//	@Summary		Note that an account of a provider is gone for good
//	@Description	One that is not configured. The audit then judges what was paid there by our books alone, lists it with its sums, and does not call it skipped. It ends no payment: settle those that are under way there. Who did so and why is kept for ever. 404 if nothing was paid at such an account.
//	@Tags			admin
//	@Accept			json
//	@Produce		json
//	@Security		Bearer
//	@Param			request	body		closeAccountRequest	true	"which, and why"
//	@Success		200		{object}	AccountStatus
//	@Failure		400,401,403,404,409,413,415,422,503	{object}	web.Problem
//	@Router			/admin/payment-accounts/close [post]
func (h *HTTP) closeAccount(c echo.Context) error {
	var request closeAccountRequest
	if err := web.Decode(c, &request); err != nil {
		return err
	}
	s, err := h.charger.CloseAccount(c.Request().Context(), Account{request.Provider, request.Account}, web.Customer(c), request.Reason)
	if err != nil {
		return err
	}
	return web.JSON(c, http.StatusOK, s)
}
