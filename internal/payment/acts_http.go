package payment

import (
	"cmp"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/web"
)

// mostAct bounds an act, which waits for the provider.
const mostAct = time.Minute

func (h *HTTP) actRoutes(r web.Router) {
	r.POST("/payments/:order/retry", h.retry, web.NoBody, web.Timeout(mostAct))
	r.POST("/payments/:order/close", h.close, web.NoBody, web.Timeout(mostAct))
	r.POST("/payments/:order/adopt", h.adopt, web.NoBody, web.Timeout(mostAct))
	r.POST("/payments/:order/settle", h.settle, web.Timeout(mostAct))
	r.POST("/payment-accounts/close", h.closeAccount)
}

// retry does now what is to be done.
//
//	@Summary		Ask the provider now for what is to be done
//	@Description	409 where nothing is left to do, or while the provider is being asked; 503 when it gives no answer that settles it.
//	@Tags			admin
//	@Produce		json
//	@Security		Bearer
//	@Param			order	path		string	true	"id of the order"	format(uuid)
//	@Success		200		{object}	Shown
//	@Failure		400,401,403,404,409,503	{object}	web.Problem
//	@Router			/admin/payments/{order}/retry [post]
func (h *HTTP) retry(c echo.Context) error { return h.act(c, Act{Name: actRetry}) }

// close ends a charge.
//
//	@Summary		Have the provider close the charge: it has happened already, or it never will
//	@Description	For a payment that is PENDING or UNKNOWN; one that is DECLINED or VOIDED is closed already. An order that still wants it fails by it, unless the charge has happened.
//	@Tags			admin
//	@Produce		json
//	@Security		Bearer
//	@Param			order	path		string	true	"id of the order"	format(uuid)
//	@Success		200		{object}	Shown
//	@Failure		400,401,403,404,409,503	{object}	web.Problem
//	@Router			/admin/payments/{order}/close [post]
func (h *HTTP) close(c echo.Context) error { return h.act(c, Act{Name: actClose}) }

// adopt hears what the provider has.
//
//	@Summary		Take over the charge or refund that the provider has and that is not known here
//	@Description	The provider is asked now, and nothing is charged or given back by it. 409 when it has nothing new.
//	@Tags			admin
//	@Produce		json
//	@Security		Bearer
//	@Param			order	path		string	true	"id of the order"	format(uuid)
//	@Success		200		{object}	Shown
//	@Failure		400,401,403,404,409,503	{object}	web.Problem
//	@Router			/admin/payments/{order}/adopt [post]
func (h *HTTP) adopt(c echo.Context) error { return h.act(c, Act{Name: actAdopt}) }

// settleRequest says what is true of the money, and how one knows.
type settleRequest struct {
	Reason  string `json:"reason" validate:"required,max=500,plain" example:"paid back by bank transfer 4711"`
	Outcome string `json:"outcome,omitempty" validate:"omitempty,oneof=charged not_charged refunded" enums:"charged,not_charged,refunded" default:"refunded"` // what is true outside
	Unasked bool   `json:"unasked,omitempty"`                                                                                                                 // though the provider cannot be asked
} //	@name	SettlePayment

// settle notes what is true of the money.
//
//	@Summary		Note what is true of the money that the provider does not tell
//	@Description	refunded: the customer was given the money back by another way than the provider; for a payment that is REFUNDING, or whose charge is not known and whose order wants it no more: it is REFUNDED by it, as by a refund, and its order ends. charged, not_charged: for a payment that is PENDING or UNKNOWN, at a provider that cannot be asked any more: it goes on as by the provider's own answer. The provider is asked first; what it says counts. Who did so and why is kept for ever.
//	@Tags			admin
//	@Accept			json
//	@Produce		json
//	@Security		Bearer
//	@Param			order	path		string			true	"id of the order"	format(uuid)
//	@Param			request	body		settleRequest	true	"what is true, and why"
//	@Success		200		{object}	Shown
//	@Failure		400,401,403,404,409,413,415,422,503	{object}	web.Problem
//	@Router			/admin/payments/{order}/settle [post]
func (h *HTTP) settle(c echo.Context) error {
	var request settleRequest
	if err := web.Decode(c, &request); err != nil {
		return err
	}
	return h.act(c, Act{Name: actSettle, Reason: request.Reason, Outcome: cmp.Or(request.Outcome, saidRefunded), Unasked: request.Unasked})
}

func (h *HTTP) act(c echo.Context, act Act) error {
	order, err := web.PathID(c, "order")
	if err != nil {
		return err
	}
	if _, err := web.Query(c); err != nil {
		return err
	}
	act.By = web.Customer(c)
	s, err := h.charger.Act(c.Request().Context(), order, act)
	if err != nil {
		return err
	}
	return web.JSON(c, http.StatusOK, s)
}
