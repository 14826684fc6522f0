package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
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
