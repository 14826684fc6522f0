package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/app"
	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/sandbox"
	"github.com/holdfast-checkout/holdfast/internal/stack"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

type serveCmd struct{ config.Config }

func (c *serveCmd) Run(ctx context.Context) error {
	if err := errors.Join(c.Complete(), app.Check(c.Config)); err != nil {
		return usageError{err}
	}
	log := newLog(c.LogLevel, c.LogFormat)
	redisx.LogTo(log)
	return app.ServeWith(ctx, c.Config, connect(c.Namespace), log, nil)
}

type sandboxCmd struct {
	Addr    string        `default:"127.0.0.1:8090" help:"Address to listen on."`
	Ledger  string        `default:"sandbox-ledger.jsonl" help:"File of charges and refunds; made if it is not there."`
	Key     string        `required:"" help:"Key that callers present."`
	Latency time.Duration `help:"Added to every answer."`
	Seed    uint64        `default:"1" help:"Decides the faults."`
	Decline float64       `help:"Share of charges that are declined." placeholder:"P"`
	Error   float64       `help:"Share of charges and refunds that are answered by a 500 first, half of them when they are done." placeholder:"P"`
	Drop    float64       `help:"Share of charges and refunds whose first answer is lost." placeholder:"P"`
	Late    float64       `help:"Share of charges and refunds that are late." placeholder:"P"`

	FailRefunds float64       `help:"Share of refunds that fail after they have succeeded, once each." placeholder:"P"`
	Disputes    float64       `help:"Share of charges that are disputed afterwards; half of these disputes are won." placeholder:"P"`
	Afterwards  time.Duration `default:"3s" help:"How long after a refund or charge that is."`

	KeepErrors bool `help:"Keep an answer of 500 or 422 under its request's Request-Key and give it again, as Stripe does."`

	WebhookURL     string        `name:"webhook-url" help:"Where charges and refunds are told of; empty: nowhere." placeholder:"http://…"`
	WebhookSecret  string        `help:"What webhooks are signed with: whsec_ and 24 bytes or more in base64." placeholder:"SECRET"`
	WebhookDelay   time.Duration `default:"500ms" help:"Between a charge and its webhook."`
	WebhookLate    float64       `help:"Share of webhooks that are later." placeholder:"P"`
	WebhookRepeat  float64       `help:"Share of webhooks that are told again, though they were taken." placeholder:"P"`
	WebhookReorder float64       `help:"Share of webhooks that others overtake." placeholder:"P"`

	LogLevel  string `enum:"debug,info,warn,error" default:"info" help:"Least level that is logged (${enum})."`
	LogFormat string `enum:"text,json" default:"text" help:"Form of the log (${enum})."`
}

func (c *sandboxCmd) Run(ctx context.Context) error {
	server, err := sandbox.Open(sandbox.Options{
		Addr: c.Addr, LedgerFile: c.Ledger, APIKey: c.Key, Latency: c.Latency, Seed: c.Seed,
		Faults:       sandbox.Faults{Decline: c.Decline, Error: c.Error, Drop: c.Drop, Late: c.Late, FailRefund: c.FailRefunds, Dispute: c.Disputes},
		AfterwardsBy: c.Afterwards, KeepErrors: c.KeepErrors, Log: newLog(c.LogLevel, c.LogFormat),
		Webhooks: sandbox.Webhooks{
			URL: c.WebhookURL, Secret: c.WebhookSecret, Delay: c.WebhookDelay,
			Late: c.WebhookLate, Repeat: c.WebhookRepeat, Reorder: c.WebhookReorder,
		},
	})
	if err != nil {
		return err
	}
	return server.Run(ctx)
}

type migrateCmd struct {
	PostgresURL    string `name:"postgres-url" help:"Postgres, as a URL." placeholder:"postgres://…"`
	ReplicationURL string `name:"replication-url" help:"Postgres past any pooler, as the owner of the tables; empty: --postgres-url." placeholder:"postgres://…"`
}

func (c *migrateCmd) Run(ctx context.Context) error {
	url := cmp.Or(c.ReplicationURL, c.PostgresURL)
	if url == "" {
		return usageError{errors.New("--postgres-url is missing")}
	}
	return postgres.Migrate(ctx, url)
}

type tokenCmd struct {
	Sub       string        `required:"" help:"Whom the token speaks for: the customer's id, up to 128 characters."`
	Admin     bool          `help:"An operator's token."`
	TTL       time.Duration `name:"ttl" default:"1h" help:"How long it is good for."`
	JWTSecret string        `name:"jwt-secret" help:"Secret to sign with; empty: that of the make run in this folder." placeholder:"SECRET"`
}

func (c *tokenCmd) Run(out io.Writer) error {
	if n := len([]rune(c.Sub)); n == 0 || n > web.MaxSubject {
		return usageError{fmt.Errorf("--sub: 1 to %d characters", web.MaxSubject)}
	}
	if c.TTL <= 0 {
		return usageError{errors.New("--ttl: must be more than 0")}
	}
	if c.JWTSecret == "" {
		state, err := stack.LoadState(stackDir)
		if err != nil {
			return usageError{fmt.Errorf("give --jwt-secret, or start `make run` in this folder: %w", err)}
		}
		c.JWTSecret = state.JWTSecret
	}
	token, err := web.Tokens{Secret: []byte(c.JWTSecret)}.Issue(c.Sub, c.Admin, c.TTL)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, token)
	return nil
}

type versionCmd struct{}

func (versionCmd) Run(out io.Writer) error {
	v := app.Version()
	_, err := fmt.Fprintf(out, "holdfast %s (%s, %s)\n", v.Version, v.Commit, v.Go)
	return err
}
