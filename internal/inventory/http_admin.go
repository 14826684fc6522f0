package inventory

import (
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/web"
)

// newProductRequest is a product as an operator puts it in.
type newProductRequest struct {
	SKU            string  `json:"sku" validate:"required,max=64" example:"22423"`
	Name           string  `json:"name" validate:"required,max=300" example:"REGENCY CAKESTAND 3 TIER"`
	Description    *string `json:"description,omitempty" validate:"omitempty,max=4000"`                                    // left out: stays as it is; empty for a new sku
	UnitPriceMinor *int64  `json:"unit_price_minor,omitempty" validate:"omitempty,min=0,max=1000000000000" example:"1275"` // in the currency's smallest unit; left out: stays as it is; required for a new sku
	Currency       string  `json:"currency" validate:"required" example:"GBP"`                                             // ISO 4217
	Stock          int64   `json:"stock,omitempty" validate:"min=0,max=1000000000000" example:"100"`                       // opening stock; counts for a new sku only
} //	@name	NewProduct

// newProduct adds to a product what a request may leave out.
func newProduct(p Product, description *string, price *int64) NewProduct {
	whole := NewProduct{Product: p, KeepDescription: description == nil, KeepPrice: price == nil}
	if description != nil {
		whole.Description = *description
	}
	if price != nil {
		whole.UnitPriceMinor = *price
	}
	return whole
}

type upsertRequest struct {
	Products []newProductRequest `json:"products" validate:"required,min=1,max=5000,dive"`
} //	@name	UpsertProducts

type upsertResponse struct {
	Products []productResponse `json:"products" validate:"required"` // in the order of the request
} //	@name	UpsertedProducts

// upsertProducts makes or changes products.
//
//	@Summary	Make or change products by sku; new ones open with the stock given
//	@Tags		admin
//	@Accept		json
//	@Produce	json
//	@Security	Bearer
//	@Param		body			body		upsertRequest	true	"products"
//	@Success	200				{object}	upsertResponse
//	@Failure	400,401,403,422	{object}	web.Problem
//	@Router		/admin/products [post]
func (s *Service) upsertProducts(c echo.Context) error {
	var body upsertRequest
	if err := web.Decode(c, &body); err != nil {
		return err
	}
	products := make([]NewProduct, len(body.Products))
	for i, p := range body.Products {
		products[i] = newProduct(Product{SKU: p.SKU, Name: p.Name, Currency: p.Currency}, p.Description, p.UnitPriceMinor)
		products[i].Stock = p.Stock
	}
	offers, err := s.Upsert(c.Request().Context(), products)
	if err != nil {
		return err
	}
	return web.JSON(c, http.StatusOK, upsertResponse{Products: showAll(offers)})
}

// changeRequest is all of a product but its stock.
type changeRequest struct {
	SKU            string  `json:"sku,omitempty" validate:"max=64" example:"22423"` // left out: stays as it is
	Name           string  `json:"name" validate:"required,max=300" example:"REGENCY CAKESTAND 3 TIER"`
	Description    *string `json:"description,omitempty" validate:"omitempty,max=4000"` // left out: stays as it is
	UnitPriceMinor *int64  `json:"unit_price_minor" validate:"required,min=0,max=1000000000000" example:"1275"`
	Currency       string  `json:"currency" validate:"required" example:"GBP"`
} //	@name	ChangeProduct

// changeProduct changes one product.
//
//	@Summary	Change a product, all but its stock
//	@Tags		admin
//	@Accept		json
//	@Produce	json
//	@Security	Bearer
//	@Param		id					path		string			true	"product id"	format(uuid)
//	@Param		If-Match			header		string			false	"ETag of the product that was read"
//	@Param		body				body		changeRequest	true	"the product"
//	@Success	200					{object}	productResponse
//	@Header		200					{string}	ETag	"version, for If-Match"
//	@Failure	400,401,403,404,422	{object}	web.Problem
//	@Failure	409					{object}	web.Problem	"another product has that sku"
//	@Failure	412					{object}	web.Problem	"the product was changed meanwhile"
//	@Router		/admin/products/{id} [put]
func (s *Service) changeProduct(c echo.Context) error {
	id, err := web.PathID(c, "id")
	if err != nil {
		return err
	}
	versions, err := web.IfMatch(c)
	if err != nil {
		return err
	}
	var body changeRequest
	if err := web.Decode(c, &body); err != nil {
		return err
	}
	p := newProduct(Product{ID: id, SKU: body.SKU, Name: body.Name, Currency: body.Currency}, body.Description, body.UnitPriceMinor)
	offer, err := s.Change(c.Request().Context(), p, versions)
	if err != nil {
		return err
	}
	web.SetETag(c, offer.Version)
	return web.JSON(c, http.StatusOK, show(offer))
}

type restockRequest struct {
	Quantity *int64 `json:"quantity" validate:"required" example:"50"` // units to add; negative: to take away
	Reason   string `json:"reason,omitempty" validate:"max=500,plain" example:"delivery 4711"`
} //	@name	Restock

// movementResponse is one entry of the stock ledger.
type movementResponse struct {
	ID        uuid.UUID  `json:"id" validate:"required" format:"uuid"`
	ProductID uuid.UUID  `json:"product_id" validate:"required" format:"uuid"`
	Kind      string     `json:"kind" validate:"required" enums:"opening,restock,adjust,reserve,release"`
	Quantity  int64      `json:"quantity" validate:"required" example:"-2"`      // what it added to the stock
	Balance   int64      `json:"balance" validate:"required" example:"98"`       // the stock after it
	OrderID   *uuid.UUID `json:"order_id" format:"uuid" extensions:"x-nullable"` // null but for reserve and release
	FactID    uuid.UUID  `json:"fact_id" validate:"required" format:"uuid"`
	Reason    string     `json:"reason" validate:"required"`
	At        time.Time  `json:"at" validate:"required"`
} //	@name	Movement

// restockResponse is the movement that a restock made.
type restockResponse struct {
	movementResponse
	Visible  bool   `json:"visible" validate:"required"`                                       // buyers see it; false: Redis is away, and they will once it is back
	OverHeld *int64 `json:"over_held" validate:"required" extensions:"x-nullable" example:"0"` // units that customers hold and that are not there after it: who checks out first gets what there is, the others 409 out-of-stock; null: not known
} //	@name	Restocked

func showMovement(m Movement) movementResponse {
	shown := movementResponse{
		ID: m.ID, ProductID: m.ProductID, Kind: m.Kind, Quantity: m.Quantity, Balance: m.Balance, FactID: m.FactID, Reason: m.Reason, At: m.At.UTC(),
	}
	if m.OrderID != uuid.Nil {
		shown.OrderID = &m.OrderID
	}
	return shown
}

// restock moves stock by an operator's word.
//
//	@Summary	Add units to a product's stock, or take some away
//	@Tags		admin
//	@Accept		json
//	@Produce	json
//	@Security	Bearer
//	@Param		id					path		string			true	"product id"	format(uuid)
//	@Param		body				body		restockRequest	true	"signed quantity and reason"
//	@Success	200					{object}	restockResponse
//	@Failure	400,401,403,404,422	{object}	web.Problem
//	@Failure	409					{object}	web.Problem	"the stock would be below zero"
//	@Failure	503					{object}	web.Problem	"the product's lane (strategy sequenced) did not answer in 10 s, and nothing was done"
//	@Router		/admin/products/{id}/restock [post]
func (s *Service) restock(c echo.Context) error {
	id, err := web.PathID(c, "id")
	if err != nil {
		return err
	}
	var body restockRequest
	if err := web.Decode(c, &body); err != nil {
		return err
	}
	moved, err := s.Restock(c.Request().Context(), id, *body.Quantity, body.Reason)
	if err != nil {
		return err
	}
	return web.JSON(c, http.StatusOK, restockResponse{movementResponse: showMovement(moved), Visible: moved.Visible, OverHeld: moved.OverHeld})
}

// movementList is a page of a product's ledger.
type movementList struct {
	Items      []movementResponse `json:"items" validate:"required"`
	NextCursor string             `json:"next_cursor,omitempty"`
	Archived   *carried           `json:"archived,omitempty"`
} //	@name	MovementList

// carried is what the movements of archived orders come to, which are not listed.
type carried struct {
	Movements int64 `json:"movements" validate:"required"`
	Taken     int64 `json:"taken" validate:"required"` // units that they took and did not give back
} //	@name	ArchivedMovements

// listMovements shows a product's ledger.
//
//	@Summary	The stock ledger of a product, newest first
//	@Description	Movements of archived orders are not among them: archived says what these come to.
//	@Tags		admin
//	@Produce	json
//	@Security	Bearer
//	@Param		id				path		string	true	"product id"			format(uuid)
//	@Param		limit			query		int		false	"movements on a page"	default(50)	maximum(200)
//	@Param		cursor			query		string	false	"next_cursor of the page before"
//	@Success	200				{object}	movementList
//	@Failure	400,401,403,404	{object}	web.Problem
//	@Router		/admin/products/{id}/movements [get]
func (s *Service) listMovements(c echo.Context) error {
	id, err := web.PathID(c, "id")
	if err != nil {
		return err
	}
	limit, cursor, err := web.Page(c, defaultPage, mostPage)
	if err != nil {
		return err
	}
	var before uuid.UUID
	if cursor != "" {
		if err := web.DecodeCursor(cursor, &before); err != nil {
			return err
		}
	}
	movements, err := s.Movements(c.Request().Context(), id, before, limit)
	if err != nil {
		return err
	}
	page := movementList{Items: make([]movementResponse, len(movements))}
	if page.Archived, err = readCarried(c.Request().Context(), s.db, id); err != nil {
		return err
	}
	for i, m := range movements {
		page.Items[i] = showMovement(m)
	}
	if len(movements) == limit {
		if page.NextCursor, err = web.EncodeCursor(movements[limit-1].ID); err != nil {
			return err
		}
	}
	return web.JSON(c, http.StatusOK, page)
}
