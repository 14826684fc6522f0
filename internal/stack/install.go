package stack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// ErrCannotInstall says that this process may not install packages, or that this is no Debian.
var ErrCannotInstall = errors.New("packages can be installed for you only as root on Debian or Ubuntu")

// Install installs the packages that give what is missing, where it may. It starts none of their services and leaves those
// that run alone. With nothing missing it does nothing.
func Install(ctx context.Context, needs []Need, log *slog.Logger) error {
	if len(needs) == 0 {
		return nil
	}
	if !canInstall() {
		return fmt.Errorf("%w: %w", missingError(needs), ErrCannotInstall)
	}
	return installer{policy: policyFile, apt: aptGet}.install(ctx, needs, log)
}

func canInstall() bool {
	_, err := exec.LookPath("apt-get")
	return os.Geteuid() == 0 && err == nil
}

// policyFile is asked by Debian's packages whether they may start their services. Most machines have none, which means yes.
const policyFile = "/usr/sbin/policy-rc.d"

// denial is a policy of ours. Its mark tells it from one that belongs to the machine.
const denial = `#!/bin/sh
# Made by holdfast while it installs packages, and removed afterwards: no service is started or restarted meanwhile.
exit 101
`

type installer struct {
	policy string
	apt    func(ctx context.Context, args ...string) error
}

func (i installer) install(ctx context.Context, needs []Need, log *slog.Logger) error {
	packages := make([]string, len(needs))
	for n, need := range needs {
		packages[n] = need.Package
	}
	began := time.Now()
	log.Info("installing packages", slog.Any("packages", packages))
	restore, err := i.denyServices()
	if err != nil {
		return err
	}
	if err := errors.Join(i.fetch(ctx, packages), restore()); err != nil {
		return fmt.Errorf("install %s: %w", strings.Join(packages, " "), err)
	}
	log.Info("installed packages; their own services were not started", slog.Any("packages", packages),
		slog.Duration("took", time.Since(began).Round(time.Second)))
	return nil
}

func (i installer) fetch(ctx context.Context, packages []string) error {
	if err := i.apt(ctx, "update", "-qq"); err != nil {
		return err
	}
	return i.apt(ctx, append([]string{"install", "-y", "-qq", "--no-install-recommends"}, packages...)...)
}

// denyServices puts a policy in place that lets no service start, unless the machine has a policy of its own, and answers
// what takes it away.
func (i installer) denyServices() (restore func() error, err error) {
	body, err := os.ReadFile(i.policy)
	if err == nil && string(body) != denial { // ours is one that a killed run left behind
		return func() error { return nil }, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := os.WriteFile(i.policy, []byte(denial), 0o755); err != nil {
		return nil, err
	}
	return func() error { return os.Remove(i.policy) }, nil
}

// aptOutput is how much of apt-get's output an error carries.
const aptOutput = 2000

// aptGet runs apt-get so that it asks nothing, restarts nothing, and waits for another that is at work.
func aptGet(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-o", "DPkg::Lock::Timeout=120"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_SUSPEND=1", "LC_ALL=C.UTF-8")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches us, who ask it to end between two packages
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("apt-get %s: %w: %s", args[0], err, out[max(0, len(out)-aptOutput):])
	}
	return nil
}
