package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/holdfast-checkout/holdfast/internal/app"
	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/run"
	"github.com/holdfast-checkout/holdfast/internal/stack"
)

type devCmd struct {
	config.Config
	Dir  string `default:".stack" help:"Folder of data, logs and ports; the next start goes on with it."`
	Demo bool   `default:"true" negatable:"" help:"Fill an empty shop with a few products."`

	RedisMasters  int `help:"Run Redis as a cluster of so many masters, 3 to 9, instead of a single node; each has data of its own."`
	RabbitMQNodes int `name:"rabbitmq-nodes" help:"Run RabbitMQ as a cluster of so many nodes, 3 to 9, instead of a single one; each has data of its own."`
}

// Run starts everything and stops it, in order, when ctx ends. What a person starts with one command they end with one key.
func (c *devCmd) Run(ctx context.Context, out io.Writer) error {
	if err := app.Check(c.Config); err != nil {
		return usageError{err}
	}
	log := newLog(c.LogLevel, c.LogFormat)
	redisx.LogTo(log)
	options := stack.Options{
		Dir: c.Dir, Log: log, PostgresURL: c.PostgresURL, RedisURL: c.RedisURL, RabbitURL: c.RabbitMQURL,
		RedisMasters: c.RedisMasters, RabbitNodes: c.RabbitMQNodes,
	}
	if err := options.Validate(); err != nil {
		return usageError{err}
	}
	if err := portFree(c.HTTPAddr); err != nil {
		return err
	}
	servers, err := stack.Start(ctx, options)
	if errors.Is(err, stack.ErrBusy) {
		return fmt.Errorf("%w: is `make run` running in this folder already?", err)
	}
	if err != nil {
		return err
	}
	err = c.runOn(ctx, servers, log, out)
	return errors.Join(err, servers.Stop())
}

func (c *devCmd) runOn(ctx context.Context, servers *stack.Stack, log *slog.Logger, out io.Writer) error {
	state, err := c.settle(servers)
	if err != nil {
		return err
	}
	if err := postgres.Migrate(ctx, c.DirectURL()); err != nil {
		return err
	}
	parts := []run.Part{{Name: "servers", Run: servers.Supervise}}
	if state.SandboxURL != "" {
		provider := &sandboxProcess{
			addr: hostOf(state.SandboxURL), key: c.SandboxKey, dir: c.Dir, log: log,
			webhooks: state.HTTPURL + "/api/v1/webhooks/payments/sandbox", secret: c.SandboxWebhookSecret,
		}
		parts = append(parts, run.Part{Name: "sandbox", Run: provider.Run})
	}
	return run.All(ctx, log, append(parts,
		run.Part{Name: "server", Run: func(ctx context.Context) error {
			return app.ServeWith(ctx, c.Config, connect(c.Namespace), log, func(ctx context.Context, _ string) error { return c.welcome(ctx, state, out) })
		}},
	)...)
}

// settle completes the configuration with what is running, and writes down what other commands need to find it. Secrets are
// made once per folder.
func (c *devCmd) settle(servers *stack.Stack) (stack.State, error) {
	state, err := stack.LoadState(c.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return state, err
	}
	c.PostgresURL, c.RedisURL, c.RabbitMQURL = servers.PostgresURL(), servers.RedisURL(), servers.RabbitURL()
	if c.JWTSecret == "" && c.JWKS == "" {
		c.JWTSecret = keep(&state.JWTSecret)
	}
	if c.SandboxKey == "" {
		c.SandboxKey = keep(&state.SandboxKey)
	}
	if c.SandboxWebhookSecret == "" {
		if state.WebhookSecret == "" {
			state.WebhookSecret = webhookSecret()
		}
		c.SandboxWebhookSecret = state.WebhookSecret
	}
	switch {
	case c.PaymentProvider != "sandbox":
		c.SandboxURL = "" // nobody would pay there
	case c.SandboxURL == "":
		if c.SandboxURL, err = sandboxURL(state.SandboxURL); err != nil {
			return state, err
		}
	}
	state = stack.State{
		PostgresURL: c.PostgresURL, RedisURL: c.RedisURL, RabbitURL: c.RabbitMQURL, HTTPURL: "http://" + c.HTTPAddr,
		SandboxURL: c.SandboxURL, JWTSecret: c.JWTSecret, SandboxKey: c.SandboxKey, WebhookSecret: c.SandboxWebhookSecret, Namespace: c.Namespace,
	}
	return state, stack.SaveState(c.Dir, state)
}

// keep gives a secret, made now if there is none yet.
func keep(secret *string) string {
	if *secret == "" {
		key := make([]byte, 32)
		_, _ = rand.Read(key) // never fails
		*secret = base64.RawURLEncoding.EncodeToString(key)
	}
	return *secret
}

// webhookSecret makes one as Standard Webhooks has them.
func webhookSecret() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return "whsec_" + base64.StdEncoding.EncodeToString(key)
}

// sandboxURL gives the sandbox a port: that of the last run if it is free.
func sandboxURL(last string) (string, error) {
	if last != "" && portFree(hostOf(last)) == nil {
		return last, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("a port for the sandbox: %w", err)
	}
	defer l.Close()
	return "http://" + l.Addr().String(), nil
}

func hostOf(url string) string { return url[len("http://"):] }

func portFree(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("the address %s is taken (choose another with --http-addr): %w", addr, err)
	}
	return l.Close()
}

func ledgerPath(dir string) (string, error) {
	dir = filepath.Join(dir, "sandbox")
	return filepath.Join(dir, "ledger.jsonl"), os.MkdirAll(dir, 0o700)
}
