package order

import (
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

// How many lists of orders an instance reads at a time, in all and for one customer. A page of the largest orders takes some 4 MB until
// it is answered, see pageBytes: all of them together stay below 100 MB.
const (
	maxLists           = 16
	maxListsOfCustomer = 4
)

// HTTP is the module's part of the API.
type HTTP struct {
	orders  *Service
	streams *web.Streams
	waits   *web.Places
	lists   *web.Places
}

// NewHTTP makes it.
func NewHTTP(orders *Service) *HTTP {
	return &HTTP{
		orders: orders, streams: web.NewStreams(maxStreams, maxStreamsOfCustomer),
		waits: web.NewPlaces(maxStreams, maxStreamsOfCustomer), lists: web.NewPlaces(maxLists, maxListsOfCustomer),
	}
}

// Routes adds the module's routes.
func (h *HTTP) Routes(r web.Routes) {
	r.Customer.POST("/orders", h.place)
	r.Customer.GET("/orders", h.list)
	r.Customer.GET("/orders/:id", h.get)
	r.Customer.GET("/orders/:id/events", h.events)
	r.Customer.POST("/orders/:id/cancel", h.cancel, web.NoBody)
}

// PurchaseRequest buys the cart, or items at once without a cart.
type PurchaseRequest struct {
	PaymentMethod string         `json:"payment_method" validate:"required,max=128,plain" example:"pm_ok"`
	CartVersion   *int64         `json:"cart_version,omitempty" validate:"omitempty,gte=0"` // the version of the cart that is meant; only when there are no items
	Items         *[]ItemRequest `json:"items,omitempty" validate:"omitempty,dive"`         // buys these and leaves the cart alone; an empty list buys nothing
	Strategy      string         `json:"strategy,omitempty" validate:"max=64" example:"optimistic"`
}

// ItemRequest is one product to buy. The same product in two lines is one line.
type ItemRequest struct {
	ProductID uuid.UUID `json:"product_id" validate:"required" format:"uuid"`
	Quantity  int64     `json:"quantity" validate:"gte=1"`
}

func (r PurchaseRequest) items() []Item {
	if r.Items == nil {
		return nil
	}
	items := make([]Item, len(*r.Items))
	for i, item := range *r.Items {
		items[i] = Item(item)
	}
	return items
}

// place buys.
//
//	@Summary	Buy the cart, or items at once
//	@Description	Answers 201 when the order is final within the wait that was asked for, else 202 with Retry-After. A repetition under the same Idempotency-Key gets the same order in its current state, with Idempotent-Replayed: true.
//	@Tags		orders
//	@Accept		json
//	@Produce	json
//	@Security	Bearer
//	@Param		Idempotency-Key	header		string			true	"unique to this purchase, up to 255 printable characters, kept 24 h"	maxlength(255)
//	@Param		Prefer			header		string			false	"wait=N: hold the answer back up to N seconds (30 at most) until the order is final; of 16 requests of a customer at a time"
//	@Param		request			body		PurchaseRequest	true	"what to buy and how to pay"
//	@Success	201				{object}	View			"the order is final"
//	@Success	202				{object}	View			"the order is under way"
//	@Header		201,202			{string}	Location		"/api/v1/orders/{id}"
//	@Header		201,202			{string}	Idempotent-Replayed	"true for a repetition"
//	@Header		202				{integer}	Retry-After		"seconds until it makes sense to look again"
//	@Failure	400,401,409,413,415,422,503	{object}	web.Problem
//	@Router		/orders [post]
func (h *HTTP) place(c echo.Context) error {
	key, err := keyOf(c)
	if err != nil {
		return err
	}
	var req PurchaseRequest
	if err := web.Decode(c, &req); err != nil {
		return err
	}
	print, err := fingerprint(c.Request().Method, c.Path(), req)
	if err != nil {
		return err
	}
	ctx, customer := c.Request().Context(), web.Customer(c)
	id, replayed, err := h.orders.Place(ctx, Purchase{
		Customer: customer, Key: key, Fingerprint: print, PaymentMethod: req.PaymentMethod, Strategy: req.Strategy,
		CartVersion: req.CartVersion, Items: req.items(), TraceParent: web.TraceParent(c),
	})
	if err != nil {
		return err
	}
	wait, leave := web.PreferWaitIn(h.waits, c)
	defer leave()
	if !replayed {
		wait = h.orders.Follow(ctx, req.Strategy, id, wait)
	}
	view, err := h.orders.Await(ctx, customer, id, wait)
	if err != nil {
		return err
	}
	return answerPlaced(c, view, replayed)
}

func keyOf(c echo.Context) (string, error) {
	keys := c.Request().Header.Values("Idempotency-Key")
	if len(keys) > 1 {
		return "", fault.New(fault.InvalidRequest, "There is more than one Idempotency-Key.")
	}
	key := c.Request().Header.Get("Idempotency-Key")
	return key, checkKey(key)
}

func answerPlaced(c echo.Context, view View, replayed bool) error {
	if replayed {
		c.Response().Header().Set("Idempotent-Replayed", "true")
	}
	if view.Status.Final() {
		c.Response().Header().Set("Location", locationOf(view))
		return web.JSON(c, http.StatusCreated, view)
	}
	return accepted(c, view)
}

// accepted answers with an order that is on its way.
func accepted(c echo.Context, view View) error {
	c.Response().Header().Set("Location", locationOf(view))
	if !view.Status.Final() {
		c.Response().Header().Set("Retry-After", "1")
	}
	return web.JSON(c, http.StatusAccepted, view)
}

func locationOf(view View) string { return web.Prefix + "/orders/" + view.ID.String() }

// cancel takes an order back.
//
//	@Summary	Cancel one of my orders
//	@Description	Stops an order that is under way; of one that is complete, stock and money are given back. The order is ENDING until nothing of it is held any more, then CANCELLED. Cancelled again, nothing changes and the answer is the same. An order that fails or has failed cannot be cancelled.
//	@Tags		orders
//	@Produce	json
//	@Security	Bearer
//	@Param		id	path		string	true	"id of the order"	format(uuid)
//	@Success	202	{object}	View	"the order is being cancelled, or was"
//	@Header		202	{string}	Location	"/api/v1/orders/{id}"
//	@Header		202	{integer}	Retry-After	"seconds until it makes sense to look again, while it is not CANCELLED"
//	@Failure	400,401,404,409,503	{object}	web.Problem
//	@Router		/orders/{id}/cancel [post]
func (h *HTTP) cancel(c echo.Context) error {
	id, err := web.PathID(c, "id")
	if err != nil {
		return err
	}
	if _, err := web.Query(c); err != nil {
		return err
	}
	view, err := h.orders.Cancel(c.Request().Context(), web.Customer(c), id, web.TraceParent(c))
	if err != nil {
		return err
	}
	return accepted(c, view)
}

// get shows one order.
//
//	@Summary	One of my orders
//	@Description	Orders that ended long ago come from the archive, as long as their month is kept there: 410 `archived` after that.
//	@Tags		orders
//	@Produce	json
//	@Security	Bearer
//	@Param		id	path		string	true	"id of the order"	format(uuid)
//	@Success	200	{object}	View
//	@Failure	401,404,410,503	{object}	web.Problem
//	@Router		/orders/{id} [get]
func (h *HTTP) get(c echo.Context) error {
	id, err := web.PathID(c, "id")
	if err != nil {
		return err
	}
	view, err := h.orders.Get(c.Request().Context(), web.Customer(c), id)
	if err != nil {
		return err
	}
	return web.JSON(c, http.StatusOK, view)
}

// list shows the customer's orders.
//
//	@Summary	My orders, newest first
//	@Description	A page has fewer orders than the limit where orders are large: next_cursor says whether there are more.
//	@Tags		orders
//	@Produce	json
//	@Security	Bearer
//	@Param		limit	query		integer	false	"how many, at most 200"	default(50)
//	@Param		cursor	query		string	false	"next_cursor of the page before"
//	@Success	200		{object}	web.List[View]
//	@Failure	400,401,429,503	{object}	web.Problem
//	@Router		/orders [get]
func (h *HTTP) list(c echo.Context) error {
	limit, cursor, err := web.Page(c, 50, 200)
	if err != nil {
		return err
	}
	var before uuid.UUID
	if cursor != "" {
		if err := web.DecodeCursor(cursor, &before); err != nil {
			return err
		}
	}
	leave, ok := h.lists.Take(c)
	if !ok {
		f := fault.New(fault.RateLimited, "Too many lists of orders are being read at a time.")
		f.RetryAfter = time.Second
		return f
	}
	defer leave()
	views, more, err := h.orders.List(c.Request().Context(), web.Customer(c), before, limit)
	if err != nil {
		return err
	}
	page := web.List[View]{Items: views}
	if more {
		if page.NextCursor, err = web.EncodeCursor(views[len(views)-1].ID); err != nil {
			return err
		}
	}
	return web.JSON(c, http.StatusOK, page)
}
