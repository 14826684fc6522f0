package bench

import (
	"context"
	"crypto/sha1"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/lua"
)

// bareRun is what redis-benchmark came to.
type bareRun struct {
	PerSecond float64            `json:"holds_per_second"`
	Latency   map[string]float64 `json:"latency_ms"`
	CPU       map[string]float64 `json:"cpu_seconds_per_1000"`
	Holds     int                `json:"holds"`
	Command   string             `json:"command"`
}

// bareShare is how many holds redis-benchmark sets for each of ours, so that it runs for long enough to be measured.
const bareShare = 5

// bareHolds has redis-benchmark set holds with our script on a product of its own. Like ours, each is of one of many ids, and
// changes what that id had: here its expiry, since that has a number at its end.
func (p *place) bareHolds(ctx context.Context) (bareRun, error) {
	u, err := url.Parse(p.servers.RedisURL())
	if err != nil {
		return bareRun{}, err
	}
	client, err := redisx.Open(p.servers.RedisURL(), redisx.Options{})
	if err != nil {
		return bareRun{}, err
	}
	defer client.Close()
	keys := redisx.Keys{Namespace: p.prefix + "-bare"}.Product(newID())
	if err := shelve(ctx, redisx.NewScripts(client, lua.Sources()), keys); err != nil {
		return bareRun{}, err
	}
	password, _ := u.User.Password()
	sum := sha1.Sum([]byte(lua.Sources()[lua.Hold]))
	run := bareRun{Holds: p.Holds * bareShare}
	args := []string{"-h", u.Hostname(), "-p", u.Port(), "-c", strconv.Itoa(holdClients), "-n", strconv.Itoa(run.Holds), "-r", strconv.Itoa(holders), "-e", "--csv"}
	script := append([]string{"EVALSHA", hex.EncodeToString(sum[:]), strconv.Itoa(len(keys))}, keys...)
	args = append(append(args, script...), "00000000-0000-7000-8000-__rand_int__", "1", "9__rand_int__")
	run.Command = "redis-benchmark " + strings.Join(args, " ")
	cmd := exec.CommandContext(ctx, "redis-benchmark", args...)
	if password != "" {
		cmd.Env = append(os.Environ(), "REDISCLI_AUTH="+password)
	}
	watch := p.watch(nil)
	before := watch.now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return run, fmt.Errorf("%w: %s", err, out)
	}
	used := watch.now()
	used["redis-benchmark"], before["redis-benchmark"] = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), 0
	run.CPU = perThousand(used.since(before), run.Holds)
	if err := run.read(string(out)); err != nil {
		return run, err
	}
	if n, err := client.HLen(ctx, keys[2]).Result(); err != nil || n < holders/2 {
		return run, fmt.Errorf("of %d ids %d hold something: %w", holders, n, errors.Join(err, errNotHeld))
	}
	return run, nil
}

// shelve loads a product, and makes Redis know the script.
func shelve(ctx context.Context, scripts *redisx.Scripts, keys []string) error {
	replies, err := scripts.Run(ctx, []redisx.Call{
		{Script: lua.Open, Keys: keys, Args: []any{loader}},
		{Script: lua.Load, Keys: keys, Args: []any{loader, "", openingStock, 1}},
		{Script: lua.Hold, Keys: keys, Args: []any{newID().String(), 1, time.Now().Add(time.Hour).UnixMilli()}},
	})
	for _, r := range replies {
		err = errors.Join(err, r.Err)
	}
	return err
}

// read takes rate and latencies from the table that redis-benchmark prints.
func (r *bareRun) read(out string) error {
	at := strings.Index(out, `"test"`)
	if at < 0 {
		return fmt.Errorf("no table in %q", out)
	}
	table, err := csv.NewReader(strings.NewReader(out[at:])).ReadAll()
	if err != nil || len(table) != 2 {
		return fmt.Errorf("read the table in %q: %w", out, err)
	}
	value := map[string]float64{}
	for i, name := range table[0][1:] {
		if value[name], err = strconv.ParseFloat(table[1][i+1], 64); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	r.PerSecond = value["rps"]
	r.Latency = map[string]float64{"p50": value["p50_latency_ms"], "p95": value["p95_latency_ms"], "p99": value["p99_latency_ms"], "max": value["max_latency_ms"]}
	if r.PerSecond <= 0 {
		return fmt.Errorf("no rate in %q", out)
	}
	return nil
}

// uuid of the article, which the server has given it.
func (a article) uuid() uuid.UUID { return uuid.MustParse(a.ID) }
