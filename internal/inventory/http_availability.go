package inventory

import (
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/web"
)

// availabilityResponse says where the units of a product are.
type availabilityResponse struct {
	ProductID  uuid.UUID  `json:"product_id" validate:"required" format:"uuid"`
	OnHand     int64      `json:"on_hand" validate:"required" example:"100"`               // allocated + held + free - over_held: all that was supplied and not taken away again
	Allocated  int64      `json:"allocated" validate:"required" example:"60"`              // taken by orders and not given back, completed orders included
	Held       int64      `json:"held" validate:"required" example:"30"`                   // held for carts, and for orders whose units are not taken yet
	Free       int64      `json:"free" validate:"required" example:"10"`                   // what can be held now
	OverHeld   int64      `json:"over_held" validate:"required" example:"0"`               // of held, units that are not there any more: an operator has taken them away. Who checks out first gets what there is
	NextExpiry *time.Time `json:"next_expiry" validate:"required" extensions:"x-nullable"` // when the next hold of somebody else ends, if nothing is done about it
	MyHold     int64      `json:"my_hold" validate:"required" example:"2"`                 // of held, the caller's own; 0 without a token
	Loading    bool       `json:"loading" validate:"required"`                             // after an outage: held, free and my_hold are not known yet and said to be 0; ask again in a few seconds
	Estimated  bool       `json:"estimated" validate:"required"`                           // the numbers of holds come from the rows of carts and orders: Redis is away
} //	@name	Availability

// getAvailability says why a product can or cannot be had.
//
//	@Summary		Why can't I buy it
//	@Description	Where the units of a product are. on_hand is all that was ever supplied (opening stock, restocks and adjustments), that is what is available and what orders have taken and not given back; an order that was completed goes on counting as allocated, since Holdfast is not told when goods leave the house. held and free share what orders have not taken. A token is not needed; with one, my_hold says what the caller's cart and orders under way hold. While Redis is away the answer is made from the rows of carts and orders, and estimated is true. While the product is coming back to Redis after an outage, loading is true.
//	@Tags			catalogue
//	@Produce		json
//	@Param			id	path		string	true	"product id"	format(uuid)
//	@Success		200	{object}	availabilityResponse
//	@Failure		401	{object}	web.Problem	"there is a token and it is not valid"
//	@Failure		404	{object}	web.Problem
//	@Router			/products/{id}/availability [get]
func (s *Service) getAvailability(c echo.Context) error {
	if _, err := web.Query(c); err != nil {
		return err
	}
	id, err := web.PathID(c, "id")
	if err != nil {
		return err
	}
	a, err := s.Availability(c.Request().Context(), id, web.Customer(c))
	if err != nil {
		return err
	}
	return web.JSON(c, http.StatusOK, availabilityResponse{
		ProductID: id, OnHand: a.OnHand, Allocated: a.Allocated, Held: a.Held, Free: a.Free, OverHeld: a.OverHeld,
		NextExpiry: a.NextExpiry, MyHold: a.MyHold, Loading: a.Loading, Estimated: a.Estimated,
	})
}
