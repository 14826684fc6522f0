package lua_test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
	"github.com/holdfast-checkout/holdfast/lua"
)

// sections are what the header of every script says. A cost is a bound on the work: O(…) of what.
var sections = map[string]*regexp.Regexp{
	"KEYS":    regexp.MustCompile(`(?m)^-- KEYS {4}\S`),
	"ARGV":    regexp.MustCompile(`(?m)^-- ARGV {4}\S`),
	"answers": regexp.MustCompile(`(?m)^-- answers \S`),
	"cost":    regexp.MustCompile(`(?m)^-- cost {4}O\(`),
}

func TestEveryScriptSaysWhatItPromises(t *testing.T) {
	t.Parallel()
	for name := range lua.Sources() {
		body, err := os.ReadFile(name + ".lua")
		if err != nil {
			t.Fatal(err)
		}
		first, rest, _ := strings.Cut(string(body), "\n")
		if !strings.HasPrefix(first, "#!lua") || strings.Contains(first, "allow-cross-slot-keys") {
			t.Errorf("%s begins with %q: without a shebang Redis lets it write to any slot", name, first)
		}
		header := rest
		for i, line := range strings.SplitAfter(rest, "\n") {
			if !strings.HasPrefix(line, "--") {
				header = strings.Join(strings.SplitAfter(rest, "\n")[:i], "")
				break
			}
		}
		if !strings.HasPrefix(header, "-- "+name+" ") {
			t.Errorf("%s does not say first what it does: %.60q", name, header)
		}
		for section, is := range sections {
			if !is.MatchString(header) {
				t.Errorf("the header of %s does not say its %s", name, section)
			}
		}
	}
}

// TestScriptsTouchOnlyTheirDeclaredKeys runs every script as a user who may touch the declared keys of one product, cart or
// lock and nothing else, through what each of them does: drop what has expired, hold, refuse, end, load, repair, spoil.
func TestScriptsTouchOnlyTheirDeclaredKeys(t *testing.T) {
	testkit.OnEachRedis(t, func(t *testing.T, env *testkit.Env) {
		keys := redisx.Keys{Namespace: env.Namespace}
		b := &bench{t: t, env: env, keys: keys, product: uuid.Must(uuid.NewV7())}
		cart, lock := keys.Cart(uuid.Must(uuid.NewV7())), keys.Lock("somebody", "key")
		for name, declared := range map[string][]string{"product": keys.Product(b.product), "cart": {cart}, "lock": {lock}} {
			b.scripts = redisx.NewScripts(restricted(t, env, env.Namespace+name, declared), lua.Sources())
			b.scripts.Patience = 10 * time.Second
			switch name {
			case "product":
				throughAProduct(b)
			case "cart":
				throughACart(b, cart)
			case "lock":
				env.Redis.Set(t.Context(), lock, "me", time.Minute)
				b.touch(lock, 1, lua.Unlock, "me")
			}
		}
		b.scripts = redisx.NewScripts(restricted(t, env, env.Namespace+"fewer", keys.Product(b.product)[1:]), lua.Sources())
		b.scripts.Patience = 10 * time.Second
		if _, err := b.try(lua.Read, ""); err == nil { // the user's bounds do hold
			t.Error("a script read a key that its user may not touch")
		}
	})
}

// restricted is a client of a user who may touch these keys, and run any command on them.
func restricted(t *testing.T, env *testkit.Env, user string, keys []string) redis.UniversalClient {
	t.Helper()
	rules := []any{"ACL", "SETUSER", user, "reset", "on", ">secret", "+@all"}
	for _, key := range keys {
		rules = append(rules, "~"+key)
	}
	onEveryNode := func(command ...any) error {
		return redisx.EachMaster(t.Context(), env.Redis, func(ctx context.Context, node *redis.Client) error { return node.Do(ctx, command...).Err() })
	}
	if err := onEveryNode(rules...); err != nil {
		t.Fatal(err)
	}
	url := strings.ReplaceAll(env.RedisURL, "redis://", fmt.Sprintf("redis://%s:secret@", user))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		err := redisx.EachMaster(ctx, env.Redis, func(ctx context.Context, node *redis.Client) error { return node.Do(ctx, "ACL", "DELUSER", user).Err() })
		if err != nil {
			t.Error(err)
		}
	})
	client, err := redisx.Open(url, redisx.Options{ReadTimeout: 10 * time.Second, DialTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// throughAProduct runs every script of a product, each on its ways that write.
func throughAProduct(b *bench) {
	b.t.Helper()
	soon, later := b.in(300), b.in(60_000)
	b.open("test")
	b.want([]any{no}, lua.Load, "test", "here", "", "", "loaded", 2, fmt.Sprint(later, ":", alice), "ends", 1, later)
	b.want([]any{yes}, lua.Extend, "loaded", later)
	b.want([]any{yes}, lua.Release, "ends")
	b.want([]any{notLoaded, int64(0)}, lua.Settle, 1, 100, "never there")
	b.want([]any{yes}, lua.Load, "test", "", 100, 1, "expires", 1, soon)
	b.want([]any{yes}, lua.Hold, most(bob, 50).args("mine", 3, later)...)
	b.want([]any{limited}, lua.Hold, most(bob, 50).args("other", 60, later)...)
	b.want([]any{yes}, lua.Hold, "short", 1, soon)
	b.want([]any{yes}, lua.Hold, "ended", 1, later)
	b.passed(soon)
	b.want([]any{past}, lua.Extend, "short", later)
	b.want([]any{yes}, lua.Extend, "mine", later+1)
	b.want([]any{int64(1)}, lua.Sweep)
	b.want([]any{yes}, lua.Extend, "mine", later+2, "one")
	b.want([]any{yes}, lua.Undo, "mine", "one")
	b.want([]any{yes}, lua.Hold, "anew", 1, fmt.Sprint(later, ":two:0"))
	b.want([]any{yes}, lua.Undo, "anew", "two")
	b.want([]any{yes, int64(100)}, lua.Read, "mine")
	b.want([]any{yes, int64(100)}, lua.Tell, "mine")
	b.want([]any{yes}, lua.Release, "loaded")
	b.want([]any{yes, int64(1)}, lua.Settle, 2, 99, "ended")
	seq := b.run(lua.State, "0")[1]
	b.want([]any{yes}, lua.Repair, seq, 98, 3, "", "", 1, "mine", "repaired", 1, fmt.Sprint(later, ":", bob))
	b.want([]any{yes, yes}, lua.Amend, 98, 3, 98, 3, "repaired", fmt.Sprint("1:", later, ":", bob), 2, fmt.Sprint(later, ":", bob))
	b.want([]any{yes}, lua.Recount, "1", "1")
	owners := b.keys.Product(b.product)[4]
	b.env.Redis.Set(b.t.Context(), owners, "of the wrong type", 0)
	b.want([]any{yes}, lua.Hold, most(bob, 50).args("again", 1, later)...)
	b.env.Redis.HSet(b.t.Context(), b.keys.Product(b.product)[2], "again", "cannot be read")
	b.want([]any{notLoaded}, lua.Extend, "again", later)
	b.load(98, 3)
}

// throughACart runs every script of a cart's copy.
func throughACart(b *bench, cart string) {
	b.t.Helper()
	p, later := uuid.NewString(), b.in(60_000)
	b.touch(cart, 1, lua.CartPut, "whole", 1, later, p, 1)
	b.touch(cart, 1, lua.CartPut, "lines", 2, later, p, 0)
	b.touch(cart, 1, lua.CartRepair, 2, 3, later, p, 2)
	b.touch(cart, 1, lua.CartDrop, 4)
}

// touch runs a script of one key.
func (b *bench) touch(key string, want int64, script string, args ...any) {
	b.t.Helper()
	got, err := b.scripts.One(b.t.Context(), redisx.Call{Script: script, Keys: []string{key}, Args: args})
	if err != nil || got != want {
		b.t.Fatalf("%s%v = %v, %v, want %d", script, args, got, err, want)
	}
}
