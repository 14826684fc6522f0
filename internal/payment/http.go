package payment

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

// maxNotice bounds a webhook, in bytes.
const maxNotice = 64 << 10

// HTTP is the module's part of the API.
type HTTP struct {
	notices *Notices
	charger *Charger
}

// NewHTTP makes it.
func NewHTTP(notices *Notices, charger *Charger) *HTTP { return &HTTP{notices, charger} }

// Routes adds the module's routes.
func (h *HTTP) Routes(r web.Routes) {
	r.Public.POST("/webhooks/payments/:provider", h.hear)
	h.adminRoutes(r.Admin)
}

// hear takes a webhook of the payment provider.
//
//	@Summary		What the payment provider tells unasked
//	@Description	Signed by the provider (Standard Webhooks for the sandbox, Stripe-Signature for Stripe), at most five minutes ago. Told in any order and any number of times, it comes to the same. What does not fit a payment of ours in order, amount and currency changes nothing.
//	@Tags			webhooks
//	@Accept			json
//	@Produce		json
//	@Param			provider			path	string	true	"the provider's name"	example(sandbox)
//	@Param			webhook-id			header	string	false	"the same in every repetition"
//	@Param			webhook-timestamp	header	string	false	"seconds since 1970"
//	@Param			webhook-signature	header	string	false	"v1 and the signature of id, timestamp and body"
//	@Param			Stripe-Signature	header	string	false	"t=seconds since 1970, v1=signature of time and body"
//	@Param			request				body	object	true	"as the provider writes it"
//	@Success		200
//	@Failure		400,401,413,503	{object}	web.Problem
//	@Router			/webhooks/payments/{provider} [post]
func (h *HTTP) hear(c echo.Context) error {
	body, err := web.Body(c, maxNotice)
	if err != nil {
		return err
	}
	notices := h.notices.from(c.Param("provider"))
	if notices == nil {
		return fault.New(fault.Unauthorized, "No such payment provider is known here, so its signature cannot be checked.")
	}
	switch err = notices.Hear(c.Request().Context(), c.Request().Header, body); {
	case errors.Is(err, ErrForged):
		return fault.New(fault.Unauthorized, "The signature is missing, old or not the provider's.").Because(err)
	case errors.Is(err, ErrUnreadable):
		return fault.New(fault.InvalidRequest, "This is not a notice of the provider's that can be read.").Because(err)
	case errors.Is(err, ErrNotOurs):
		return fault.New(fault.InvalidRequest, "This does not fit any payment in order, key, amount and currency.")
	case err != nil:
		return err
	}
	return c.NoContent(http.StatusOK)
}
