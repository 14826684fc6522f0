package app

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/deadletter"
	"github.com/holdfast-checkout/holdfast/internal/lease"
	"github.com/holdfast-checkout/holdfast/internal/outbox"
	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/reconcile"
	"github.com/holdfast-checkout/holdfast/internal/refill"
	"github.com/holdfast-checkout/holdfast/internal/relay"
	"github.com/holdfast-checkout/holdfast/internal/rollout"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

// brokerPatience is how long an operator waits for the depths of the queues: a broker that is frozen never answers.
const brokerPatience = 2 * time.Second

// Status is what an operator looks at first.
type Status struct {
	Strategy           string                 `json:"strategy"`
	OutboxMode         string                 `json:"outbox_mode"`
	Schema             postgres.Schema        `json:"schema"`
	Outbox             relay.Status           `json:"outbox"`
	Partitions         outbox.Reach           `json:"partitions_until"`           // facts of later find no place
	PartitionsLeft     []outbox.Left          `json:"partitions_left"`            // that are there though their time is over
	PartitionsError    string                 `json:"partitions_error,omitempty"` // of the last turn, on the instance that turns them
	Leaders            []lease.Held           `json:"leaders"`
	Queues             []broker.Depth         `json:"queues"`
	QueuesError        string                 `json:"queues_error,omitempty"` // why the depths could not be had
	OrdersUnderWay     int64                  `json:"orders_under_way"`
	OrdersEnding       int64                  `json:"orders_ending"`
	OrdersUnknown      int64                  `json:"orders_unknown"` // whose payment is being asked for
	Publisher          broker.PublisherStatus `json:"publisher"`      // the relay's, on this instance
	DeadLetters        deadletter.Status      `json:"dead_letters"`
	WaitingFacts       []rollout.Waiting      `json:"waiting_facts"` // for an instance whose version has a row for them
	Hearing            []broker.Hearing       `json:"hearing"`       // by this instance, since its start
	Refills            []refill.Status        `json:"refills"`       // what modules have heard, and what was published to them again
	Payments           payment.Status         `json:"payments"`      // that are under way
	Orphans            payment.HuntStatus     `json:"orphans"`       // money that only the provider or only we know of
	LastReconciliation *reconcile.Run         `json:"last_reconciliation" extensions:"x-nullable"`
}

func (s *server) statusRoutes(r web.Routes) { r.Admin.GET("/status", s.status) }

// status shows how the instance and what it works with are doing.
//
//	@Summary	How it is doing
//	@Tags		admin
//	@Produce	json
//	@Security	Bearer
//	@Success	200	{object}	Status
//	@Failure	401,403,503	{object}	web.Problem
//	@Router		/admin/status [get]
func (s *server) status(c echo.Context) error {
	ctx := c.Request().Context()
	st := Status{Strategy: s.cfg.Strategy, OutboxMode: s.cfg.OutboxMode, Publisher: s.publisher.Status(), Hearing: s.broker.Metrics.Hearing()}
	var err error
	if st.OrdersUnderWay, st.OrdersEnding, st.OrdersUnknown, err = s.modules.order.UnderWay(ctx); err != nil {
		return err
	}
	if st.Schema, err = postgres.ReadSchema(ctx, s.db); err != nil {
		return err
	}
	if st.Payments, err = s.modules.charger.Status(ctx); err != nil {
		return err
	}
	if st.Partitions, _, err = outbox.ReadReach(ctx, s.db); err != nil {
		return err
	}
	if st.PartitionsLeft, err = s.lookAtLeft(ctx); err != nil {
		return err
	}
	if failed := s.partitions.failed.Load(); failed != nil {
		st.PartitionsError = (*failed).Error()
	}
	if st.Leaders, err = lease.List(ctx, s.db); err != nil {
		return err
	}
	if st.Outbox, err = s.relay.Status(ctx); err != nil {
		return err
	}
	runs, err := s.repairs.Runs(ctx, uuid.Nil, 1)
	if err != nil {
		return err
	}
	if len(runs) > 0 {
		st.LastReconciliation = &runs[0]
	}
	if st.DeadLetters, err = s.letters.Status(ctx); err != nil {
		return err
	}
	if st.WaitingFacts, err = s.rollout.Status(ctx); err != nil {
		return err
	}
	if st.Orphans, err = s.modules.hunters.Status(ctx, st.Payments.Accounts); err != nil {
		return err
	}
	if st.Refills, err = s.refills.Status(ctx); err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, brokerPatience)
	defer cancel()
	if st.Queues, err = broker.Depths(asking, s.broker); err != nil {
		st.QueuesError = "the broker does not answer" // its own words may hold a password
		st.Queues = []broker.Depth{}
		s.log.WarnContext(ctx, "queue depths", "error", err)
	}
	return web.JSON(c, http.StatusOK, st)
}
