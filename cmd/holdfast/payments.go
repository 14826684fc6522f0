package main

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

type paymentsCmd struct {
	List    paymentsListCmd    `cmd:"" default:"withargs" help:"Payments that are under way: to be charged, unknown, or owed back."`
	Show    paymentsShowCmd    `cmd:"" help:"The payment of an order."`
	Orphans paymentsOrphansCmd `cmd:"" help:"Money that only the provider or only Holdfast knows of."`
}

type paymentsListCmd struct {
	target
	State  string `enum:"open,failing,PENDING,UNKNOWN,REFUNDING" default:"open" help:"Only those: ${enum}."`
	Limit  int    `default:"50" help:"How many."`
	Cursor string `help:"next_cursor of the page before."`
}

func (c *paymentsListCmd) Run(ctx context.Context, out io.Writer) error {
	return c.operate(ctx, out, http.MethodGet, "/payments?"+pageOf(c.Limit, c.Cursor, c.State), nil)
}

type paymentsShowCmd struct {
	target
	Order string `arg:"" help:"Id of the order."`
}

func (c *paymentsShowCmd) Run(ctx context.Context, out io.Writer) error {
	return c.operate(ctx, out, http.MethodGet, "/payments/"+url.PathEscape(c.Order), nil)
}

type paymentsOrphansCmd struct {
	target
	Open   bool   `help:"Only those that were not given back."`
	Limit  int    `default:"50" help:"How many."`
	Cursor string `help:"next_cursor of the page before."`
}

func (c *paymentsOrphansCmd) Run(ctx context.Context, out io.Writer) error {
	state := "all"
	if c.Open {
		state = "open"
	}
	return c.operate(ctx, out, http.MethodGet, "/orphans?"+pageOf(c.Limit, c.Cursor, state), nil)
}

func pageOf(limit int, cursor, state string) string {
	query := url.Values{"limit": {strconv.Itoa(limit)}, "state": {state}}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	return query.Encode()
}
