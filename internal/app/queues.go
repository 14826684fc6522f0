package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

func (s *server) queueRoutes(r web.Routes) {
	r.Admin.GET("/queues", s.listQueues)
	r.Admin.POST("/queues/:name/rebuild", s.rebuildQueue)
}

// checkQueues notes queues that are used as they are, though this version declares them otherwise.
func (s *server) checkQueues(context.Context) error {
	var errs []error
	for _, d := range s.broker.Metrics.Differences() {
		name := strings.TrimPrefix(d.Queue, s.broker.Topology.Queue(""))
		errs = append(errs, fmt.Errorf("%s: %s (`holdfast queues rebuild %s`)", d.Queue, d.Differs, name))
	}
	return web.Note(errors.Join(errs...))
}

// listQueues shows the queues.
//
//	@Summary	The queues, how full they are, and how they differ from what this version declares
//	@Tags		admin
//	@Produce	json
//	@Security	Bearer
//	@Success	200	{object}	web.List[broker.Depth]
//	@Failure	401,403,503	{object}	web.Problem
//	@Router		/admin/queues [get]
func (s *server) listQueues(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), brokerPatience)
	defer cancel()
	depths, err := broker.Depths(ctx, s.broker)
	if err != nil {
		return brokerAway(err)
	}
	return web.JSON(c, http.StatusOK, web.List[broker.Depth]{Items: depths})
}

// brokerAway is what an operator is told when RabbitMQ cannot be asked: its own words may hold a password.
func brokerAway(err error) error {
	return fault.New(fault.Unavailable, "The broker does not answer.").Because(err)
}

// rebuildRequest says what a queue may be made anew in spite of.
type rebuildRequest struct {
	Backlog bool `json:"backlog,omitempty"` // messages that wait in it: they are published again from the outbox, as far back as it is kept
	Force   bool `json:"force,omitempty"`   // another version that has bound more to it, or migrated the schema: what only that has bound is forgotten
} //	@name	RebuildQueue

// rebuildQueue makes a queue anew.
//
//	@Summary		Delete a queue and make it as this version declares it
//	@Description	For a queue that another version has declared otherwise. What its module has not handled is published to it again. An instance of an older version refuses, and so does any while messages wait in the queue and its module does not keep up.
//	@Tags			admin
//	@Accept			json
//	@Produce		json
//	@Security		Bearer
//	@Param			name	path		string			true	"name of the queue, without the prefix"	example(view)
//	@Param			request	body		rebuildRequest	true	"{} for the careful way"
//	@Success		200		{object}	broker.Depth
//	@Failure		400,401,403,404,409,413,415,422,503	{object}	web.Problem
//	@Router			/admin/queues/{name}/rebuild [post]
func (s *server) rebuildQueue(c echo.Context) error {
	ctx, name := c.Request().Context(), c.Param("name")
	var req rebuildRequest
	if err := web.Decode(c, &req); err != nil {
		return err
	}
	queue := s.broker.Topology.Queue(name)
	_, ofModule := s.broker.Topology.Queues[name]
	if !ofModule && queue != s.broker.Topology.Dead() && queue != s.broker.Topology.Unrouted() {
		return fault.New(fault.NotFound, "There is no such queue.")
	}
	module := s.broker.Topology.Module(name)
	if err := s.mayRebuild(ctx, module, req.Force); err != nil {
		return err
	}
	switch err := broker.Rebuild(ctx, s.broker, name, req.Backlog); {
	case errors.Is(err, broker.ErrBacklog):
		return fault.New(fault.Conflict, "Messages wait in the queue: wait until its module has caught up, or give backlog.").Because(err)
	case err != nil:
		return brokerAway(err)
	}
	if req.Force && ofModule {
		if err := s.rollout.Unbind(ctx, module); err != nil {
			return err
		}
	}
	s.log.WarnContext(ctx, "an operator had a queue made anew", "queue", queue, "by", web.Customer(c), "backlog", req.Backlog, "force", req.Force)
	return web.JSON(c, http.StatusOK, broker.Depth{Queue: queue})
}

// mayRebuild refuses on an older version, which would take a newer one's queue back to what it was.
func (s *server) mayRebuild(ctx context.Context, module string, force bool) error {
	if force {
		return nil
	}
	schema, err := postgres.ReadSchema(ctx, s.db)
	if err != nil {
		return err
	}
	if ahead := schema.Ahead(); ahead != nil {
		return fault.New(fault.Conflict, "A newer version has migrated the schema: ask an instance of that version, or give force.").Because(ahead)
	}
	foreign, err := s.rollout.Foreign(ctx, module)
	if err != nil {
		return err
	}
	if len(foreign) > 0 {
		return fault.New(fault.Conflict, "Another version has bound more to the queue (%s): ask an instance of that version, or give force.", strings.Join(foreign, ", "))
	}
	return nil
}
