package main

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

type paymentsCmd struct {
	List          paymentsListCmd          `cmd:"" default:"withargs" help:"Payments that are under way: to be charged, unknown, or owed back."`
	Show          paymentsShowCmd          `cmd:"" help:"The payment of an order."`
	Orphans       paymentsOrphansCmd       `cmd:"" help:"Money that only the provider or only Holdfast knows of."`
	RefundOrphan  paymentsRefundOrphanCmd  `cmd:"" help:"Have the provider give back a charge that nobody here wants."`
	SettleOrphan  paymentsSettleOrphanCmd  `cmd:"" help:"Note that somebody has seen to money that only one side knows of."`
	Disputes      paymentsDisputesCmd      `cmd:"" help:"Charges that customers have had their banks take back."`
	FailedRefunds paymentsFailedRefundsCmd `cmd:"" help:"Refunds that have failed at the provider, though it had made them."`
	Retry         paymentsRetryCmd         `cmd:"" help:"Ask the provider now for what is to be done."`
	Close         paymentsCloseCmd         `cmd:"" help:"Have the provider close a charge: it has happened already, or it never will."`
	Adopt         paymentsAdoptCmd         `cmd:"" help:"Take over the charge or refund that the provider has and that is not known here."`
	Settle        paymentsSettleCmd        `cmd:"" help:"Note that the customer was given the money back by another way than the provider."`
}

type paymentsListCmd struct {
	target
	State  string `enum:"open,failing,waiting,PENDING,UNKNOWN,REFUNDING,reversed,disputed,settled" default:"open" help:"Only those: ${enum}."`
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

type paymentsDisputesCmd struct {
	target
	Open   bool   `help:"Only those that are not over."`
	Limit  int    `default:"50" help:"How many."`
	Cursor string `help:"next_cursor of the page before."`
}

func (c *paymentsDisputesCmd) Run(ctx context.Context, out io.Writer) error {
	state := "all"
	if c.Open {
		state = "open"
	}
	return c.operate(ctx, out, http.MethodGet, "/disputes?"+pageOf(c.Limit, c.Cursor, state), nil)
}

type paymentsFailedRefundsCmd struct {
	target
	State  string `enum:"all,none" default:"all" help:"none: only those that nothing came of here."`
	Limit  int    `default:"50" help:"How many."`
	Cursor string `help:"next_cursor of the page before."`
}

func (c *paymentsFailedRefundsCmd) Run(ctx context.Context, out io.Writer) error {
	return c.operate(ctx, out, http.MethodGet, "/failed-refunds?"+pageOf(c.Limit, c.Cursor, c.State), nil)
}

type paymentsRefundOrphanCmd struct {
	target
	ID string `arg:"" help:"The provider's id of the charge."`
}

func (c *paymentsRefundOrphanCmd) Run(ctx context.Context, out io.Writer) error {
	return c.operate(ctx, out, http.MethodPost, "/orphans/"+url.PathEscape(c.ID)+"/refund", nil)
}

type paymentsSettleOrphanCmd struct {
	target
	ID     string `arg:"" help:"The provider's id of the charge or refund."`
	Reason string `required:"" help:"What was done about it, or why nothing has to be."`
}

func (c *paymentsSettleOrphanCmd) Run(ctx context.Context, out io.Writer) error {
	return c.operate(ctx, out, http.MethodPost, "/orphans/"+url.PathEscape(c.ID)+"/settle", map[string]any{"reason": c.Reason})
}

func pageOf(limit int, cursor, state string) string {
	query := url.Values{"limit": {strconv.Itoa(limit)}, "state": {state}}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	return query.Encode()
}

type paymentsRetryCmd struct {
	target
	Order string `arg:"" help:"Id of the order."`
}

func (c *paymentsRetryCmd) Run(ctx context.Context, out io.Writer) error {
	return c.operate(ctx, out, http.MethodPost, "/payments/"+url.PathEscape(c.Order)+"/retry", nil)
}

type paymentsCloseCmd struct {
	target
	Order string `arg:"" help:"Id of the order."`
}

func (c *paymentsCloseCmd) Run(ctx context.Context, out io.Writer) error {
	return c.operate(ctx, out, http.MethodPost, "/payments/"+url.PathEscape(c.Order)+"/close", nil)
}

type paymentsAdoptCmd struct {
	target
	Order string `arg:"" help:"Id of the order."`
}

func (c *paymentsAdoptCmd) Run(ctx context.Context, out io.Writer) error {
	return c.operate(ctx, out, http.MethodPost, "/payments/"+url.PathEscape(c.Order)+"/adopt", nil)
}

type paymentsSettleCmd struct {
	target
	Order   string `arg:"" help:"Id of the order."`
	Reason  string `required:"" help:"How the money was given back, and why so."`
	Unasked bool   `help:"Though the provider cannot be asked whether it has given the money back."`
}

func (c *paymentsSettleCmd) Run(ctx context.Context, out io.Writer) error {
	body := map[string]any{"reason": c.Reason, "unasked": c.Unasked}
	return c.operate(ctx, out, http.MethodPost, "/payments/"+url.PathEscape(c.Order)+"/settle", body)
}
