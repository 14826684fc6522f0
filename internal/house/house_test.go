package house

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/holdfast-checkout/holdfast/"

// base is what every module may import: none of them ever sees another.
var base = []string{"internal/clock", "internal/event", "internal/failpoint", "internal/fault", "internal/outbox", "internal/inbox", "internal/postgres", "internal/run", "internal/text", "internal/web"}

// mayImport is the table: a package and what of this project it may import. Arrows go down only.
var mayImport = map[string][]string{
	"cmd/holdfast": {"internal/app", "internal/archive", "internal/config", "internal/stack", "internal/compare", "internal/replay", "internal/audit", "internal/saga", "internal/sandbox", "internal/postgres", "internal/redisx", "internal/web", "internal/run", "internal/payment", "internal/stripe"},
	"cmd/bench":    {"internal/bench", "internal/stack", "internal/postgres", "internal/web"},
	"internal/app": {
		"api", "internal/clock", "lua", "internal/archive", "internal/audit", "internal/broker", "internal/cart", "internal/config", "internal/deadletter", "internal/event",
		"internal/fault", "internal/inbox", "internal/inventory", "internal/lease", "internal/order", "internal/outbox",
		"internal/payment", "internal/postgres", "internal/reconcile", "internal/redisx", "internal/refill", "internal/relay", "internal/rollout", "internal/run",
		"internal/saga", "internal/timeline", "internal/web",
	},
	"internal/bench": {
		"internal/broker", "internal/client", "internal/event", "internal/lease", "internal/outbox", "internal/postgres", "internal/redisx", "internal/relay",
		"internal/run", "internal/saga", "internal/stack", "internal/web", "lua",
	},
	"internal/compare":           {"internal/client", "internal/replay", "internal/run"},
	"internal/replay":            {"internal/client", "internal/run", "internal/text"},
	"internal/client":            {"internal/run"},
	"internal/saga":              {"internal/event", "internal/failpoint", "internal/inventory", "internal/order", "internal/outbox", "internal/payment", "internal/postgres"},
	"internal/order":             base,
	"internal/payment":           base,
	"internal/payment/promise":   {"internal/clock", "internal/event", "internal/payment"},
	"internal/stripe":            {"internal/clock", "internal/payment"},
	"internal/stripe/standin":    {},
	"internal/cart":              append([]string{"internal/gather", "internal/redisx", "lua"}, base...),
	"internal/inventory":         append([]string{"internal/redisx", "lua"}, base...),
	"internal/reconcile":         {"internal/clock", "internal/event", "internal/fault", "internal/lease", "internal/postgres", "internal/redisx", "internal/web", "lua"},
	"internal/timeline":          {"internal/fault", "internal/postgres", "internal/web"},
	"internal/archive":           {"internal/failpoint", "internal/postgres"},
	"internal/audit":             {"internal/clock", "internal/event", "internal/fault", "internal/postgres", "internal/redisx", "internal/run", "internal/web"},
	"internal/deadletter":        {"internal/clock", "internal/broker", "internal/event", "internal/fault", "internal/postgres", "internal/text", "internal/web"},
	"internal/relay":             {"internal/broker", "internal/event", "internal/lease", "internal/postgres", "internal/run"},
	"internal/refill":            {"internal/broker", "internal/event", "internal/fault", "internal/lease", "internal/postgres", "internal/run", "internal/web"},
	"internal/rollout":           {"internal/broker", "internal/event", "internal/postgres", "internal/run"},
	"internal/lease":             {"internal/postgres", "internal/run"},
	"internal/outbox":            {"internal/event", "internal/postgres"},
	"internal/inbox":             {"internal/event", "internal/postgres"},
	"internal/broker":            {"internal/clock", "internal/event", "internal/fault", "internal/run"},
	"internal/postgres":          {"internal/event", "internal/fault", "internal/run", "migrations"},
	"internal/redisx":            {"internal/event", "internal/fault", "lua"},
	"internal/web":               {"internal/clock", "api", "internal/event", "internal/fault", "internal/run", "internal/text"},
	"internal/sandbox":           {},
	"internal/stack":             {},
	"internal/statements":        {},
	"internal/statements/update": {"internal/statements", "internal/testkit"},
	"internal/testkit":           {"internal/postgres", "internal/stack", "internal/redisx", "internal/statements", "migrations"},
	"internal/testkit/withstack": {"internal/stack", "internal/statements", "internal/testkit"},
	"internal/house":             {},
	"docs/notify":                {},
	"internal/gather":            {},
	"internal/clock":             {},
	"internal/event":             {"internal/clock"},
	"internal/failpoint":         {},
	"internal/fault":             {},
	"internal/text":              {},
	"internal/config":            {},
	"internal/run":               {},
	"migrations":                 {},
	"lua":                        {},
	"api":                        {},
	"api/generate":               {"internal/event", "internal/web"},
	"internal/web/webtest":       {"internal/web"},
}

func TestImportsGoDown(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && path != root || entry.Name() == "tools" || entry.Name() == "testdata") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			checkFile(t, root, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkFile(t *testing.T, root, path string) {
	t.Helper()
	rel, err := filepath.Rel(root, path)
	if err != nil {
		t.Fatal(err)
	}
	pkg := filepath.ToSlash(filepath.Dir(rel))
	allowed, known := mayImport[pkg]
	if !known {
		t.Errorf("%s: package %s is not in the table of imports", rel, pkg)
		return
	}
	if source, err := os.ReadFile(path); err != nil || bytes.Contains(source, []byte("failpoint.Arm(")) {
		t.Errorf("%s arms failpoints (%v): only tests may", rel, err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range file.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if ours, found := strings.CutPrefix(name, module); found && !slices.Contains(allowed, ours) {
			t.Errorf("%s: %s may not import %s", rel, pkg, ours)
		}
	}
}
