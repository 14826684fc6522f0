package deadletter

import (
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	plaintext "github.com/holdfast-checkout/holdfast/internal/text"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

const (
	defaultPage = 50
	mostPage    = 200
	mostReason  = 500         // characters of a reason
	mostReplay  = time.Minute // for a replay of many
)

// Routes adds the operators' way to the dead letters.
func (l *Letters) Routes(r web.Routes) {
	r.Admin.GET("/dead-letters", l.list)
	r.Admin.POST("/dead-letters/replay", l.replayAll, web.Timeout(mostReplay))
	r.Admin.GET("/dead-letters/:id", l.get)
	r.Admin.POST("/dead-letters/:id/replay", l.replay, web.NoBody)
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
	Body       string     `json:"body" validate:"required"` // the event as it was published; in a list its first 4 KiB
	Size       int        `json:"size" validate:"required"` // bytes of the whole body
	At         time.Time  `json:"at" validate:"required"`   // when it died
	ReplayedAt *time.Time `json:"replayed_at,omitempty"`    // when it was given to its module again; absent: it waits for somebody
	ReplayedBy *string    `json:"replayed_by,omitempty"`    // who did so last
	Heard      bool       `json:"heard"`                    // its module has heard the fact meanwhile
	History    []Action   `json:"history,omitempty"`        // what was done about it, newest first; of one letter alone
} //	@name	DeadLetter

func show(l Letter) letterResponse {
	return letterResponse{
		ID: l.ID, Module: l.Module, FactID: l.FactID, Name: l.Name, RoutingKey: l.RoutingKey, Reason: l.Reason, FirstError: l.FirstError,
		LastError: l.LastError, Attempts: l.Attempts, Body: text(l.Body), Size: l.Size, At: l.At.UTC(), ReplayedAt: l.ReplayedAt,
		ReplayedBy: l.ReplayedBy, Heard: l.Heard,
	}
}

// text is a body, whatever its bytes are.
func text(body []byte) string { return strings.ToValidUTF8(string(body), string(utf8.RuneError)) }

// list shows the dead letters.
//
//	@Summary	What a module could not digest, and why; newest first
//	@Tags		admin
//	@Produce	json
//	@Security	Bearer
//	@Param		limit	query		int		false	"letters on a page"	default(50)	maximum(200)
//	@Param		cursor	query		string	false	"next_cursor of the page before"
//	@Param		module	query		string	false	"only those of a module"	example(inventory)
//	@Param		type	query		string	false	"only facts of a name"		example(order.created)
//	@Param		reason	query		string	false	"only those that died of it"	enums(undecodable,permanent,exhausted,delivery)
//	@Param		state	query		string	false	"open: only those that nobody has replayed"	enums(open,all)	default(all)
//	@Success	200		{object}	web.List[letterResponse]
//	@Failure	400,401,403,503	{object}	web.Problem
//	@Router		/admin/dead-letters [get]
func (l *Letters) list(c echo.Context) error {
	limit, cursor, err := web.Page(c, defaultPage, mostPage, "module", "type", "reason", "state")
	if err != nil {
		return err
	}
	which, err := filterOf(c)
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
	letters, err := l.List(c.Request().Context(), which, after, limit+1)
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

// filterOf reads which letters a list is to show.
func filterOf(c echo.Context) (Filter, error) {
	which := Filter{Module: c.QueryParam("module"), Type: c.QueryParam("type"), Reason: c.QueryParam("reason")}
	switch state := c.QueryParam("state"); state {
	case "", "all":
	case "open":
		which.Open = true
	default:
		return which, fault.New(fault.InvalidRequest, "There is no state %q.", state).With(fault.Line{Field: "state", Detail: "open or all"})
	}
	return which, nil
}

// get shows one dead letter.
//
//	@Summary	A dead letter with the whole event, and what was done about it
//	@Tags		admin
//	@Produce	json
//	@Security	Bearer
//	@Param		id	path		string	true	"id of the dead letter"	format(uuid)
//	@Success	200	{object}	letterResponse
//	@Failure	400,401,403,404,503	{object}	web.Problem
//	@Router		/admin/dead-letters/{id} [get]
func (l *Letters) get(c echo.Context) error {
	id, err := web.PathID(c, "id")
	if err != nil {
		return err
	}
	if _, err := web.Query(c); err != nil {
		return err
	}
	letter, err := l.Find(c.Request().Context(), id)
	if err != nil {
		return err
	}
	answer := show(letter)
	if answer.History, err = l.History(c.Request().Context(), id); err != nil {
		return err
	}
	return web.JSON(c, http.StatusOK, answer)
}

// replayRequest says which letters are meant; without a member, all of them.
type replayRequest struct {
	Module string `json:"module,omitempty" validate:"max=100" example:"inventory"`
	Type   string `json:"type,omitempty" validate:"max=100" example:"order.created"` // name of the facts
	Reason string `json:"reason,omitempty" validate:"omitempty,oneof=undecodable permanent exhausted delivery" enums:"undecodable,permanent,exhausted,delivery"`
} //	@name	ReplayDeadLetters

// replayAll hands all open dead letters of a kind to their modules again.
//
//	@Summary		Hand all open dead letters of a kind to their modules again
//	@Description	Oldest first, up to 10,000 at once; left says how many are still open, or open again.
//	@Tags			admin
//	@Accept			json
//	@Produce		json
//	@Security		Bearer
//	@Param			request	body		replayRequest	true	"which; {} is all of them"
//	@Success		202		{object}	Replayed
//	@Failure		400,401,403,413,415,422,503	{object}	web.Problem
//	@Router			/admin/dead-letters/replay [post]
func (l *Letters) replayAll(c echo.Context) error {
	var which replayRequest
	if err := web.Decode(c, &which); err != nil {
		return err
	}
	done, err := l.ReplayAll(c.Request().Context(), Filter{Module: which.Module, Type: which.Type, Reason: which.Reason}, web.Customer(c))
	if err != nil {
		return err
	}
	return web.JSON(c, http.StatusAccepted, done)
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
	letter, err := l.Replay(c.Request().Context(), id, web.Customer(c))
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
	if why := plaintext.Wrong(reason); why != "" {
		return fault.New(fault.InvalidRequest, "The reason cannot be shown as it is.").With(fault.Line{Field: "reason", Detail: "must be " + why})
	}
	if err := l.Delete(c.Request().Context(), id, web.Customer(c), reason); err != nil {
		return err
	}
	return web.NoContent(c)
}
