package inventory

import (
	"net/http"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/web"
)

// Pages of the lists.
const (
	defaultPage = 50
	mostPage    = 200
)

// Register puts the module's routes into the API.
func (s *Service) Register(r web.Routes) {
	r.Public.GET("/products", s.listProducts)
	r.Public.GET("/products/:id", s.getProduct)
	r.Anyone.GET("/products/:id/availability", s.getAvailability)
	r.Admin.POST("/products", s.upsertProducts)
	r.Admin.PUT("/products/:id", s.changeProduct)
	r.Admin.POST("/products/:id/restock", s.restock)
	r.Admin.GET("/products/:id/movements", s.listMovements)
}

// productResponse is a product as it is shown.
type productResponse struct {
	ID             uuid.UUID `json:"id" validate:"required" format:"uuid"`
	SKU            string    `json:"sku" validate:"required" example:"22423"`
	Name           string    `json:"name" validate:"required" example:"REGENCY CAKESTAND 3 TIER"`
	Description    string    `json:"description" validate:"required"`
	UnitPriceMinor int64     `json:"unit_price_minor" validate:"required" example:"1275"` // in the currency's smallest unit
	Currency       string    `json:"currency" validate:"required" example:"GBP"`
	Version        int64     `json:"version" validate:"required"`
	Available      int64     `json:"available" validate:"required"` // units that can be held now
	Loading        bool      `json:"loading" validate:"required"`   // after an outage: available is not known yet and said to be 0; ask again in a few seconds
	OverHeld       int64     `json:"over_held" validate:"required"` // units that are held and not there any more: an operator has taken them away
} //	@name	Product

func show(o Offer) productResponse {
	return productResponse{
		ID: o.ID, SKU: o.SKU, Name: o.Name, Description: o.Description, UnitPriceMinor: o.UnitPriceMinor,
		Currency: o.Currency, Version: o.Version, Available: o.Available, OverHeld: o.OverHeld, Loading: o.Loading,
	}
}

func showAll(offers []Offer) []productResponse {
	shown := make([]productResponse, len(offers))
	for i, o := range offers {
		shown[i] = show(o)
	}
	return shown
}

// listProducts shows the catalogue.
//
//	@Summary	The catalogue, by sku
//	@Tags		catalogue
//	@Produce	json
//	@Param		sku		query		string	false	"only the product with this sku"
//	@Param		limit	query		int		false	"products on a page"	default(50)	maximum(200)
//	@Param		cursor	query		string	false	"next_cursor of the page before"
//	@Success	200		{object}	web.List[productResponse]
//	@Failure	400		{object}	web.Problem
//	@Router		/products [get]
func (s *Service) listProducts(c echo.Context) error {
	limit, cursor, err := web.Page(c, defaultPage, mostPage, "sku")
	if err != nil {
		return err
	}
	if c.QueryParams().Has("sku") {
		offers, err := s.BySKU(c.Request().Context(), c.QueryParam("sku"))
		if err != nil {
			return err
		}
		return web.JSON(c, http.StatusOK, web.List[productResponse]{Items: showAll(offers)})
	}
	var after string
	if cursor != "" {
		if err := web.DecodeCursor(cursor, &after); err != nil {
			return err
		}
	}
	offers, err := s.List(c.Request().Context(), after, limit)
	if err != nil {
		return err
	}
	page := web.List[productResponse]{Items: showAll(offers)}
	if len(offers) == limit {
		if page.NextCursor, err = web.EncodeCursor(offers[limit-1].SKU); err != nil {
			return err
		}
	}
	return web.JSON(c, http.StatusOK, page)
}

// getProduct shows one product.
//
//	@Summary	One product
//	@Tags		catalogue
//	@Produce	json
//	@Param		id	path		string	true	"product id"	format(uuid)
//	@Success	200	{object}	productResponse
//	@Header		200	{string}	ETag	"version, for If-Match"
//	@Failure	404	{object}	web.Problem
//	@Router		/products/{id} [get]
func (s *Service) getProduct(c echo.Context) error {
	if _, err := web.Query(c); err != nil {
		return err
	}
	id, err := web.PathID(c, "id")
	if err != nil {
		return err
	}
	offer, err := s.Get(c.Request().Context(), id)
	if err != nil {
		return err
	}
	web.SetETag(c, offer.Version)
	return web.JSON(c, http.StatusOK, show(offer))
}
