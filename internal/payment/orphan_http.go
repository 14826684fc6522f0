package payment

import (
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

func (h *HTTP) orphanRoutes(r web.Router) {
	r.GET("/orphans/:id", h.showOrphan)
	r.POST("/orphans/:id/refund", h.refundOrphan, web.NoBody, web.Timeout(mostAct))
	r.POST("/orphans/:id/settle", h.settleOrphan)
}

// orphanID is the provider's id in the path.
func orphanID(c echo.Context) (string, error) {
	if _, err := web.Query(c); err != nil {
		return "", err
	}
	id, err := url.PathUnescape(c.Param("id"))
	if err != nil || id == "" || len(id) > 255 {
		return "", fault.New(fault.InvalidRequest, "This is no id of a provider's.")
	}
	for _, r := range id {
		if r <= ' ' || r > '~' {
			return "", fault.New(fault.InvalidRequest, "This is no id of a provider's.")
		}
	}
	return id, nil
}

// showOrphan gives one of them.
//
//	@Summary	Money that only one side knows of, with what operators have done about it
//	@Tags		admin
//	@Produce	json
//	@Security	Bearer
//	@Param		id	path		string	true	"the provider's id of the charge or refund"
//	@Success	200	{object}	Orphan
//	@Failure	400,401,403,404,503	{object}	web.Problem
//	@Router		/admin/orphans/{id} [get]
func (h *HTTP) showOrphan(c echo.Context) error {
	id, err := orphanID(c)
	if err != nil {
		return err
	}
	o, err := h.charger.ShowOrphan(c.Request().Context(), id)
	if err != nil {
		return err
	}
	return web.JSON(c, http.StatusOK, o)
}

// refundOrphan has it given back.
//
//	@Summary		Have the provider give back a charge that nobody here wants
//	@Description	Now, whatever it was found to be, and though it has failed before; while it fails the hunt goes on asking. 409 when it was given back or settled; 503 when the provider does not do it.
//	@Tags			admin
//	@Produce		json
//	@Security		Bearer
//	@Param			id	path		string	true	"the provider's id of the charge"
//	@Success		200	{object}	Orphan
//	@Failure		400,401,403,404,409,503	{object}	web.Problem
//	@Router			/admin/orphans/{id}/refund [post]
func (h *HTTP) refundOrphan(c echo.Context) error {
	id, err := orphanID(c)
	if err != nil {
		return err
	}
	o, err := h.charger.RefundOrphan(c.Request().Context(), id, web.Customer(c))
	if err != nil {
		return err
	}
	return web.JSON(c, http.StatusOK, o)
}

// settleOrphanRequest says how somebody has seen to it.
type settleOrphanRequest struct {
	Reason string `json:"reason" validate:"required,max=500,plain" example:"of the till in the shop, which uses the same account"`
} //	@name	SettleOrphan

// settleOrphan notes that somebody has seen to it.
//
//	@Summary		Note that somebody has seen to money that only one side knows of
//	@Description	By another way than a refund of the provider's, or because it is as it should be. It is open no more, and the audit lists it with who and why, which is kept for ever.
//	@Tags			admin
//	@Accept			json
//	@Produce		json
//	@Security		Bearer
//	@Param			id		path		string				true	"the provider's id of the charge or refund"
//	@Param			request	body		settleOrphanRequest	true	"why"
//	@Success		200		{object}	Orphan
//	@Failure		400,401,403,404,409,413,415,422,503	{object}	web.Problem
//	@Router			/admin/orphans/{id}/settle [post]
func (h *HTTP) settleOrphan(c echo.Context) error {
	var request settleOrphanRequest
	if err := web.Decode(c, &request); err != nil {
		return err
	}
	id, err := orphanID(c)
	if err != nil {
		return err
	}
	o, err := h.charger.SettleOrphan(c.Request().Context(), id, web.Customer(c), request.Reason)
	if err != nil {
		return err
	}
	return web.JSON(c, http.StatusOK, o)
}
