package deadletter

import (
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

const (
	defaultPage = 50
	mostPage    = 200
	mostBody    = 4 << 10 // bytes of a body that are shown
	mostReason  = 500     // characters of a reason
)

// Routes adds the operators' way to the dead letters.
func (l *Letters) Routes(r web.Routes) {
	r.Admin.GET("/dead-letters", l.list)
	r.Admin.POST("/dead-letters/:id/replay", l.replay)
	r.Admin.DELETE("/dead-letters/:id", l.remit)
}

// letterResponse is a dead letter as it is shown.
type letterResponse struct {
	ID         uuid.UUID  `json:"id" validate:"required" format:"uuid"`
	Module     string     `json:"module" validate:"required" example:"inventory"`
	FactID     *uuid.UUID `json:"fact_id,omitempty" format:"uuid"` // absent when it could not be read
	Name       string     `json:"name" validate:"required" example:"order.created"`
	RoutingKey string     `json:"routing_key" validate:"required" example:"optimistic.order.created"`
	Reason     string     `json:"reason" validate:"required" enums:"undecodable,permanent,exhausted,delivery"`
	FirstError string     `json:"first_error" validate:"required"`
	LastError  string     `json:"last_error" validate:"required"`
	Attempts   int        `json:"attempts" validate:"required"`
	Body       string     `json:"body" validate:"required"` // the event as it was published, its first 4 KiB
	Size       int        `json:"size" validate:"required"` // bytes of the whole body
	At         time.Time  `json:"at" validate:"required"`   // when it died
	ReplayedAt *time.Time `json:"replayed_at,omitempty"`    // when it was given to its module again; absent: it waits for somebody
} //	@name	DeadLetter

func show(l Letter) letterResponse {
	return letterResponse{
		ID: l.ID, Module: l.Module, FactID: l.FactID, Name: l.Name, RoutingKey: l.RoutingKey, Reason: l.Reason, FirstError: l.FirstError,
		LastError: l.LastError, Attempts: l.Attempts, Body: excerpt(l.Body), Size: len(l.Body), At: l.At.UTC(), ReplayedAt: l.ReplayedAt,
	}
}

// excerpt is the beginning of a body as text, whatever its bytes are.
func excerpt(body []byte) string {
	if len(body) > mostBody {
		body = body[:mostBody]
	}
	return strings.ToValidUTF8(string(body), string(utf8.RuneError))
}

// list shows the dead letters.
//
//	@Summary	What a module could not digest, and why; newest first
//	@Tags		admin
//	@Produce	json
//	@Security	Bearer
//	@Param		limit	query		int		false	"letters on a page"	default(50)	maximum(200)
//	@Param		cursor	query		string	false	"next_cursor of the page before"
//	@Success	200		{object}	web.List[letterResponse]
//	@Failure	400,401,403,503	{object}	web.Problem
//	@Router		/admin/dead-letters [get]
func (l *Letters) list(c echo.Context) error {
	limit, cursor, err := web.Page(c, defaultPage, mostPage)
	if err != nil {
		return err
	}
	var after *Position
	if cursor != "" {
		after = &Position{}
		if err := web.DecodeCursor(cursor, after); err != nil {
			return err
		}
	}
	letters, err := l.List(c.Request().Context(), after, limit+1)
	if err != nil {
		return err
	}
	page := web.List[letterResponse]{}
	for _, letter := range letters[:min(len(letters), limit)] {
		page.Items = append(page.Items, show(letter))
	}
	if len(letters) > limit {
		last := letters[limit-1]
		if page.NextCursor, err = web.EncodeCursor(Position{At: last.At, ID: last.ID}); err != nil {
			return err
		}
	}
	return web.JSON(c, http.StatusOK, page)
}

// replay hands a dead letter to its module again.
//
//	@Summary		Hand a dead letter to its module again
//	@Description	The event goes back into the module's queue as it was published. A module that has heard it meanwhile does nothing.
//	@Tags			admin
//	@Produce		json
//	@Security		Bearer
//	@Param			id	path		string	true	"id of the dead letter"	format(uuid)
//	@Success		202	{object}	letterResponse
//	@Failure		400,401,403,404,409,503	{object}	web.Problem
//	@Router			/admin/dead-letters/{id}/replay [post]
func (l *Letters) replay(c echo.Context) error {
	id, err := web.PathID(c, "id")
	if err != nil {
		return err
	}
	if _, err := web.Query(c); err != nil {
		return err
	}
	letter, err := l.Replay(c.Request().Context(), id)
	if err != nil {
		return err
	}
	return web.JSON(c, http.StatusAccepted, show(letter))
}

// remit gives a dead letter up.
//
//	@Summary	Give a dead letter up, for a reason that is logged
//	@Tags		admin
//	@Security	Bearer
//	@Param		id		path	string	true	"id of the dead letter"	format(uuid)
//	@Param		reason	query	string	true	"why"	maxlength(500)
//	@Success	204
//	@Failure	400,401,403,404,503	{object}	web.Problem
//	@Router		/admin/dead-letters/{id} [delete]
func (l *Letters) remit(c echo.Context) error {
	id, err := web.PathID(c, "id")
	if err != nil {
		return err
	}
	query, err := web.Query(c, "reason")
	if err != nil {
		return err
	}
	reason := strings.TrimSpace(query.Get("reason"))
	if reason == "" || utf8.RuneCountInString(reason) > mostReason {
		return fault.New(fault.InvalidRequest, "A reason is needed.").With(fault.Line{Field: "reason", Detail: "1 to 500 characters"})
	}
	if err := l.Delete(c.Request().Context(), id, web.Customer(c), reason); err != nil {
		return err
	}
	return web.NoContent(c)
}
