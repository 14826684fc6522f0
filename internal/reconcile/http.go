package reconcile

import (
	"cmp"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/web"
)

// maxRun is how long a run may take that an operator waits for.
const maxRun = 10 * time.Minute

// HTTP is the reconciler's part of the operators' API.
type HTTP struct{ reconciler *Reconciler }

// NewHTTP makes it.
func NewHTTP(r *Reconciler) *HTTP { return &HTTP{reconciler: r} }

// Routes adds the reconciler's routes.
func (h *HTTP) Routes(r web.Routes) {
	r.Admin.POST("/reconciliations", h.run, web.Timeout(maxRun))
	r.Admin.GET("/reconciliations", h.list)
}

// RunRequest says what to compare.
type RunRequest struct {
	Scope  Scope `json:"scope,omitempty" validate:"omitempty,oneof=delta full" enums:"delta,full" swaggertype:"string"` // delta unless said
	DryRun bool  `json:"dry_run,omitempty"`                                                                             // say what would be repaired, and change nothing
}

// run reconciles now.
//
//	@Summary		Compare Redis with Postgres and repair it
//	@Description	delta compares what changed between the last run and the cooldown, full everything; the first run after a start compares everything too. What may just be under way is looked at again after the cooldown, so a run that finds such a thing takes longer than it. One run at a time: 409 when another does not end soon.
//	@Tags			admin
//	@Accept			json
//	@Produce		json
//	@Security		Bearer
//	@Param			request	body		RunRequest	true	"what to compare"
//	@Success		200		{object}	Run
//	@Failure		400,401,403,409,413,415,422,503	{object}	web.Problem
//	@Router			/admin/reconciliations [post]
func (h *HTTP) run(c echo.Context) error {
	var req RunRequest
	if err := web.Decode(c, &req); err != nil {
		return err
	}
	run, err := h.reconciler.Reconcile(c.Request().Context(), cmp.Or(req.Scope, Delta), req.DryRun)
	if err != nil {
		return err
	}
	return web.JSON(c, http.StatusOK, run)
}

// RunList is a page of runs, newest first.
type RunList struct {
	Items      []Run  `json:"items" validate:"required"`
	NextCursor string `json:"next_cursor,omitempty"`
}

// list shows past runs.
//
//	@Summary	Past reconciliations, newest first
//	@Tags		admin
//	@Produce	json
//	@Security	Bearer
//	@Param		limit	query		integer	false	"runs on a page"	minimum(1)	maximum(100)	default(20)
//	@Param		cursor	query		string	false	"next_cursor of the page before"
//	@Success	200		{object}	RunList
//	@Failure	400,401,403,503	{object}	web.Problem
//	@Router		/admin/reconciliations [get]
func (h *HTTP) list(c echo.Context) error {
	limit, cursor, err := web.Page(c, 20, 100)
	if err != nil {
		return err
	}
	var before uuid.UUID
	if cursor != "" {
		if err := web.DecodeCursor(cursor, &before); err != nil {
			return err
		}
	}
	runs, err := h.reconciler.Runs(c.Request().Context(), before, limit+1)
	if err != nil {
		return err
	}
	page := RunList{Items: runs[:min(len(runs), limit)]}
	if len(runs) > limit {
		if page.NextCursor, err = web.EncodeCursor(page.Items[limit-1].ID); err != nil {
			return err
		}
	}
	return web.JSON(c, http.StatusOK, page)
}
