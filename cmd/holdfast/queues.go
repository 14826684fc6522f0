package main

import (
	"context"
	"io"
	"net/http"
	"net/url"
)

type queuesCmd struct {
	List    queuesListCmd    `cmd:"" default:"withargs" help:"The queues, how full they are, and how they differ from what the server's version declares."`
	Rebuild queuesRebuildCmd `cmd:"" help:"Delete a queue and make it as the server's version declares it; what was on its way is published again."`
}

type queuesListCmd struct{ target }

func (c *queuesListCmd) Run(ctx context.Context, out io.Writer) error {
	return c.operate(ctx, out, http.MethodGet, "/queues", nil)
}

type queuesRebuildCmd struct {
	target
	Name    string `arg:"" help:"Name of the queue, without the prefix: view."`
	Backlog bool   `help:"Though messages wait in it: they come out of the outbox again, as far back as that is kept."`
	Force   bool   `help:"Though another version has bound more to it, or migrated the schema: for when that version was taken back for good."`
}

func (c *queuesRebuildCmd) Run(ctx context.Context, out io.Writer) error {
	body := map[string]bool{"backlog": c.Backlog, "force": c.Force}
	return c.operate(ctx, out, http.MethodPost, "/queues/"+url.PathEscape(c.Name)+"/rebuild", body)
}
