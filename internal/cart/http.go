package cart

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/web"
)

// HTTP is the module's part of the API.
type HTTP struct{ carts *Service }

// NewHTTP makes it.
func NewHTTP(carts *Service) *HTTP { return &HTTP{carts: carts} }

// Routes adds the module's routes.
func (h *HTTP) Routes(r web.Routes) {
	r.Customer.GET("/cart", h.get)
	r.Customer.PUT("/cart/items/:product_id", h.put)
	r.Customer.DELETE("/cart/items/:product_id", h.remove)
	r.Customer.DELETE("/cart", h.clear)
}

// LineRequest sets a line.
type LineRequest struct {
	Quantity *int64 `json:"quantity" validate:"required" minimum:"0" example:"2"` // units; 0 removes the line
}

// get shows the cart.
//
//	@Summary		My cart
//	@Description	A customer who has none is shown an empty one without an id. Lines of a cart that has expired stay for 24 hours with held false.
//	@Tags			cart
//	@Produce		json
//	@Security		Bearer
//	@Success		200	{object}	View
//	@Failure		400,401,503	{object}	web.Problem
//	@Router			/cart [get]
func (h *HTTP) get(c echo.Context) error {
	if _, err := web.Query(c); err != nil {
		return err
	}
	view, err := h.carts.Get(c.Request().Context(), web.Customer(c))
	if err != nil {
		return err
	}
	return web.JSON(c, http.StatusOK, view)
}

// put sets a line.
//
//	@Summary		Put a product into my cart
//	@Description	Sets the line to the quantity, absolutely: the same call twice changes nothing. The units are held from then on, until the cart's expires_at.
//	@Tags			cart
//	@Accept			json
//	@Produce		json
//	@Security		Bearer
//	@Param			product_id	path		string		true	"id of the product"	format(uuid)
//	@Param			request		body		LineRequest	true	"how many"
//	@Success		200			{object}	View
//	@Failure		400,401,404,413,415	{object}	web.Problem
//	@Failure		409			{object}	web.Problem	"out-of-stock: available says how many could be had"
//	@Failure		422			{object}	web.Problem	"a quantity, a number of lines or a currency that a cart cannot have"
//	@Failure		503			{object}	web.Problem	"units cannot be held at the moment"
//	@Router			/cart/items/{product_id} [put]
func (h *HTTP) put(c echo.Context) error {
	if _, err := web.Query(c); err != nil {
		return err
	}
	productID, err := web.PathID(c, "product_id")
	if err != nil {
		return err
	}
	var req LineRequest
	if err := web.Decode(c, &req); err != nil {
		return err
	}
	view, err := h.carts.Put(c.Request().Context(), web.Customer(c), productID, *req.Quantity)
	if err != nil {
		return err
	}
	return web.JSON(c, http.StatusOK, view)
}

// remove takes a line out.
//
//	@Summary		Take a product out of my cart
//	@Description	Gives its units back at once. Without such a line there is nothing to do.
//	@Tags			cart
//	@Produce		json
//	@Security		Bearer
//	@Param			product_id	path	string	true	"id of the product"	format(uuid)
//	@Success		204
//	@Failure		400,401,404,503	{object}	web.Problem
//	@Router			/cart/items/{product_id} [delete]
func (h *HTTP) remove(c echo.Context) error {
	if _, err := web.Query(c); err != nil {
		return err
	}
	productID, err := web.PathID(c, "product_id")
	if err != nil {
		return err
	}
	if err := h.carts.Remove(c.Request().Context(), web.Customer(c), productID); err != nil {
		return err
	}
	return web.NoContent(c)
}

// clear empties the cart.
//
//	@Summary		Empty my cart
//	@Description	Gives all its units back at once.
//	@Tags			cart
//	@Produce		json
//	@Security		Bearer
//	@Success		204
//	@Failure		400,401,503	{object}	web.Problem
//	@Router			/cart [delete]
func (h *HTTP) clear(c echo.Context) error {
	if _, err := web.Query(c); err != nil {
		return err
	}
	if err := h.carts.Clear(c.Request().Context(), web.Customer(c)); err != nil {
		return err
	}
	return web.NoContent(c)
}
