package audit

import (
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

// How long the operators' endpoint waits for rest, and how long all of an audit may take there. A shop too large for it is
// audited by the command.
const (
	defaultWait = 15 * time.Second
	maxWait     = 120 * time.Second
	maxAudit    = 5 * time.Minute
)

// HTTP is the auditor's part of the operators' API.
type HTTP struct {
	options Options
	running chan struct{} // holds one token while an audit runs
}

// NewHTTP makes it. The wait in the options is not used: each request says its own.
func NewHTTP(o Options) *HTTP { return &HTTP{options: o, running: make(chan struct{}, 1)} }

// Routes adds the auditor's route.
func (h *HTTP) Routes(r web.Routes) {
	r.Admin.POST("/audit", h.audit, web.Timeout(maxAudit), web.NoBody)
}

// audit proves the invariants.
//
//	@Summary		Prove the invariants from the data alone
//	@Description	Waits for rest (nothing under way, queues empty, cooldown over) and gives one verdict per invariant. What holds only at rest is skipped when none comes in time. One audit runs at a time.
//	@Tags			admin
//	@Produce		json
//	@Security		Bearer
//	@Param			wait	query		integer	false	"seconds to wait for rest, 15 unless said"	minimum(0)	maximum(120)
//	@Success		200		{object}	Report
//	@Failure		400,401,403,409,503	{object}	web.Problem
//	@Router			/admin/audit [post]
func (h *HTTP) audit(c echo.Context) error {
	wait, err := waitOf(c)
	if err != nil {
		return err
	}
	select {
	case h.running <- struct{}{}:
		defer func() { <-h.running }()
	default:
		return fault.New(fault.Conflict, "An audit is running already.")
	}
	o := h.options
	o.Wait = wait
	report, err := Run(c.Request().Context(), o)
	if err != nil {
		return err
	}
	return web.JSON(c, http.StatusOK, report)
}

func waitOf(c echo.Context) (time.Duration, error) {
	values, err := web.Query(c, "wait")
	if err != nil {
		return 0, err
	}
	said := values.Get("wait")
	if said == "" {
		return defaultWait, nil
	}
	seconds, err := strconv.ParseUint(said, 10, 31)
	if err != nil || time.Duration(seconds)*time.Second > maxWait {
		return 0, fault.New(fault.InvalidRequest, "The query is not valid.").With(fault.Line{
			Field: "wait", Detail: "not a whole number of seconds from 0 to " + strconv.Itoa(int(maxWait.Seconds())),
		})
	}
	return time.Duration(seconds) * time.Second, nil
}
