package reconcile_test

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/reconcile"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
	"github.com/holdfast-checkout/holdfast/lua"
)

// guarded is a place with a memory that is looked after, and scripts that ask for its word.
type guarded struct {
	*place
	memory    *reconcile.Memory
	admission *redisx.Admission
	scripts   *redisx.Scripts
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	return guard(t, newPlace(t))
}

func guard(t *testing.T, p *place) *guarded {
	t.Helper()
	g := &guarded{place: p, admission: redisx.NewAdmission()}
	g.memory = reconcile.NewMemory(p.reconciler, g.admission)
	client, err := redisx.Open(p.env.RedisURL, redisx.Options{ReadTimeout: 5 * time.Second, Admission: g.admission})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	g.scripts = redisx.NewScripts(client, lua.Sources())
	g.scripts.Patience = 5 * time.Second
	g.scripts.Patience, g.scripts.Admission = 5*time.Second, g.admission
	return g
}

// putBack puts Postgres' clock back, as far as what Redis was told is concerned: its moments are that much later than now.
func (g *guarded) putBack(by time.Duration) {
	g.Helper()
	words := g.told()
	at, err := strconv.ParseInt(words[2], 10, 64)
	if err != nil {
		g.Fatal(err)
	}
	words[2] = strconv.FormatInt(at+by.Milliseconds(), 10)
	g.tell(words)
	if _, err := g.env.DB.Exec(g.Context(), `UPDATE shared.redis_memory SET at = at + $1::interval`, by); err != nil {
		g.Fatal(err)
	}
}

// in is the same place for a part of the test.
func (g *guarded) in(t *testing.T) *guarded {
	place, here := *g.place, *g
	place.T, here.place = t, &place
	return &here
}

func (g *guarded) look() {
	g.Helper()
	if err := g.memory.Look(g.Context()); err != nil {
		g.Fatal(err)
	}
}

// ask runs a script as a request would.
func (g *guarded) ask(product uuid.UUID) error {
	_, err := g.scripts.One(g.Context(), redisx.Call{Script: lua.Read, Keys: g.keys.Product(product), Args: []any{""}})
	return err
}

// told is what Redis was told: epoch, beat, moment in ms, run id.
func (g *guarded) told() []string {
	g.Helper()
	text, err := g.env.Redis.Get(g.Context(), g.keys.Memory(0)).Result()
	if err != nil {
		g.Fatal(err)
	}
	return strings.Fields(text)
}

func (g *guarded) tell(words []string) {
	g.Helper()
	g.redis("SET", g.keys.Memory(0), strings.Join(words, " "))
}

// old makes everything look as if it had last changed an hour ago.
func (g *guarded) old() {
	g.Helper()
	g.exec(`UPDATE inventory.movements SET at = now() - interval '1 hour'`)
	g.exec(`UPDATE cart.carts SET changed_at = now() - interval '1 hour'`)
}

func (g *guarded) loaded(product uuid.UUID) bool {
	g.Helper()
	return g.env.Redis.Exists(g.Context(), g.keys.Product(product)[0]).Val() == 1
}

// back puts back what Redis had under the namespace, as a copy of its file would, in a process of another name.
func (g *guarded) back(dump map[string]string) {
	g.Helper()
	for key := range g.everything() {
		g.redis("DEL", key)
	}
	for key, value := range dump {
		g.redis("RESTORE", key, 0, value)
	}
	words := g.told()
	words[3] = "another"
	g.tell(words)
}

func TestNobodyIsLetInBeforeTheFirstLook(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	product := g.product(10)
	if err := g.ask(product); !redisx.Unavailable(err) {
		t.Errorf("before the first look: %v, want unavailable", err)
	}
	g.look()
	if err := g.ask(product); err != nil {
		t.Errorf("after it: %v", err)
	}
	epoch, beat := g.told()[0], g.told()[1]
	g.exec(`UPDATE shared.redis_memory SET at = at - interval '1 minute'`)
	g.look()
	if now := g.told(); now[0] != epoch || now[1] == beat {
		t.Errorf("Redis was told %v after %s %s, want the next beat", now, epoch, beat)
	}
}

// A first start warns of nothing; a Redis that comes back empty is warned of.
func TestOnlyALostMemoryIsWarnedOf(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	var lines bytes.Buffer
	o := p.options(time.Hour)
	o.Log = slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelWarn}))
	p.reconciler = reconcile.New(o)
	g := guard(t, p)
	g.look()
	if lines.Len() > 0 {
		t.Errorf("the first look warns: %s", lines.String())
	}
	g.redis("DEL", g.keys.Memory(0))
	g.look()
	if !strings.Contains(lines.String(), "may have lost some of its memory") {
		t.Errorf("a loss is not warned of: %q", lines.String())
	}
}

// A restart that kept everything may still have lost the last second: what changed then is forgotten, and nothing else.
func TestARestartForgetsWhatIsYoung(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.look()
	still := g.product(10)
	g.old()
	moved := g.product(10)
	inCart := g.product(10)
	id := g.cart(map[uuid.UUID]int64{inCart: 3})
	g.exec(`UPDATE cart.carts SET changed_at = now()`)
	g.exec(`UPDATE inventory.movements SET at = now() - interval '1 hour' WHERE product_id = $1`, inCart)
	words := g.told()
	words[3] = "another"
	g.tell(words)
	g.look()
	if !g.loaded(still) {
		t.Error("a product that did not change was forgotten")
	}
	if g.loaded(moved) {
		t.Error("a product whose stock changed was not forgotten")
	}
	if got := g.entries(inCart); !maps.Equal(got, map[string]string{id.String(): entryText(3, later)}) { // loaded again, for it is held
		t.Errorf("holds are %v", got)
	}
	if now := g.told(); now[0] != words[0] || now[3] == "another" {
		t.Errorf("Redis was told %v, want the same epoch and its own name", now)
	}
}

// A cart that was changed just before the restart is forgotten, and too young for the first comparison after it: its copy is
// back when it has grown old enough, and not an interval later.
func TestACartThatWasYoungAtTheRestartIsBack(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	r := g.instance(time.Hour)
	r.Cooldown = 2 * time.Second
	g.memory = reconcile.NewMemory(r, g.admission)
	go func() { ended <- r.Run(ctx) }()
	testkit.Eventually(t, 20*time.Second, func() bool { return g.runs() == 2 }) // the second is over what was young at the start
	g.look()
	words := g.told()
	words[3] = "another"
	g.tell(words)
	id := g.cart(map[uuid.UUID]int64{g.product(10): 3})
	g.exec(`UPDATE cart.carts SET changed_at = now()`)
	g.look()
	if g.env.Redis.Exists(t.Context(), g.keys.Cart(id)).Val() != 0 {
		t.Fatal("the copy was not forgotten")
	}
	testkit.Eventually(t, 20*time.Second, func() bool { return g.env.Redis.Exists(t.Context(), g.keys.Cart(id)).Val() == 1 })
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// runs is how many runs have ended.
func (g *guarded) runs() (n int) {
	g.Helper()
	if err := g.env.DB.QueryRow(g.Context(), `SELECT count(*) FROM shared.reconciliations WHERE ended_at IS NOT NULL`).Scan(&n); err != nil {
		g.Fatal(err)
	}
	return n
}

// An old copy: a hold in it has ended since, another began, and stock was sold.
func TestAnOldCopyIsNotBelieved(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	product := g.product(10)
	ended := g.cart(map[uuid.UUID]int64{product: 4})
	g.look()
	dump := g.everything()
	g.exec(`DELETE FROM cart.carts WHERE id = $1`, ended)
	g.release(ended, product)
	began := g.cart(map[uuid.UUID]int64{product: 7})
	g.exec(`UPDATE cart.carts SET changed_at = now()`)
	g.back(dump)
	g.look()
	if got := g.entries(product); !slices.Equal(keysOf(got), []string{began.String()}) {
		t.Errorf("holds are %v, want that of %s", got, began)
	}
	if free := g.available(product); free != 3 {
		t.Errorf("%d units are free, want 3", free)
	}
}

// A server that says something that it cannot know, or that knows nothing, or a very old copy, forgets everything.
func TestWhatCannotBeOursForgetsEverything(t *testing.T) {
	t.Parallel()
	all := newGuarded(t)
	all.exec(`UPDATE shared.redis_memory SET beat = 7`)
	for name, change := range map[string]func(words []string) []string{
		"another shop's":    func(w []string) []string { w[0] = uuid.NewString(); return w },
		"of the future":     func(w []string) []string { w[1] = "1000000"; return w },
		"of last year":      func(w []string) []string { w[1], w[2], w[3] = "0", "1", "another"; return w },
		"with nothing":      func([]string) []string { return nil },
		"with some garbage": func([]string) []string { return []string{"x"} },
	} {
		t.Run(name, func(t *testing.T) {
			g := all.in(t)
			product := g.product(10)
			id := g.cart(map[uuid.UUID]int64{product: 3})
			g.look()
			before := g.told()
			g.old()
			g.redis("HSET", g.keys.Product(product)[0], "n", "999")
			g.tell(change(g.told()))
			g.look()
			if free := g.available(product); free != 7 {
				t.Errorf("%d units are free, want 7", free)
			}
			if now := g.told(); now[0] == before[0] {
				t.Error("the epoch is the same")
			}
			if err := g.ask(product); err != nil {
				t.Errorf("after the look: %v", err)
			}
			g.full()
			if g.env.Redis.Exists(t.Context(), g.keys.Cart(id)).Val() != 1 {
				t.Error("the cart's copy is not back")
			}
			g.agree()
		})
	}
}

// Two instances that meet a new Redis at the same time do not make it forget what the other has let in.
func TestTwoLookAtOnce(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	product := g.product(10)
	ended := make(chan error, 4)
	for range cap(ended) {
		go func() { ended <- reconcile.NewMemory(g.instance(time.Hour), redisx.NewAdmission()).Look(t.Context()) }()
	}
	for range cap(ended) {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	epoch := g.told()[0]
	g.hold(uuid.New(), product, 2, later)
	g.look()
	if now := g.told()[0]; now != epoch || g.available(product) != 8 {
		t.Errorf("a Redis that was vouched for forgot: epoch %s, then %s", epoch, now)
	}
}
