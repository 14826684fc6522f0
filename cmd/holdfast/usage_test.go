package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

func TestWrongUsageIsTold(t *testing.T) {
	t.Parallel()
	servers := []string{
		"--postgres-url=postgres://x", "--redis-url=redis://x", "--rabbitmq-url=amqp://x", "--sandbox-url=http://x", "--sandbox-key=k",
	}
	key := "--jwt-secret=" + strings.Repeat("x", 32)
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"no command":          {nil, "expected one of"},
		"another command":     {[]string{"sell"}, "unexpected argument sell"},
		"another flag":        {[]string{"serve", "--outbox"}, "unknown flag --outbox"},
		"another mode":        {[]string{"serve", "--outbox-mode=guess"}, "must be one of"},
		"no key":              {append([]string{"serve"}, servers...), "--jwt-secret or --jwks is missing"},
		"no servers":          {[]string{"serve", key}, "--postgres-url is missing"},
		"another strategy":    {append([]string{"serve", key, "--strategy=magic"}, servers...), `no strategy "magic"`},
		"another, in dev":     {[]string{"dev", "--strategy=magic"}, `no strategy "magic"`},
		"nobody":              {[]string{"token", "--sub=", key}, "--sub"},
		"no end":              {[]string{"token", "--sub=alice", "--ttl=0s", key}, "--ttl"},
		"a file that is away": {[]string{"replay", "--products=away.csv", "--orders=away.csv"}, "away.csv"},
		"a share above one":   {[]string{"replay", "--products=main.go", "--orders=main.go", "--decline=2", "--url=http://x", key}, "decline 2"},
		"another scope":       {[]string{"reconcile", "--scope=half"}, "must be one of"},
		"no dead letter":      {[]string{"dlq", "replay"}, "--all"},
		"one and all":         {[]string{"dlq", "replay", "x", "--all"}, "--all"},
		"a kind of one":       {[]string{"dlq", "replay", "x", "--module=view"}, "go with --all"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			if code := execute(t.Context(), c.args, &out, &errs); code != exitUsage || !strings.Contains(errs.String(), c.says) {
				t.Errorf("exit code %d: %s", code, errs.String())
			}
		})
	}
}

func TestHelpAndVersion(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--help"},
		{"serve", "--help"},
		{"dev", "--help"},
		{"sandbox", "--help"},
		{"migrate", "--help"},
		{"reconcile", "--help"},
		{"audit", "--help"},
		{"replay", "--help"},
		{"compare", "--help"},
		{"token", "--help"},
		{"dlq", "--help"},
		{"version", "--help"},
		{"version"},
	} {
		var out, errs bytes.Buffer
		if code := execute(t.Context(), args, &out, &errs); code != exitDone || out.Len() == 0 {
			t.Errorf("%v: exit code %d, %s %s", args, code, out.String(), errs.String())
		}
	}
}

func TestTokenOpensWhatItsSecretCloses(t *testing.T) {
	t.Parallel()
	secret := strings.Repeat("s", 32)
	var out, errs bytes.Buffer
	if code := execute(t.Context(), []string{"token", "--sub=alice", "--admin", "--jwt-secret=" + secret}, &out, &errs); code != exitDone {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(strings.TrimSpace(out.String()), claims, func(*jwt.Token) (any, error) { return []byte(secret), nil },
		jwt.WithAudience("holdfast"), jwt.WithIssuer("holdfast"), jwt.WithExpirationRequired())
	if err != nil || claims["sub"] != "alice" || claims["scope"] != "admin" {
		t.Fatalf("%v, %v", claims, err)
	}
}

func TestToolsWithoutAServerSayHowToFindOne(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile(filepath.Join(".", "x.csv"), []byte("sku\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"audit"}, {"reconcile"}, {"dlq"}, {"token", "--sub=alice"}, {"replay", "--products=x.csv", "--orders=x.csv"},
	} {
		var out, errs bytes.Buffer
		if code := execute(t.Context(), args, &out, &errs); code != exitUsage || !strings.Contains(errs.String(), ".stack") && !strings.Contains(errs.String(), "make run") {
			t.Errorf("%v: exit code %d, %s", args, code, errs.String())
		}
	}
}
