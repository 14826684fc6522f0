package stack

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// nowhere finds no program on PATH.
func nowhere(string) (string, error) { return "", exec.ErrNotFound }

// plant makes empty programs below root.
func plant(t *testing.T, root string, paths ...string) {
	t.Helper()
	for _, path := range paths {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMissingNamesPackageAndContainer(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	needs := missing(searchPath{root: root, lookup: nowhere}.find(), Options{})
	if len(needs) != 3 {
		t.Fatalf("%d needs on an empty machine: %v", len(needs), needs)
	}
	message := missingError(needs).Error()
	for _, want := range []string{
		"apt-get install postgresql", "apt-get install redis-server", "apt-get install rabbitmq-server",
		"docker compose -f docker/compose.yaml up -d postgres", "up -d redis", "up -d rabbitmq",
		"HOLDFAST_POSTGRES_URL", "HOLDFAST_REDIS_URL", "HOLDFAST_RABBITMQ_URL",
	} {
		if !strings.Contains(message, want) {
			t.Errorf("message does not say %q:\n%s", want, message)
		}
	}

	given := Options{PostgresURL: "p", RedisURL: "r", RabbitURL: "a"}
	if needs := missing(programs{}, given); len(needs) != 0 {
		t.Errorf("servers that run elsewhere are missing here: %v", needs)
	}
}

func TestFindTakesTheNewestPostgresAndTheRealRabbit(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	plant(t, root,
		"usr/lib/postgresql/9/bin/initdb", "usr/lib/postgresql/9/bin/postgres",
		"usr/lib/postgresql/15/bin/initdb", "usr/lib/postgresql/15/bin/postgres",
		"usr/lib/postgresql/17/bin/psql", // its client alone
		"usr/sbin/rabbitmq-server",       // Debian's wrapper
		"usr/lib/rabbitmq/bin/rabbitmq-server", "usr/lib/rabbitmq/bin/rabbitmq-env",
		"usr/bin/epmd", "usr/bin/redis-server",
	)
	wrapper := func(string) (string, error) { return filepath.Join(root, "usr/sbin/rabbitmq-server"), nil }
	got := searchPath{root: root, lookup: wrapper}.find()
	want := programs{
		postgres: filepath.Join(root, "usr/lib/postgresql/15/bin"),
		redis:    filepath.Join(root, "usr/bin/redis-server"),
		rabbit:   filepath.Join(root, "usr/lib/rabbitmq/bin"),
		epmd:     filepath.Join(root, "usr/bin/epmd"),
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(programs{})); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

func TestClosureFollowsWhatApplicationsNeed(t *testing.T) {
	t.Parallel()
	plugins := t.TempDir()
	for folder, body := range map[string]string{
		"rabbit-3.10.8": "{application, 'rabbit', [{applications, [kernel,stdlib,'ra',\n\tranch]}]}.",
		"ra-2.2.0":      "{application, ra, [{applications,[kernel,aten]}]}.",
		"aten-0.5.8":    "{application, aten, [{applications,[]}]}.",
		"ranch-2.1.0":   "{application, ranch, []}.",
		"cowboy-2.8.0":  "{application, cowboy, []}.",
	} {
		ebin := filepath.Join(plugins, folder, "ebin")
		if err := os.MkdirAll(ebin, 0o755); err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(folder, "-")
		if err := os.WriteFile(filepath.Join(ebin, name+".app"), []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := closure(plugins, "rabbit")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"plugins/aten-0.5.8", "plugins/ra-2.2.0", "plugins/rabbit-3.10.8", "plugins/ranch-2.1.0"}, got); diff != "" {
		t.Errorf("closure (-want +got):\n%s", diff)
	}
	if _, err := closure(t.TempDir(), "rabbit"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("packed plugins answer %v", err)
	}
}

func TestStateComesBack(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	if _, err := LoadState(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no state answers %v", err)
	}
	want := State{PostgresURL: "p", RedisURL: "r", RabbitURL: "a", HTTPURL: "h", SandboxURL: "s", JWTSecret: "j", SandboxKey: "k", Namespace: "n"}
	if err := SaveState(dir, want); err != nil {
		t.Fatal(err)
	}
	got, err := LoadState(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	info, err := os.Stat(statePath(dir))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("secrets are readable by others: %v", info.Mode())
	}
}
