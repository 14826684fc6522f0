package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// sandboxProcess runs the payment sandbox as a process of its own and starts it again when it dies: a provider is somebody
// else's, and survives what happens to the shop.
type sandboxProcess struct {
	addr, key, dir   string
	webhooks, secret string // where its webhooks go, and what they are signed with
	log              *slog.Logger
}

// Run keeps the sandbox running until ctx ends.
func (p *sandboxProcess) Run(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	ledger, err := ledgerPath(p.dir)
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	for {
		cmd := exec.CommandContext(ctx, self, "sandbox", "--addr", p.addr, "--ledger", ledger, "--log-level", "warn", "--webhook-url", p.webhooks)
		cmd.Env = append(os.Environ(), "HOLDFAST_KEY="+p.key, "HOLDFAST_WEBHOOK_SECRET="+p.secret)
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = 5 * time.Second
		err := cmd.Run()
		if ctx.Err() != nil {
			return nil
		}
		p.log.Warn("the payment sandbox has ended and is started again", "error", err)
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return nil
		}
	}
}
