package main

import (
	"cmp"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/stack"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

// stackDir is where `make run` keeps everything, below the folder that it is started in.
const stackDir = ".stack"

// tokenLife is how long the tokens live that the tools make for themselves.
const tokenLife = 12 * time.Hour

// target is how a tool finds the server: named, or through the .stack folder of a running `make run`.
type target struct {
	URL       string `name:"url" help:"URL of the server; empty: the one that make run has started in this folder." placeholder:"http://…"`
	JWTSecret string `name:"jwt-secret" help:"Secret to make tokens with." placeholder:"SECRET"`
}

// find fills in what was not named.
func (t *target) find() error {
	if t.URL != "" && t.JWTSecret != "" {
		return nil
	}
	state, err := stack.LoadState(stackDir)
	if errors.Is(err, fs.ErrNotExist) {
		return usageError{errors.New("there is no .stack folder here: give --url and --jwt-secret, or start `make run` in this folder")}
	}
	if err != nil {
		return err
	}
	if t.URL == "" {
		t.URL = state.HTTPURL
	}
	if t.JWTSecret == "" {
		t.JWTSecret = state.JWTSecret
	}
	return nil
}

func (t *target) token(sub string, admin bool) (string, error) {
	return web.Tokens{Secret: []byte(t.JWTSecret)}.Issue(sub, admin, tokenLife)
}

// books is how a tool finds the servers behind the server.
type books struct {
	config.Servers
	SandboxURL string `name:"sandbox-url" help:"Where the payment sandbox is." placeholder:"http://…"`
	SandboxKey string `name:"sandbox-key" help:"Key of the payment sandbox." placeholder:"KEY"`

	PaymentProvider string   `enum:"sandbox,stripe" default:"sandbox" help:"Who charges: ${enum}. Stripe's key comes from --stripe-key-file or HOLDFAST_STRIPE_KEY."`
	StripeKeyFile   string   `name:"stripe-key-file" help:"File with Stripe's secret or restricted key; without one it is HOLDFAST_STRIPE_KEY in the environment." placeholder:"FILE"`
	StripeURL       string   `name:"stripe-url" help:"Where Stripe is, for tests; empty: Stripe itself." placeholder:"http://…"`
	FormerProviders []string `name:"former-provider" sep:";" help:"Where charges were made before, as the server is told." placeholder:"PROVIDER,url=…,key-file=…"`
}

// providers are those whose books are read.
func (b *books) providers() ([]config.Provider, error) {
	c := config.Config{
		SandboxURL: b.SandboxURL, SandboxKey: b.SandboxKey,
		PaymentProvider: b.PaymentProvider, StripeKeyFile: b.StripeKeyFile, StripeURL: b.StripeURL, FormerProviders: b.FormerProviders,
	}
	if err := c.ReadSecrets(); err != nil {
		return nil, usageError{err}
	}
	return c.Providers(), nil
}

// find fills in what is not said from the state of the `make run` in that folder: all of it, or, where the servers are said and are
// those which it uses, where its sandbox is.
func (b *books) find(dir string) error {
	named := b.Complete() == nil
	state, err := stack.LoadState(dir)
	if named && (err != nil || state.PostgresURL != b.PostgresURL || cmp.Or(state.Namespace, b.Namespace) != b.Namespace) {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return usageError{errors.Join(errors.New("there is no .stack folder here"), b.Complete())}
	}
	if err != nil {
		return err
	}
	fill := func(to *string, from string) {
		if *to == "" {
			*to = from
		}
	}
	fill(&b.PostgresURL, state.PostgresURL)
	fill(&b.RedisURL, state.RedisURL)
	fill(&b.RabbitMQURL, state.RabbitURL)
	fill(&b.SandboxURL, state.SandboxURL)
	fill(&b.SandboxKey, state.SandboxKey)
	if state.Namespace != "" {
		b.Namespace = state.Namespace
	}
	return b.Complete()
}

// newLog makes the log that a configuration asks for, on standard error.
func newLog(level, format string) *slog.Logger {
	var least slog.Level
	_ = least.UnmarshalText([]byte(level)) // the flag's enum has checked it
	options := &slog.HandlerOptions{Level: least}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}
