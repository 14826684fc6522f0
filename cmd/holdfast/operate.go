package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

type reconcileCmd struct {
	target
	Scope  string `enum:"delta,full" default:"delta" help:"What to compare: ${enum}."`
	DryRun bool   `help:"Say what would be repaired, and change nothing."`
}

func (c *reconcileCmd) Run(ctx context.Context, out io.Writer) error {
	body := map[string]any{"scope": c.Scope, "dry_run": c.DryRun}
	return c.operate(ctx, out, http.MethodPost, "/reconciliations", body)
}

type dlqCmd struct {
	List   dlqListCmd   `cmd:"" default:"withargs" help:"What a module could not digest, and why."`
	Replay dlqReplayCmd `cmd:"" help:"Hand a dead letter to its module again."`
	Delete dlqDeleteCmd `cmd:"" help:"Give a dead letter up."`
}

type dlqListCmd struct {
	target
	Limit int `default:"50" help:"How many."`
}

func (c *dlqListCmd) Run(ctx context.Context, out io.Writer) error {
	return c.operate(ctx, out, http.MethodGet, fmt.Sprintf("/dead-letters?limit=%d", c.Limit), nil)
}

type dlqReplayCmd struct {
	target
	ID string `arg:"" help:"Id of the dead letter."`
}

func (c *dlqReplayCmd) Run(ctx context.Context, out io.Writer) error {
	return c.operate(ctx, out, http.MethodPost, "/dead-letters/"+url.PathEscape(c.ID)+"/replay", nil)
}

type dlqDeleteCmd struct {
	target
	ID     string `arg:"" help:"Id of the dead letter."`
	Reason string `required:"" help:"Why it is given up."`
}

func (c *dlqDeleteCmd) Run(ctx context.Context, out io.Writer) error {
	return c.operate(ctx, out, http.MethodDelete, "/dead-letters/"+url.PathEscape(c.ID)+"?reason="+url.QueryEscape(c.Reason), nil)
}

// operate calls one of the operators' endpoints and prints the answer.
func (t *target) operate(ctx context.Context, out io.Writer, method, path string, body any) error {
	if err := t.find(); err != nil {
		return err
	}
	token, err := t.token("holdfast-cli", true)
	if err != nil {
		return err
	}
	var answer json.RawMessage
	if err := call(ctx, method, t.URL+"/api/v1/admin"+path, token, body, &answer); err != nil {
		return err
	}
	if len(answer) == 0 {
		return nil
	}
	pretty, err := json.MarshalIndent(answer, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", pretty)
	return err
}
