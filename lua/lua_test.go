package lua_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
	"github.com/holdfast-checkout/holdfast/lua"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// bench is one product's keys on a real Redis.
type bench struct {
	t       *testing.T
	env     *testkit.Env
	scripts *redisx.Scripts
	keys    redisx.Keys
	product uuid.UUID
}

// onEach runs a test on a single node and on a cluster, with the same scripts.
func onEach(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	testkit.OnEachRedis(t, func(t *testing.T, env *testkit.Env) {
		scripts := redisx.NewScripts(env.Redis, lua.Sources())
		scripts.Patience = 10 * time.Second // a busy machine is no outage
		test(t, &bench{t: t, env: env, scripts: scripts, keys: redisx.Keys{Namespace: env.Namespace}, product: uuid.Must(uuid.NewV7())})
	})
}

// another is a fresh product in the same place.
func (b *bench) another(t *testing.T) *bench {
	one := *b
	one.t, one.product = t, uuid.Must(uuid.NewV7())
	return &one
}

// try runs a script on the product.
func (b *bench) try(script string, args ...any) (any, error) {
	return b.scripts.One(b.t.Context(), redisx.Call{Script: script, Keys: b.keys.Product(b.product), Args: args})
}

func (b *bench) run(script string, args ...any) []any {
	b.t.Helper()
	answer, err := b.try(script, args...)
	if err != nil {
		b.t.Fatalf("%s%v: %v", script, args, err)
	}
	return answer.([]any)
}

// want runs a script and compares the answer; trailing values may be left out.
func (b *bench) want(want []any, script string, args ...any) {
	b.t.Helper()
	got := b.run(script, args...)
	if len(got) > len(want) {
		got = got[:len(want)]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		b.t.Fatalf("%s%v: (-want +got)\n%s", script, args, diff)
	}
}

// open claims the load of the product under a token.
func (b *bench) open(token string) {
	b.t.Helper()
	b.want([]any{no, int64(0), ""}, lua.Open, token)
}

// load puts the product on the shelf, with as many entries as it may be.
func (b *bench) load(available, version int64, entries ...any) {
	b.t.Helper()
	b.run(lua.Open, "test")
	for len(entries) > page {
		b.want([]any{no}, lua.Load, append([]any{"test", "", "", ""}, entries[:page]...)...)
		entries = entries[page:]
	}
	b.want([]any{yes}, lua.Load, append([]any{"test", "", available, version}, entries...)...)
}

const page = 3 * 100 // arguments for the entries of one call

func (b *bench) now() int64 {
	b.t.Helper()
	now, err := b.env.Redis.Time(b.t.Context()).Result()
	if err != nil {
		b.t.Fatal(err)
	}
	return now.UnixMilli()
}

// in is an expiry so many ms from now by Redis' clock.
func (b *bench) in(ms int64) int64 { return b.now() + ms }

// passed waits until Redis' clock has reached a time.
func (b *bench) passed(ms int64) {
	b.t.Helper()
	testkit.Eventually(b.t, 20*time.Second, func() bool { return b.now() >= ms })
}

// stored shows the product's four keys as they are.
func (b *bench) stored() map[string]any {
	b.t.Helper()
	ctx, keys := b.t.Context(), b.keys.Product(b.product)
	stock, err := b.env.Redis.HMGet(ctx, keys[0], "n", "v").Result()
	if err != nil {
		b.t.Fatal(err)
	}
	reserved, _ := b.env.Redis.Get(ctx, keys[1]).Result()
	holds, err := b.env.Redis.HGetAll(ctx, keys[2]).Result()
	if err != nil {
		b.t.Fatal(err)
	}
	dated, err := b.env.Redis.ZCard(ctx, keys[3]).Result()
	if err != nil {
		b.t.Fatal(err)
	}
	return map[string]any{"n": stock[0], "v": stock[1], "reserved": reserved, "holds": len(holds), "dated": int(dated)}
}

func (b *bench) wantStored(want map[string]any) {
	b.t.Helper()
	if diff := cmp.Diff(want, b.stored()); diff != "" {
		b.t.Fatalf("stored: (-want +got)\n%s", diff)
	}
}

const (
	yes       = int64(1)
	no        = int64(0)
	again     = int64(2)
	notLoaded = int64(-1)
	past      = int64(-2)
)
