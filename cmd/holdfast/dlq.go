package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

type dlqCmd struct {
	List   dlqListCmd   `cmd:"" default:"withargs" help:"What a module could not digest, and why."`
	Show   dlqShowCmd   `cmd:"" help:"One dead letter, whole, with what was done about it."`
	Replay dlqReplayCmd `cmd:"" help:"Hand a dead letter, or all of a kind, to their modules again."`
	Delete dlqDeleteCmd `cmd:"" help:"Give a dead letter up."`
	Refill dlqRefillCmd `cmd:"" help:"Publish again what a module should have heard and has not: after a queue was purged."`
}

// kind narrows dead letters down.
type kind struct {
	Module string `help:"Only those of a module."`
	Type   string `help:"Only facts of a name, like order.created."`
	Reason string `help:"Only those that died of it: undecodable, permanent, exhausted or delivery."`
}

type dlqListCmd struct {
	target
	kind
	Open   bool   `help:"Only those that nobody has replayed."`
	Limit  int    `default:"50" help:"How many."`
	Cursor string `help:"next_cursor of the page before."`
}

func (c *dlqListCmd) Run(ctx context.Context, out io.Writer) error {
	query := url.Values{"limit": {strconv.Itoa(c.Limit)}}
	for name, value := range map[string]string{"module": c.Module, "type": c.Type, "reason": c.Reason, "cursor": c.Cursor} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if c.Open {
		query.Set("state", "open")
	}
	return c.operate(ctx, out, http.MethodGet, "/dead-letters?"+query.Encode(), nil)
}

type dlqShowCmd struct {
	target
	ID string `arg:"" help:"Id of the dead letter."`
}

func (c *dlqShowCmd) Run(ctx context.Context, out io.Writer) error {
	return c.operate(ctx, out, http.MethodGet, "/dead-letters/"+url.PathEscape(c.ID), nil)
}

type dlqReplayCmd struct {
	target
	kind
	ID  string `arg:"" optional:"" help:"Id of the dead letter."`
	All bool   `help:"All that are open, of the kind given: oldest first, 10,000 at most."`
}

func (c *dlqReplayCmd) Run(ctx context.Context, out io.Writer) error {
	if c.All == (c.ID != "") {
		return usageError{errors.New("give the id of a dead letter, or --all")}
	}
	if !c.All {
		if c.kind != (kind{}) {
			return usageError{errors.New("--module, --type and --reason go with --all")}
		}
		return c.operate(ctx, out, http.MethodPost, "/dead-letters/"+url.PathEscape(c.ID)+"/replay", nil)
	}
	body := map[string]string{}
	for name, value := range map[string]string{"module": c.Module, "type": c.Type, "reason": c.Reason} {
		if value != "" {
			body[name] = value
		}
	}
	return c.operate(ctx, out, http.MethodPost, "/dead-letters/replay", body)
}

type dlqDeleteCmd struct {
	target
	ID     string `arg:"" help:"Id of the dead letter."`
	Reason string `required:"" help:"Why it is given up."`
}

func (c *dlqDeleteCmd) Run(ctx context.Context, out io.Writer) error {
	return c.operate(ctx, out, http.MethodDelete, "/dead-letters/"+url.PathEscape(c.ID)+"?reason="+url.QueryEscape(c.Reason), nil)
}

type dlqRefillCmd struct {
	target
	Module string `help:"Only one module's queue."`
}

func (c *dlqRefillCmd) Run(ctx context.Context, out io.Writer) error {
	body := map[string]string{}
	if c.Module != "" {
		body["module"] = c.Module
	}
	return c.operate(ctx, out, http.MethodPost, "/refills", body)
}
