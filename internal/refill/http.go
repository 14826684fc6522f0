package refill

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

// Status is what is known of a module's hearing.
type Status struct {
	Module     string     `json:"module" validate:"required" example:"inventory"`
	Mark       uint64     `json:"mark" validate:"required"`  // it has heard everything of the transactions below
	AskedAt    *time.Time `json:"asked_at,omitempty"`        // somebody asks for what it has not heard; absent: nobody does
	RefilledAt *time.Time `json:"refilled_at,omitempty"`     // when facts were last published to it again
	Facts      int64      `json:"facts" validate:"required"` // how many, in all
} //	@name	Refill

// Status gives the modules by name.
func (r *Refiller) Status(ctx context.Context) ([]Status, error) {
	rows, err := r.DB.Query(ctx, `
		SELECT m.module, coalesce(f.mark, '0'), f.asked_at, f.refilled_at, coalesce(f.facts, 0)
		FROM unnest($1::text[]) AS m(module) LEFT JOIN shared.refills f USING (module) ORDER BY m.module`, r.modules())
	if err != nil {
		return nil, fmt.Errorf("refill status: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Status])
	if err != nil {
		return nil, fmt.Errorf("refill status: %w", err)
	}
	return list, nil
}

// Ask asks for everything that modules (none: all) should have heard by now and have not. Whoever leads sees to it as soon as
// the relay has published what was said until now.
func (r *Refiller) Ask(ctx context.Context, modules ...string) ([]Status, error) {
	if len(modules) == 0 {
		modules = r.modules()
	}
	_, err := r.DB.Exec(ctx, `
		INSERT INTO shared.refills (module, asked_at) SELECT module, clock_timestamp() FROM unnest($1::text[]) AS m(module)
		ON CONFLICT (module) DO UPDATE SET asked_at = excluded.asked_at`, modules)
	if err != nil {
		return nil, fmt.Errorf("ask for a refill: %w", err)
	}
	return r.Status(ctx)
}

// Routes adds the operators' way to ask.
func (r *Refiller) Routes(routes web.Routes) { routes.Admin.POST("/refills", r.ask) }

// refillRequest says whose queue is meant.
type refillRequest struct {
	Module string `json:"module,omitempty" validate:"max=100" example:"inventory"` // absent: all
} //	@name	RefillRequest

// ask has what modules have not heard published to them again.
//
//	@Summary		Publish again what modules should have heard and have not
//	@Description	For when a queue was purged or lost. It also happens by itself: at once for a queue that had to be made anew, and for one that was purged as soon as that is seen. GET /admin/status shows what came of it.
//	@Tags			admin
//	@Accept			json
//	@Produce		json
//	@Security		Bearer
//	@Param			request	body		refillRequest	true	"which; {} is all of them"
//	@Success		202		{object}	web.List[Status]
//	@Failure		400,401,403,413,415,422,503	{object}	web.Problem
//	@Router			/admin/refills [post]
func (r *Refiller) ask(c echo.Context) error {
	var req refillRequest
	if err := web.Decode(c, &req); err != nil {
		return err
	}
	var modules []string
	if req.Module != "" {
		if modules = []string{req.Module}; !slices.Contains(r.modules(), req.Module) {
			return fault.Unprocessable("There is no module %q.", req.Module).With(fault.Line{Field: "module", Detail: "not one that hears"})
		}
	}
	list, err := r.Ask(c.Request().Context(), modules...)
	if err != nil {
		return err
	}
	return web.JSON(c, http.StatusAccepted, web.List[Status]{Items: list})
}
