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
	Settle        paymentsSettleCmd        `cmd:"" help:"Note what is true of the money that the provider does not tell."`
	CloseAccount  paymentsCloseAccountCmd  `cmd:"" help:"Note that an account of a provider is gone for good."`
}

// pages is a command that lists a page.
type pages struct {
	target
	Limit  int    `default:"50" help:"How many."`
	Cursor string `help:"next_cursor of the page before."`
}

func (p *pages) list(ctx context.Context, out io.Writer, path, state string) error {
	query := url.Values{"limit": {strconv.Itoa(p.Limit)}, "state": {state}}
	if p.Cursor != "" {
		query.Set("cursor", p.Cursor)
	}
	return p.operate(ctx, out, http.MethodGet, path+"?"+query.Encode(), nil)
}

type paymentsListCmd struct {
	pages
	State string `enum:"open,failing,waiting,PENDING,UNKNOWN,REFUNDING,reversed,disputed,settled" default:"open" help:"Only those: ${enum}."`
}

func (c *paymentsListCmd) Run(ctx context.Context, out io.Writer) error {
	return c.list(ctx, out, "/payments", c.State)
}

type paymentsOrphansCmd struct {
	pages
	Open bool `help:"Only those that were not given back."`
}

func (c *paymentsOrphansCmd) Run(ctx context.Context, out io.Writer) error {
	return c.list(ctx, out, "/orphans", allOr(c.Open))
}

type paymentsDisputesCmd struct {
	pages
	Open bool `help:"Only those that are not over."`
}

func (c *paymentsDisputesCmd) Run(ctx context.Context, out io.Writer) error {
	return c.list(ctx, out, "/disputes", allOr(c.Open))
}

func allOr(open bool) string {
	if open {
		return "open"
	}
	return "all"
}

type paymentsFailedRefundsCmd struct {
	pages
	State string `enum:"all,none" default:"all" help:"none: only those that nothing came of here."`
}

func (c *paymentsFailedRefundsCmd) Run(ctx context.Context, out io.Writer) error {
	return c.list(ctx, out, "/failed-refunds", c.State)
}

// ofOrder is a command about the payment of an order.
type ofOrder struct {
	target
	Order string `arg:"" help:"Id of the order."`
}

func (o *ofOrder) ask(ctx context.Context, out io.Writer, method, act string, body any) error {
	return o.operate(ctx, out, method, "/payments/"+url.PathEscape(o.Order)+act, body)
}

type paymentsShowCmd struct{ ofOrder }

func (c *paymentsShowCmd) Run(ctx context.Context, out io.Writer) error {
	return c.ask(ctx, out, http.MethodGet, "", nil)
}

type paymentsRetryCmd struct{ ofOrder }

func (c *paymentsRetryCmd) Run(ctx context.Context, out io.Writer) error {
	return c.ask(ctx, out, http.MethodPost, "/retry", nil)
}

type paymentsCloseCmd struct{ ofOrder }

func (c *paymentsCloseCmd) Run(ctx context.Context, out io.Writer) error {
	return c.ask(ctx, out, http.MethodPost, "/close", nil)
}

type paymentsAdoptCmd struct{ ofOrder }

func (c *paymentsAdoptCmd) Run(ctx context.Context, out io.Writer) error {
	return c.ask(ctx, out, http.MethodPost, "/adopt", nil)
}

type paymentsSettleCmd struct {
	ofOrder
	Reason  string `required:"" help:"How one knows, and why so."`
	Outcome string `enum:"charged,not_charged,refunded" default:"refunded" help:"What is true outside: ${enum}. refunded: the customer has the money back, by another way than the provider."`
	Unasked bool   `help:"Though the provider cannot be asked."`
}

func (c *paymentsSettleCmd) Run(ctx context.Context, out io.Writer) error {
	return c.ask(ctx, out, http.MethodPost, "/settle", map[string]any{"reason": c.Reason, "outcome": c.Outcome, "unasked": c.Unasked})
}

type paymentsCloseAccountCmd struct {
	target
	Provider string `arg:"" help:"Name of the provider, as the audit says it."`
	Account  string `arg:"" help:"The provider's own word for the account, as the audit says it."`
	Reason   string `required:"" help:"Why nobody can ask there any more."`
}

func (c *paymentsCloseAccountCmd) Run(ctx context.Context, out io.Writer) error {
	body := map[string]any{"provider": c.Provider, "account": c.Account, "reason": c.Reason}
	return c.operate(ctx, out, http.MethodPost, "/payment-accounts/close", body)
}

// ofOrphan is a command about a charge or refund that only one side knows of.
type ofOrphan struct {
	target
	ID string `arg:"" help:"The provider's id of the charge or refund."`
}

func (o *ofOrphan) ask(ctx context.Context, out io.Writer, act string, body any) error {
	return o.operate(ctx, out, http.MethodPost, "/orphans/"+url.PathEscape(o.ID)+act, body)
}

type paymentsRefundOrphanCmd struct{ ofOrphan }

func (c *paymentsRefundOrphanCmd) Run(ctx context.Context, out io.Writer) error {
	return c.ask(ctx, out, "/refund", nil)
}

type paymentsSettleOrphanCmd struct {
	ofOrphan
	Reason string `required:"" help:"What was done about it, or why nothing has to be."`
}

func (c *paymentsSettleOrphanCmd) Run(ctx context.Context, out io.Writer) error {
	return c.ask(ctx, out, "/settle", map[string]any{"reason": c.Reason})
}
