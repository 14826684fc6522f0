//go:build drill

package app_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// What the drill is of: so many live holds of a product whose keys are lost, and so many customers of it, each of whom asks for
// something about every second. Bystanders put another product into their carts.
const (
	drillHolds      = 50_000
	drillCustomers  = 300
	drillBystanders = 8
	drillCalm       = 8 * time.Second // before the loss
	drillPatience   = 60 * time.Second
)

// A product with very many live holds comes back to Redis while hundreds of customers go on asking for it, and those who ask for another
// product notice little.
func TestDrillLoadUnderCustomers(t *testing.T) {
	for _, place := range []struct {
		name string
		env  func(testing.TB) *testkit.Env
	}{{"node", testkit.New}, {"cluster", testkit.NewOnCluster}} {
		t.Run(place.name, func(t *testing.T) { // one after the other: they are measured
			s := openOn(t, place.env(t))
			d := &loadDrill{shop: s, hot: s.product("HOT", 100, 10_000_000), calm: s.product("CALM", 100, 10_000_000)}
			d.run(t)
		})
	}
}

type loadDrill struct {
	*shop
	hot, calm string
	m         *mortal

	mu    sync.Mutex
	aside []sample // of bystanders
	asked []sample // of customers
}

type sample struct {
	at     time.Time
	took   time.Duration
	status int
}

func (d *loadDrill) run(t *testing.T) {
	d.fill(t)
	d.m = d.processes()
	d.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2 * drillCustomers}, Timeout: 30 * time.Second}
	d.awaitLoaded(t, time.Now())
	ctx, stop := context.WithCancel(t.Context())
	var crowd sync.WaitGroup
	for n := range drillBystanders {
		crowd.Go(func() { d.bystander(ctx, n) })
	}
	for n := range drillCustomers {
		crowd.Go(func() { d.customerOfHot(ctx, n) })
	}
	time.Sleep(drillCalm)
	idle := d.memory(t, "VmRSS")
	d.resetPeak(t)
	id := uuid.MustParse(d.hot)
	lost := time.Now()
	for _, key := range (redisx.Keys{Namespace: d.env.Namespace}).Product(id) {
		d.env.Redis.Unlink(ctx, key)
	}
	back := d.awaitLoaded(t, lost)
	time.Sleep(time.Second)
	peak := d.memory(t, "VmHWM")
	stop()
	crowd.Wait()
	held := d.env.Redis.HLen(t.Context(), (redisx.Keys{Namespace: d.env.Namespace}).Product(id)[2]).Val()
	until := lost.Add(max(back, time.Second))
	before, after := between(d.aside, lost.Add(-drillCalm/2), lost), between(d.aside, lost, until)
	refused := slices.DeleteFunc(between(d.asked, lost, until), func(s sample) bool { return s.status != http.StatusServiceUnavailable })
	t.Logf("back after %v with %d holds; bystanders p50 %v p99 %v (%d) before, p50 %v p99 %v (%d, refused %d) meanwhile; %d customers refused, p50 %v p99 %v; memory %d MB before, %d MB at most",
		back, held, quantile(before, 50), quantile(before, 99), len(before), quantile(after, 50), quantile(after, 99), len(after), refusedOf(after),
		len(refused), quantile(refused, 50), quantile(refused, 99), idle>>10, peak>>10)
	if back > 5*time.Second || held < drillHolds {
		t.Errorf("back after %v with %d holds", back, held)
	}
	if slow := quantile(after, 99); slow > 2*max(quantile(before, 99), 25*time.Millisecond) || refusedOf(after) > 0 {
		t.Errorf("bystanders waited for %v, and %d were refused", slow, refusedOf(after))
	}
	if peak-idle > 100<<10 {
		t.Errorf("the load took %d MB", (peak-idle)>>10)
	}
}

// fill writes the rows of the carts that hold the product. It is not loaded yet.
func (d *loadDrill) fill(t *testing.T) {
	t.Helper()
	for _, sql := range []string{`
		INSERT INTO cart.carts (id, customer, first_line_at, expires_at)
		SELECT gen_random_uuid(), 'holder ' || n, now(), now() + interval '1 hour' FROM generate_series(1, ` + strconv.Itoa(drillHolds) + `) n`, `
		INSERT INTO cart.lines (cart_id, product_id, quantity, unit_price_minor, currency, held)
		SELECT id, '` + d.hot + `', 1, 100, 'GBP', true FROM cart.carts`, `ANALYZE cart.carts`, `ANALYZE cart.lines`} {
		if _, err := d.env.DB.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	d.env.Redis.Unlink(t.Context(), (redisx.Keys{Namespace: d.env.Namespace}).Product(uuid.MustParse(d.hot))[0])
}

// awaitLoaded asks until the product is there, and says how long that took.
func (d *loadDrill) awaitLoaded(t *testing.T, since time.Time) time.Duration {
	t.Helper()
	stock := (redisx.Keys{Namespace: d.env.Namespace}).Product(uuid.MustParse(d.hot))[0]
	for time.Since(since) < drillPatience {
		if n := d.env.Redis.HExists(t.Context(), stock, "n").Val(); n {
			return time.Since(since)
		}
		go d.customer("looks").send(http.MethodGet, "/products/"+d.hot, nil) //nolint:errcheck // it is only to be asked for
		time.Sleep(20 * time.Millisecond)
	}
	return time.Since(since)
}

// customerOfHot puts the product into a cart and takes it out again.
func (d *loadDrill) customerOfHot(ctx context.Context, n int) {
	who := d.customer(fmt.Sprint("customer ", n))
	for i := 0; ctx.Err() == nil; i++ {
		if i%2 == 0 {
			d.note(ctx, &d.asked, who, http.MethodPut, "/cart/items/"+d.hot, map[string]int{"quantity": 1 + i%3})
		} else {
			d.note(ctx, &d.asked, who, http.MethodDelete, "/cart/items/"+d.hot, nil)
		}
		d.pause(ctx, time.Duration(500+rand.IntN(1000))*time.Millisecond)
	}
}

func (d *loadDrill) bystander(ctx context.Context, n int) {
	who := d.customer(fmt.Sprint("bystander ", n))
	for i := 0; ctx.Err() == nil; i++ {
		d.note(ctx, &d.aside, who, http.MethodPut, "/cart/items/"+d.calm, map[string]int{"quantity": 1 + i%3})
		d.pause(ctx, time.Duration(20+rand.IntN(60))*time.Millisecond)
	}
}

func (d *loadDrill) pause(ctx context.Context, long time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(long):
	}
}

func (d *loadDrill) note(ctx context.Context, to *[]sample, who customer, method, path string, body any) {
	began := time.Now()
	a, err := who.sendWithin(ctx, method, path, body)
	if err != nil {
		a.status = 0
	}
	if ctx.Err() != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	*to = append(*to, sample{began, time.Since(began), a.status})
}

func between(all []sample, from, to time.Time) []sample {
	return slices.DeleteFunc(slices.Clone(all), func(s sample) bool { return s.at.Before(from) || s.at.After(to) })
}

func quantile(all []sample, percent int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b sample) int { return int(a.took - b.took) })
	return all[min(len(all)-1, len(all)*percent/100)].took.Round(time.Millisecond / 10)
}

func refusedOf(all []sample) (n int) {
	for _, s := range all {
		if s.status != http.StatusOK {
			n++
		}
	}
	return n
}

// memory is what the instance's process has of it, in kB.
func (d *loadDrill) memory(t *testing.T, what string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.m.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), what+":")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (d *loadDrill) resetPeak(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", d.m.cmd.Process.Pid), []byte("5"), 0o600); err != nil {
		t.Fatal(err)
	}
}
