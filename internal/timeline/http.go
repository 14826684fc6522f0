package timeline

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

// Routes adds the route.
func (r *Reader) Routes(routes web.Routes) { routes.Customer.GET("/orders/:id/timeline", r.show) }

// show tells what happened to an order.
//
//	@Summary	What happened to one of my orders
//	@Description	Every fact, what each module did with it, calls to the payment provider, stock movements, repairs of what the order touched, and dead letters, oldest first: as far back as they are kept (--outbox-retention, --inbox-retention).
//	@Tags		orders
//	@Produce	json
//	@Security	Bearer
//	@Param		id		path		string	true	"id of the order"	format(uuid)
//	@Param		limit	query		integer	false	"how many, at most 500"	default(200)
//	@Param		cursor	query		string	false	"next_cursor of the page before"
//	@Success	200		{object}	web.List[Entry]
//	@Failure	400,401,404,410,503	{object}	web.Problem
//	@Router		/orders/{id}/timeline [get]
func (r *Reader) show(c echo.Context) error {
	id, err := web.PathID(c, "id")
	if err != nil {
		return err
	}
	limit, cursor, err := web.Page(c, 200, 500)
	if err != nil {
		return err
	}
	var after Position
	if cursor != "" {
		if err := web.DecodeCursor(cursor, &after); err != nil {
			return err
		}
		if strings.ContainsRune(after.Key, 0) {
			return fault.New(fault.InvalidRequest, "The query is not valid.").With(fault.Line{Field: "cursor", Detail: "not a cursor of this list"})
		}
	}
	entries, positions, err := r.Read(c.Request().Context(), web.Customer(c), id, after, limit+1)
	if err != nil {
		return err
	}
	page := web.List[Entry]{Items: entries}
	if len(entries) > limit {
		page.Items = entries[:limit]
		if page.NextCursor, err = web.EncodeCursor(positions[limit-1]); err != nil {
			return err
		}
	}
	return web.JSON(c, http.StatusOK, page)
}
