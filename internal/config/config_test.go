package config

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

type program struct {
	ConfigFile kong.ConfigFlag `name:"config"`
	Config
}

func parse(t *testing.T, args ...string) (Config, error) {
	t.Helper()
	var p program
	parser, err := kong.New(&p, append(Options(), kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) {}))...)
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(args)
	return p.Config, err
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "holdfast.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return "--config=" + path
}

func TestFlagsWinOverEnvironmentOverFileOverDefaults(t *testing.T) {
	t.Setenv("HOLDFAST_OUTBOX_MODE", "polling")
	t.Setenv("HOLDFAST_MAX_LINES", "7")
	yaml := write(t, "outbox-mode: cdc\nmax-lines: 8\nhold-ttl: 3m\nstrategies-allowed: [optimistic, post-payment]\nhold-on-order: false\n")
	c, err := parse(t, yaml, "--max-lines=6")
	if err != nil {
		t.Fatal(err)
	}
	if c.MaxLines != 6 || c.OutboxMode != "polling" || c.HoldTTL != 3*time.Minute || c.HoldMaxAge != 12*time.Minute || c.HTTPAddr != "127.0.0.1:8080" {
		t.Fatalf("got %+v", c)
	}
	if strings.Join(c.StrategiesAllowed, " ") != "optimistic post-payment" || c.HoldOnOrder {
		t.Fatalf("got %v, %v", c.StrategiesAllowed, c.HoldOnOrder)
	}
}

func TestWrongSettingsAreRefused(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"namespace":       {"--namespace=Hold fast"},
		"short secret":    {"--jwt-secret=short"},
		"two keys":        {"--jwt-secret=" + strings.Repeat("x", 32), "--jwks=keys.json"},
		"outbox mode":     {"--outbox-mode=guess"},
		"zero time-out":   {"--order-timeout=0s"},
		"retentions":      {"--inbox-retention=1h", "--outbox-retention=2h"},
		"max age":         {"--hold-ttl=10m", "--hold-max-age=5m"},
		"max lines":       {"--max-lines=0"},
		"too many lines":  {"--max-lines=2001"},
		"unknown setting": {write(t, "max-lins: 3\n")},
		"wrong type":      {write(t, "max-lines: many\n")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c, err := parse(t, args...); err == nil {
				t.Fatalf("%v was taken as %+v", args, c)
			}
		})
	}
}

func TestSecretsAreNotLogged(t *testing.T) {
	t.Parallel()
	c, err := parse(t, "--jwt-secret="+strings.Repeat("s", 40), "--sandbox-key=kkkk", "--postgres-url=postgres://me:pppp@db/x",
		"--redis-url=redis://:rrrr@a:1,redis://:rrrr@b:2")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("starts", "settings", c)
	for _, secret := range []string{"ssss", "kkkk", "pppp", "rrrr"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("the log shows %s: %s", secret, out.String())
		}
	}
	if !strings.Contains(out.String(), "HoldTTL=15m") {
		t.Errorf("the log does not show the settings: %s", out.String())
	}
}
