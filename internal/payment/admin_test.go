package payment_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-checkout/holdfast/api"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/web"
	"github.com/holdfast-checkout/holdfast/internal/web/webtest"
)

// office is the operators' API to a charger. Every answer is held against the API document.
type office struct {
	*world
	url    string
	client *http.Client
	tokens web.Tokens
}

func (w *world) office(charger *payment.Charger) *office {
	w.Helper()
	o := &office{world: w, tokens: web.Tokens{Secret: []byte(strings.Repeat("secret", 8))}}
	auth, err := web.NewAuth(o.tokens.Secret, "")
	if err != nil {
		w.Fatal(err)
	}
	server, err := web.New(web.Options{Addr: "127.0.0.1:0", Auth: auth, Log: w.env.Log, Registry: prometheus.NewRegistry()})
	if err != nil {
		w.Fatal(err)
	}
	notices := payment.NewNotices(w.env.DB, w.provider, charger.Wake, w.env.Log, prometheus.NewRegistry())
	payment.NewHTTP(notices, charger).Routes(server.Routes())
	if err := server.Listen(w.Context()); err != nil {
		w.Fatal(err)
	}
	transport := &http.Transport{}
	run(w.TB, server.Run)
	w.Cleanup(transport.CloseIdleConnections)
	o.url = "http://" + server.Addr() + "/api/v1/admin"
	o.client = &http.Client{Transport: webtest.Load(w.TB, api.Document).Transport(w.TB, transport)}
	return o
}

// call sends a request as an operator, and wants a status.
func (o *office) call(want int, method, path, body string) map[string]any {
	o.Helper()
	r, err := http.NewRequestWithContext(o.Context(), method, o.url+path, strings.NewReader(body))
	if err != nil {
		o.Fatal(err)
	}
	if body == "" {
		r.Body = http.NoBody
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	token, err := o.tokens.Issue("olga", true, time.Hour)
	if err != nil {
		o.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	response, err := o.client.Do(r)
	if err != nil {
		o.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		o.Fatal(err)
	}
	if response.StatusCode != want {
		o.Fatalf("%s %s %s: %d, want %d: %s", method, path, body, response.StatusCode, want, raw)
	}
	got := map[string]any{}
	if err := json.Unmarshal(raw, &got); err != nil {
		o.Fatalf("%s: %v", raw, err)
	}
	return got
}

// list gives all that a list has, page by page.
func (o *office) list(path string) (items []map[string]any) {
	o.Helper()
	for cursor := ""; ; {
		page := o.call(http.StatusOK, http.MethodGet, path+"&limit=1"+cursor, "")
		for _, item := range page["items"].([]any) {
			items = append(items, item.(map[string]any))
		}
		next, _ := page["next_cursor"].(string)
		if cursor = "&cursor=" + next; next == "" {
			return items
		}
	}
}

// mean is a provider that gives nothing back, until it is reformed, and says so.
type mean struct{ payment.Gateway }

func (mean) Refund(context.Context, payment.Intent) (payment.Outcome, error) {
	return payment.Outcome{}, errors.Join(payment.ErrAnswered, errors.New("balance_insufficient"))
}

// owed leaves payments whose refund fails, with a charger at them.
func (w *world) owed(n int) (*payment.Charger, []purchase) {
	w.Helper()
	service, charger, _ := w.charger(mean{w.provider})
	var all []purchase
	for range n {
		p := buy("pm_ok")
		w.hear(service.Charge, p.fact(event.OrderCreated))
		w.reach(p.id, payment.Success)
		w.hear(service.GiveBack, p.fact(event.OrderEnding))
		all = append(all, p)
	}
	for _, p := range all {
		w.eventually(`SELECT error_answers > 1 AND leased_until IS NULL FROM payment.payments WHERE order_id = $1`, p.id)
	}
	return charger, all
}

func TestMoneyThatIsUnderWayIsListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	charger, owed := w.owed(2)
	o := w.office(charger)
	for _, path := range []string{"/payments?state=open", "/payments?state=failing", "/payments?state=REFUNDING"} {
		list := o.list(path)
		if len(list) != 2 || list[0]["order_id"] != owed[0].id.String() || list[1]["order_id"] != owed[1].id.String() {
			t.Fatalf("%s: %v", path, list)
		}
		for _, p := range list {
			if p["giving_back"] != true || p["tries"].(float64) < 2 || p["attempts"].(float64) < 3 || p["error_answers"].(float64) < 2 ||
				!strings.Contains(p["last_error"].(string), "balance_insufficient") || p["first_try"] == nil || p["owed_since"] == nil {
				t.Errorf("%s: %v", path, p)
			}
		}
	}
	if list := o.list("/payments?state=UNKNOWN"); len(list) > 0 {
		t.Errorf("none is unknown: %v", list)
	}
	o.call(http.StatusBadRequest, http.MethodGet, "/payments?state=REFUNDED", "")
	if p := o.call(http.StatusOK, http.MethodGet, "/payments/"+owed[0].id.String(), ""); p["state"] != "REFUNDING" {
		t.Errorf("one by itself: %v", p)
	}
	o.call(http.StatusNotFound, http.MethodGet, "/payments/"+buy("pm_ok").id.String(), "")
}

// A charge of an order that was voided, whose refund the provider refuses.
func TestOrphansAreListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, charger, _ := w.charger(nil)
	o := w.office(charger)
	var charges []string
	for range 2 {
		p := buy("pm_ok")
		w.hear(w.idle().GiveBack, p.fact(event.OrderEnding))
		got, err := w.provider.Charge(t.Context(), payment.Intent{OrderID: p.id, ChargeKey: "charge-" + p.id.String(), Terms: p.terms()})
		if err != nil {
			t.Fatal(err)
		}
		charges = append(charges, got.ChargeID)
	}
	options := payment.HunterOptions{Cooldown: -1, Page: 2, Log: w.env.Log, Registry: prometheus.NewRegistry()}
	w.hunt(payment.NewHunter(w.env.DB, mean{w.provider}, func() {}, options))
	list := o.list("/orphans?state=open")
	if len(list) != len(charges) {
		t.Fatalf("%v", list)
	}
	for _, orphan := range list {
		if orphan["found"] != "stray" || orphan["tries"] != 1.0 || orphan["error_answers"] != 1.0 || !strings.Contains(orphan["last_error"].(string), "balance_insufficient") {
			t.Errorf("%v", orphan)
		}
	}
	w.exec(`UPDATE payment.orphans SET due_at = now()`)
	w.hunt(w.hunter(func() {}))
	if list := o.list("/orphans?state=open"); len(list) > 0 {
		t.Errorf("still open: %v", list)
	}
	for _, orphan := range o.list("/orphans?state=all") {
		if orphan["refund_id"] == nil || orphan["tries"] != 2.0 || orphan["last_error"] != nil {
			t.Errorf("%v", orphan)
		}
	}
}

func (w *world) exec(sql string, args ...any) {
	w.Helper()
	if _, err := w.env.DB.Exec(w.Context(), sql, args...); err != nil {
		w.Fatal(err)
	}
}
