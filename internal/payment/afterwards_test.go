package payment_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/payment"
)

// provide has something befall money at the provider.
func (w *world) provide(path string) {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), http.MethodPost, w.url+path, http.NoBody)
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+apiKey)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	if response.Body.Close(); response.StatusCode != http.StatusOK {
		w.Fatalf("%s: %s", path, response.Status)
	}
}

// text gives one text by a statement.
func (w *world) text(sql string, args ...any) (text string) {
	w.Helper()
	if err := w.env.DB.QueryRow(w.Context(), sql, args...).Scan(&text); err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
	return text
}

// next takes webhooks without handing them over.
func next(t *testing.T, told chan *http.Request, n int) (hooks []*http.Request) {
	t.Helper()
	for range n {
		select {
		case r := <-told:
			hooks = append(hooks, r)
		case <-time.After(enough):
			t.Fatal("no webhook came")
		}
	}
	return hooks
}

func (w *world) refundOf(p purchase) string {
	return w.text(`SELECT coalesce(refund_id, '') FROM payment.payments WHERE order_id = $1`, p.id)
}

// settled is a payment that was given back.
func (w *world) settled(service *payment.Service, p purchase) {
	w.Helper()
	w.hear(service.Charge, p.fact(event.OrderCreated))
	w.reach(p.id, payment.Success)
	w.hear(service.GiveBack, p.fact(event.OrderEnding))
	w.reach(p.id, payment.Refunded)
}

const reversed = `
	SELECT string_agg(kind || ' ' || credit || ' ' || debit, ', ' ORDER BY at, kind DESC) FROM payment.transfers WHERE order_id = $1`

// A refund fails at the provider after it had made it. It is owed again, once however often that is told, and made again under another
// key; nothing is said of it again.
func TestARefundThatFailsIsOwedAgain(t *testing.T) {
	t.Parallel()
	address, told := post(t)
	w := newWorld(t, address)
	service, charger, stop := w.charger(nil)
	notices := w.notices(func() {})
	p := buy("pm_ok")
	w.settled(service, p)
	stop()
	next(t, told, 2)
	first := w.refundOf(p)
	w.provide("/refunds/" + first + "/fail?reason=lost_or_stolen_card")
	w.hearNext(notices, told)
	if got := w.state(p.id); got != payment.Refunding {
		t.Fatalf("a payment whose refund has failed is %s", got)
	}
	o := w.office(charger)
	shown := o.call(http.StatusOK, http.MethodGet, "/payments/"+p.id.String(), "")
	failures := shown["failures"].([]any)
	if f := failures[0].(map[string]any); len(failures) != 1 || f["refund_id"] != first || f["effect"] != "owed again" || f["reason"] != "lost_or_stolen_card" ||
		shown["owed_since"] == nil || shown["last_error"] == nil || shown["given_up"] != false {
		t.Errorf("shown: %v", shown)
	}
	for _, state := range []string{"reversed", "failing", "REFUNDING"} {
		if list := o.list("/payments?state=" + state); len(list) != 1 || list[0]["order_id"] != p.id.String() {
			t.Errorf("%s: %v", state, list)
		}
	}
	if list := o.list("/failed-refunds?state=all"); len(list) != 1 || list[0]["order_id"] != p.id.String() {
		t.Errorf("failed refunds: %v", list)
	}
	if st, err := charger.Status(t.Context()); err != nil || st.Reversed != 1 || st.Failing != 1 || st.GivenUp != 0 {
		t.Errorf("status: %+v, %v", st, err)
	}
	w.charger(nil)
	w.reach(p.id, payment.Refunded)
	w.expect(p, payment.Refunded, "processed refunded", repaid)
	if again := w.refundOf(p); again == first || again == "" {
		t.Errorf("given back by %q, and by %q before", again, first)
	}
	if got, want := w.text(reversed, p.id), "charge customer provider, refund provider refunds, reversal refunds provider, refund provider refunds"; got != want {
		t.Errorf("the ledger has %s", got)
	}
	w.hunt(w.hunter(func() {})) // in whose list all of it stands
	w.expect(p, payment.Refunded, "processed refunded", repaid)
	if found := w.orphans(); len(found) > 0 {
		t.Errorf("orphans: %v", found)
	}
}

// That a refund has failed is told before it is heard that it was made: neither its notice nor the provider's kept answer is believed then.
func TestARefundFailsBeforeItIsHeardOf(t *testing.T) {
	t.Parallel()
	address, told := post(t)
	w := newWorld(t, address)
	service, _, stop := w.charger(nil)
	p := buy("pm_ok")
	w.hear(service.Charge, p.fact(event.OrderCreated))
	w.reach(p.id, payment.Success)
	stop()
	w.hear(w.idle().GiveBack, p.fact(event.OrderEnding))
	in := intentOf(p)
	in.ChargeID = w.text(`SELECT charge_id FROM payment.payments WHERE order_id = $1`, p.id)
	made, err := w.provider.Refund(t.Context(), in) // and nobody hears the answer
	if err != nil {
		t.Fatal(err)
	}
	w.provide("/refunds/" + made.RefundID + "/fail")
	hooks := next(t, told, 3)
	notices := w.notices(func() {})
	for _, kind := range []string{"refund.failed", "refund.succeeded", "refund.failed", "refund.succeeded"} {
		i := slices.IndexFunc(hooks, func(r *http.Request) bool { return strings.Contains(r.Form.Get("body"), kind) })
		if err := notices.Hear(t.Context(), hooks[i].Header, []byte(hooks[i].Form.Get("body"))); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.text(`SELECT state || ' ' || effect FROM payment.payments JOIN payment.failed_refunds USING (order_id) WHERE order_id = $1`, p.id); got != "REFUNDING still owed" {
		t.Errorf("the payment is %s", got)
	}
	w.charger(nil)
	w.reach(p.id, payment.Refunded)
	w.expect(p, payment.Refunded, "processed refunded", repaid)
	if w.refundOf(p) == made.RefundID {
		t.Error("a refund that has failed counts as made")
	}
}

// A refund that fails and fails again is left to a person, who has it tried once more, or gives the money back by another way. What
// the webhooks do not tell the hunt finds.
func TestARefundThatFailsAgainAndAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	service, charger, _ := w.charger(nil)
	hunter := w.hunter(charger.Wake)
	tried, paidBack := buy("pm_ok"), buy("pm_ok")
	w.settled(service, tried)
	w.settled(service, paidBack)
	for n := range 4 {
		for _, p := range []purchase{tried, paidBack} {
			w.reach(p.id, payment.Refunded)
			w.provide("/refunds/" + w.refundOf(p) + "/fail")
		}
		w.hunt(hunter)
		w.eventually(`SELECT bool_and(reversals = $1) FROM payment.payments`, n+1)
	}
	w.eventually(`SELECT bool_and(last_error LIKE '%again and again%' AND state = 'REFUNDING' AND due_at > now() + interval '3 minutes') FROM payment.payments`)
	if st, err := charger.Status(t.Context()); err != nil || st.GivenUp != 2 || st.Reversed != 2 {
		t.Errorf("status: %+v, %v", st, err)
	}
	o := w.office(charger)
	o.act(http.StatusOK, tried, "retry", "")
	o.act(http.StatusOK, paidBack, "settle", outside)
	w.expect(tried, payment.Refunded, "processed refunded", repaid)
	w.expect(paidBack, payment.Refunded, "processed refunded", paid)
	w.eventually(`SELECT bool_and(charged = 1275 AND refunded = 1275) AND sum(kept) = 1275 FROM payment.balances`)
	w.hunt(hunter)
	if found := w.orphans(); len(found) > 0 {
		t.Errorf("orphans: %v", found)
	}
}

// The refund of a charge that nobody wanted fails: it is given back once more.
func TestTheRefundOfAnOrphanFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := buy("pm_ok")
	w.hear(w.idle().GiveBack, p.fact(event.OrderEnding)) // a tombstone
	in := intentOf(p)
	in.ChargeID = ""
	if _, err := w.provider.Charge(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	h := w.hunter(func() {})
	w.hunt(h)
	first := w.text(`SELECT refund_id FROM payment.orphans`)
	w.provide("/refunds/" + first + "/fail")
	w.hunt(h)
	w.hunt(h)
	if again := w.text(`SELECT refund_id FROM payment.orphans`); again == first {
		t.Error("it was not given back again")
	}
	w.expect(p, payment.Voided, "voided", repaid)
	if got := w.text(`SELECT effect FROM payment.failed_refunds WHERE refund_id = $1 AND order_id IS NULL`, first); got != "owed again" {
		t.Errorf("the failed refund of an orphan: %s", got)
	}
}

// Disputes are rows, which show how each stands whatever the order in which it was told, and how often.
func TestDisputesAreKept(t *testing.T) {
	t.Parallel()
	address, told := post(t)
	w := newWorld(t, address)
	service, charger, _ := w.charger(nil)
	won, lost, open := buy("pm_ok"), buy("pm_ok"), buy("pm_ok")
	all := []purchase{won, lost, open}
	for _, p := range all {
		w.hear(service.Charge, p.fact(event.OrderCreated))
		w.reach(p.id, payment.Success)
	}
	next(t, told, len(all))
	disputed := func(p purchase, turns ...string) {
		charge := w.text(`SELECT charge_id FROM payment.payments WHERE order_id = $1`, p.id)
		w.provide("/charges/" + charge + "/dispute")
		entries := w.page(0).Entries
		for _, turn := range turns {
			w.provide("/disputes/" + entries[len(entries)-1].ID + "/" + turn)
		}
	}
	disputed(won, "under-review", "won")
	disputed(lost, "lost")
	disputed(open)
	hooks := next(t, told, 6)
	slices.Reverse(hooks)
	notices := w.notices(func() {})
	for _, r := range append(hooks, hooks[2], hooks[5]) {
		if err := notices.Hear(t.Context(), r.Header, []byte(r.Form.Get("body"))); err != nil {
			t.Fatal(err)
		}
	}
	w.hunt(w.hunter(func() {}))
	rows, err := w.env.DB.Query(t.Context(), `SELECT order_id::text, status || ' ' || over || ' ' || funds FROM payment.disputes`)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	var order, how string
	if _, err := pgx.ForEachRow(rows, []any{&order, &how}, func() error { got[order] = how; return nil }); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		won.id.String(): "won true reinstated", lost.id.String(): "lost true withdrawn", open.id.String(): "needs_response false withdrawn",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	o := w.office(charger)
	if list := o.list("/disputes?state=open"); len(list) != 1 || list[0]["order_id"] != open.id.String() {
		t.Errorf("open: %v", list)
	}
	if list := o.list("/disputes?state=all"); len(list) != 3 {
		t.Errorf("all: %v", list)
	}
	if list := o.list("/payments?state=disputed"); len(list) != 1 || list[0]["order_id"] != open.id.String() {
		t.Errorf("payments: %v", list)
	}
	if shown := o.call(http.StatusOK, http.MethodGet, "/payments/"+lost.id.String(), ""); len(shown["disputes"].([]any)) != 1 {
		t.Errorf("shown: %v", shown)
	}
	if st, err := charger.Status(t.Context()); err != nil || st.Disputes != 1 {
		t.Errorf("status: %+v, %v", st, err)
	}
	// What the bank has taken back is not given back as well: that waits for a person.
	w.hear(service.GiveBack, lost.fact(event.OrderEnding))
	w.eventually(`SELECT last_error LIKE '%charge_disputed%' FROM payment.payments WHERE order_id = $1`, lost.id)
	o.act(http.StatusOK, lost, "settle", `{"reason":"his bank has taken it back"}`)
	w.expect(lost, payment.Refunded, "processed refunded", paid)
}

// Operators have orphans given back, or note what else was done about them: once, with who and why, and what came of each try.
func TestOrphansAreSeenToByHand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	charge := func(key string) string {
		in := intentOf(buy("pm_ok"))
		in.ChargeID, in.ChargeKey = "", key
		o, err := w.provider.Charge(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		return o.ChargeID
	}
	given, settled := charge("of-another-shop"), charge("of-a-third")
	w.hunt(w.hunter(func() {}))
	o, poor := w.idleOffice(w.provider), w.idleOffice(mean{w.provider})
	poor.call(http.StatusServiceUnavailable, http.MethodPost, "/orphans/"+given+"/refund", "")
	if shown := o.call(http.StatusOK, http.MethodGet, "/orphans/"+given, ""); shown["due_at"] == nil || shown["tries"] != 1.0 || shown["error_answers"] != 1.0 ||
		!strings.Contains(shown["last_error"].(string), "balance_insufficient") {
		t.Errorf("after a try: %v", shown)
	}
	if got := o.call(http.StatusOK, http.MethodPost, "/orphans/"+given+"/refund", ""); got["refund_id"] == nil || len(got["acts"].([]any)) != 2 {
		t.Errorf("given back: %v", got)
	}
	for range 2 {
		got := o.call(http.StatusOK, http.MethodPost, "/orphans/"+settled+"/settle", `{"reason":"of the till in the shop"}`)
		acts := got["acts"].([]any)
		if a := acts[0].(map[string]any); got["settled_at"] == nil || len(acts) != 1 || a["by"] != "olga" || a["reason"] != "of the till in the shop" {
			t.Errorf("settled: %v", got)
		}
	}
	for _, path := range []string{"/orphans/" + given + "/refund", "/orphans/" + settled + "/refund"} {
		o.call(http.StatusConflict, http.MethodPost, path, "")
	}
	o.call(http.StatusConflict, http.MethodPost, "/orphans/"+given+"/settle", outside)
	o.call(http.StatusBadRequest, http.MethodPost, "/orphans/"+settled+"/settle", `{}`)
	o.call(http.StatusNotFound, http.MethodPost, "/orphans/ch_none/refund", "")
	if list := o.list("/orphans?state=open"); len(list) != 0 {
		t.Errorf("open: %v", list)
	}
	if _, err := w.env.DB.Exec(t.Context(), `DELETE FROM payment.orphan_acts`); err == nil {
		t.Error("what was done can be undone")
	}
}

// Money that does not fit is a row as soon as a webhook tells of it, and is given back by the next hunt where it is ours to do so.
func TestWebhooksOfOrphansAreKept(t *testing.T) {
	t.Parallel()
	address, told := post(t)
	w := newWorld(t, address)
	stray, dear, strange := buy("pm_ok"), buy("pm_ok"), buy("pm_ok")
	w.hear(w.idle().GiveBack, stray.fact(event.OrderEnding)) // a tombstone
	w.attempt(dear, stuck{w.provider})
	for _, p := range []purchase{stray, dear, strange} {
		in := intentOf(p)
		if in.ChargeID = ""; p == dear {
			in.Terms.TotalMinor++
		}
		if _, err := w.provider.Charge(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	notices := w.notices(func() {})
	for _, r := range next(t, told, 3) {
		for range 2 {
			_ = notices.Hear(t.Context(), r.Header, []byte(r.Form.Get("body"))) // what is not ours is refused all the same
		}
	}
	want := map[string]string{stray.id.String(): "stray", dear.id.String(): "wrong", strange.id.String(): "no order"}
	if diff := cmp.Diff(want, w.orphans()); diff != "" {
		t.Error(diff)
	}
	w.hunt(w.hunter(func() {}, func(o *payment.HunterOptions) { o.NoOrder = true }))
	want[stray.id.String()], want[strange.id.String()] = "stray, given back", "no order, given back"
	if diff := cmp.Diff(want, w.orphans()); diff != "" {
		t.Error(diff)
	}
	w.hearNext(notices, told) // of a refund that was the hunter's doing
}
