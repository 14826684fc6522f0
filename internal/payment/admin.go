package payment

import (
	"net/http"
	"slices"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

const (
	defaultPage = 50
	mostPage    = 200
)

// adminRoutes are the operators'.
func (h *HTTP) adminRoutes(r web.Router) {
	r.GET("/payments", h.list)
	r.GET("/payments/:order", h.show)
	r.GET("/orphans", h.orphans)
	r.GET("/failed-refunds", h.failedRefunds)
	r.GET("/disputes", h.disputes)
	h.orphanRoutes(r)
	h.actRoutes(r)
}

// list shows payments that are under way.
//
//	@Summary		Payments that are under way: to be charged, unknown, or owed back
//	@Description	In the order of their orders' ids, which is that of their making. failing is those of which the provider was last asked without learning the outcome; waiting those that were made at an account that is not configured; settled those of which an operator has said what is true outside: archived ones are not among them, archived counts these; reversed those of which a refund has failed at the provider and is owed still or again; disputed those whose charge a customer has his bank take back, as long as that is not decided.
//	@Tags			admin
//	@Produce		json
//	@Security		Bearer
//	@Param			limit	query		int		false	"payments on a page"	default(50)	maximum(200)
//	@Param			cursor	query		string	false	"next_cursor of the page before"
//	@Param			state	query		string	false	"only those"	enums(open,failing,waiting,PENDING,UNKNOWN,REFUNDING,reversed,disputed,settled)	default(open)
//	@Success		200		{object}	paymentList
//	@Failure		400,401,403,503	{object}	web.Problem
//	@Router			/admin/payments [get]
func (h *HTTP) list(c echo.Context) error {
	limit, cursor, err := web.Page(c, defaultPage, mostPage, "state")
	if err != nil {
		return err
	}
	which := c.QueryParam("state")
	if which == "" {
		which = listAll
	}
	if states := []string{listAll, listFailing, listWaiting, string(Pending), string(Unknown), string(Refunding), listReversed, listDisputed, listSettled}; !slices.Contains(states, which) {
		return noSuchState(which, "open, failing, waiting, PENDING, UNKNOWN, REFUNDING, reversed, disputed or settled")
	}
	var after uuid.UUID
	if cursor != "" {
		if err := web.DecodeCursor(cursor, &after); err != nil {
			return err
		}
	}
	list, err := h.charger.List(c.Request().Context(), which, after, limit+1)
	if err != nil {
		return err
	}
	page := paymentList{Items: list[:min(len(list), limit)]}
	if len(list) > limit {
		if page.NextCursor, err = web.EncodeCursor(list[limit-1].OrderID); err != nil {
			return err
		}
	}
	if which == listSettled {
		if page.Archived, err = h.charger.archivedSettled(c.Request().Context()); err != nil {
			return err
		}
	}
	return web.JSON(c, http.StatusOK, page)
}

// paymentList is a page of payments.
type paymentList struct {
	Items      []Shown `json:"items" validate:"required"`
	NextCursor string  `json:"next_cursor,omitempty"`
	Archived   int64   `json:"archived,omitempty"` // with settled: how many are archived, and not among these
} //	@name	PaymentList

func noSuchState(state, states string) error {
	return fault.New(fault.InvalidRequest, "There is no state %q.", state).With(fault.Line{Field: "state", Detail: states})
}

// show gives the payment of an order.
//
//	@Summary	The payment of an order, with what operators have done about it
//	@Tags		admin
//	@Produce	json
//	@Security	Bearer
//	@Param		order	path		string	true	"id of the order"	format(uuid)
//	@Success	200		{object}	Shown
//	@Failure	400,401,403,404,503	{object}	web.Problem
//	@Router		/admin/payments/{order} [get]
func (h *HTTP) show(c echo.Context) error {
	order, err := web.PathID(c, "order")
	if err != nil {
		return err
	}
	if _, err := web.Query(c); err != nil {
		return err
	}
	s, err := h.charger.Show(c.Request().Context(), order)
	if err != nil {
		return err
	}
	if s.Acts, err = h.charger.acts(c.Request().Context(), order); err != nil {
		return err
	}
	if s.Calls, err = h.charger.calls(c.Request().Context(), order); err != nil {
		return err
	}
	if s.Failed > 0 {
		if s.Failures, err = h.charger.failuresOf(c.Request().Context(), order); err != nil {
			return err
		}
	}
	if s.Disputes, err = h.charger.disputesOf(c.Request().Context(), order); err != nil {
		return err
	}
	return web.JSON(c, http.StatusOK, s)
}

// orphans shows money that only one side knows of.
//
//	@Summary	Money that only the provider or only we know of; the oldest first
//	@Tags		admin
//	@Produce	json
//	@Security	Bearer
//	@Param		limit	query		int		false	"orphans on a page"	default(50)	maximum(200)
//	@Param		cursor	query		string	false	"next_cursor of the page before"
//	@Param		state	query		string	false	"open: only those that were not given back or settled"	enums(open,all)	default(all)
//	@Success	200		{object}	web.List[Orphan]
//	@Failure	400,401,403,503	{object}	web.Problem
//	@Router		/admin/orphans [get]
func (h *HTTP) orphans(c echo.Context) error {
	limit, cursor, err := web.Page(c, defaultPage, mostPage, "state")
	if err != nil {
		return err
	}
	state := c.QueryParam("state")
	if !slices.Contains([]string{"", "all", "open"}, state) {
		return noSuchState(state, "open or all")
	}
	var after orphanPosition
	if cursor != "" {
		if err := web.DecodeCursor(cursor, &after); err != nil {
			return err
		}
	}
	list, err := h.charger.Orphans(c.Request().Context(), state == "open", after, limit+1)
	if err != nil {
		return err
	}
	page := web.List[Orphan]{Items: list[:min(len(list), limit)]}
	if len(list) > limit {
		last := list[limit-1]
		if page.NextCursor, err = web.EncodeCursor(orphanPosition{last.FoundAt, last.ProviderID}); err != nil {
			return err
		}
	}
	return web.JSON(c, http.StatusOK, page)
}
