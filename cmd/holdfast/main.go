// Command holdfast takes customers from cart to paid order. One binary: the server, everything that it runs beside, and the
// tools that drive, repair and prove it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/holdfast-checkout/holdfast/internal/config"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitBroken = 3 // audit: an invariant is broken
)

// exitCode is an error that says how the program ends. Its message, if any, has been printed already.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// usageError is an error of what was asked for, not of doing it.
type usageError struct{ error }

type cli struct {
	ConfigFile kong.ConfigFlag `name:"config" help:"YAML file of settings." placeholder:"FILE"`

	Serve     serveCmd     `cmd:"" help:"Run the server."`
	Dev       devCmd       `cmd:"" help:"Run everything on this machine: the three servers, the payment sandbox, a demo catalogue, the server."`
	Sandbox   sandboxCmd   `cmd:"" help:"Run the payment sandbox, a provider of its own with a durable ledger."`
	Migrate   migrateCmd   `cmd:"" help:"Bring the database to the newest schema."`
	Replay    replayCmd    `cmd:"" help:"Drive a running server with a real shop's orders."`
	Compare   compareCmd   `cmd:"" help:"Play one load against each strategy in turn, and tell what each costs."`
	Audit     auditCmd     `cmd:"" help:"Prove that stock and money add up."`
	Archive   archiveCmd   `cmd:"" help:"Move orders that ended long ago to the archive, or bring one back."`
	Reconcile reconcileCmd `cmd:"" help:"Compare Redis with Postgres and repair it."`
	Dlq       dlqCmd       `cmd:"" help:"List, replay and delete dead letters."`
	Payments  paymentsCmd  `cmd:"" help:"Show payments that are under way and money that only one side knows of, and see to them."`
	Queues    queuesCmd    `cmd:"" help:"Show queues, and make one anew that another version has declared."`
	Token     tokenCmd     `cmd:"" help:"Print a token."`
	Version   versionCmd   `cmd:"" help:"Print the version."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(execute(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// execute does what the arguments say and gives the exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var c cli
	helped := false
	parser, err := kong.New(&c, append(config.Options(),
		kong.Name("holdfast"),
		kong.Description("A checkout engine that never sells a unit twice, never charges twice, never loses an order."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { helped = true }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.BindTo(stdout, (*io.Writer)(nil)),
		kong.UsageOnError(),
	)...)
	if err != nil {
		fmt.Fprintln(stderr, "holdfast:", err)
		return exitFailed
	}
	command, err := parser.Parse(args)
	if helped {
		return exitDone
	}
	if err != nil {
		fmt.Fprintf(stderr, "holdfast: %v (see holdfast --help)\n", err)
		return exitUsage
	}
	return codeOf(command.Run(), stderr)
}

func codeOf(err error, stderr io.Writer) int {
	var code exitCode
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &usage):
		fmt.Fprintln(stderr, "holdfast:", err)
		return exitUsage
	default:
		fmt.Fprintln(stderr, "holdfast:", err)
		return exitFailed
	}
}
