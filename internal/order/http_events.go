package order

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/web"
)

// How many streams of events an instance has open at once, in all and for one customer. A quarter of its connections is theirs.
const (
	maxStreams           = 1024
	maxStreamsOfCustomer = 16
)

// events shows one order as it changes.
//
//	@Summary	One of my orders, as it changes
//	@Description	Server-sent events until the order is final: the order as GET shows it, at once and after every change. The id of an event is the order's version; a client that comes back with it as Last-Event-ID hears what is newer, and is answered 204 when the order is final and nothing is. Changes that follow each other closely come as one event. Comments every 15 s keep the connection.
//	@Tags		orders
//	@Produce	event-stream
//	@Security	Bearer
//	@Param		id				path		string	true	"id of the order"	format(uuid)
//	@Param		Last-Event-ID	header		string	false	"id of the last event that was got"
//	@Success	200				{string}	string	"events named order, whose data is an order"
//	@Success	204				"the order is final, and its end was got"
//	@Failure	400,401,404,410,429,503	{object}	web.Problem
//	@Router		/orders/{id}/events [get]
func (h *HTTP) events(c echo.Context) error {
	id, err := web.PathID(c, "id")
	if err != nil {
		return err
	}
	if _, err := web.Query(c); err != nil {
		return err
	}
	watch := h.orders.Watch(id) // before the order is read, so that no change falls in between
	defer watch.Stop()
	view, err := h.orders.Get(c.Request().Context(), web.Customer(c), id)
	if err != nil {
		return err
	}
	got := web.LastEventID(c)
	if got > view.Version { // of another order, or of none
		got = 0
	}
	if got == view.Version && view.Status.Final() {
		return c.NoContent(http.StatusNoContent)
	}
	stream, err := h.streams.Open(c)
	if err != nil {
		return err
	}
	defer stream.Close()
	follow(c, stream, watch, view, got)
	return nil
}

// follow sends an order whenever it is newer than what was got, until it is final, the client is gone or the server stops.
func follow(c echo.Context, stream *web.Stream, watch *Watch, view View, got int64) {
	beat := time.NewTicker(web.StreamBeat)
	defer beat.Stop()
	err := stream.Beat() // so that the client knows that it is heard
	for err == nil {
		if view.Version > got {
			got = view.Version
			if err := stream.Send(got, "order", view); err != nil || view.Status.Final() {
				return
			}
		}
		select {
		case view = <-watch.News:
		case <-beat.C:
			err = stream.Beat()
		case <-c.Request().Context().Done():
			return
		}
	}
}
