package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/holdfast-checkout/holdfast/internal/saga"
)

// In every strategy a webhook tells what became of a charge before the request that asked for it is answered, four times at once and
// once more when it is: one of them decides, the answer changes nothing any more, and the order is charged once. Where the customer's
// own request asks the provider, that request goes on without a fact to hear, and the queues have the rest heard.
func TestTheWebhookComesFirst(t *testing.T) {
	t.Parallel()
	s := newStageWithoutCharger(t, saga.Optimistic, false)
	provider := s.doors()
	course := saga.NewCourse(s.db, s.book, s.modules.actors(), provider.charger.ChargeNow, s.log)
	var actors []actor
	for _, way := range saga.All() {
		for _, method := range []string{"pm_ok", "pm_declined"} {
			a := actor{scene: scene{name: way.Name + ", " + method, method: method, strategy: way.Name}}
			s.place(&a, s.plenty[0], s.plenty[1])
			actors = append(actors, a)
		}
	}
	for due := 0; due < len(actors); due = len(s.due()) {
		waves := inOrder{}.carry(s.said())
		if len(waves) == 0 {
			t.Fatalf("%d of %d payments are due", due, len(actors))
		}
		for _, wave := range waves {
			s.deliver(wave)
		}
	}
	for _, a := range actors {
		at := provider.shut(a.id, false)
		over := course.Follow(t.Context(), a.strategy, a.id)
		if over == nil {
			provider.charge(t.Context(), a.id, at)
			over = at.over
		}
		<-at.done
		s.tellOf(a.id, 4)
		close(at.open)
		<-over
		if at.err != nil || len(at.heard) > 0 {
			t.Errorf("%s: the answer made %v, %v", a.name, at.heard, at.err)
		}
		s.tellOf(a.id, 1)
	}
	s.play(nil, inOrder{})
	for i, e := range s.ends(actors) {
		a := actors[i]
		want := map[string]string{"pm_ok": "COMPLETED", "pm_declined": "FAILED"}[a.method]
		said := map[string]string{"pm_ok": "payment.processed", "pm_declined": "payment.failed"}[a.method]
		if e.Status != want || !slices.Contains(e.Said, said) || slices.Contains(e.Said, "payment.unknown") {
			t.Errorf("%s: %+v", a.name, e)
		}
		a.ends = "COMPLETED FAILED/PAYMENT_FAILED"
		a.judge(t, a.name, e)
	}
	s.clean()
}

// tellOf has the webhook of an order's charge come, so many times at once.
func (s *stage) tellOf(order uuid.UUID, times int) {
	s.Helper()
	header, body := s.hookOf(order)
	var telling sync.WaitGroup
	for range times {
		telling.Go(func() {
			if err := s.modules.notices.Hear(s.Context(), header, body); err != nil {
				s.Errorf("%s: %v", body, err)
			}
		})
	}
	telling.Wait()
}

// hookOf is the webhook of an order's charge, as the provider signs it.
func (s *stage) hookOf(order uuid.UUID) (header http.Header, body []byte) {
	s.Helper()
	for _, entry := range s.ledger() {
		var e struct {
			OrderID string `json:"order_id"`
			Status  string `json:"status"`
		}
		if err := json.Unmarshal(entry, &e); err != nil {
			s.Fatal(err)
		}
		if e.OrderID == order.String() {
			return s.signed(fmt.Appendf(nil, `{"type":"charge.%s","data":%s}`, e.Status, entry))
		}
	}
	s.Fatalf("the provider has no charge of order %s", order)
	return nil, nil
}

func (s *stage) signed(body []byte) (http.Header, []byte) {
	s.Helper()
	signer, err := standardwebhooks.NewWebhook(stageHooks)
	if err != nil {
		s.Fatal(err)
	}
	id, now := uuid.NewString(), time.Now()
	signature, err := signer.Sign(id, now, body)
	if err != nil {
		s.Fatal(err)
	}
	header := http.Header{}
	header.Set("webhook-id", id)
	header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	header.Set("webhook-signature", signature)
	return header, body
}

// ledger is the provider's.
func (s *stage) ledger() []json.RawMessage {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), http.MethodGet, s.cfg.SandboxURL+"/ledger?limit=1000", nil)
	if err != nil {
		s.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+stageKey)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer res.Body.Close()
	var page struct {
		Entries []json.RawMessage `json:"entries"`
	}
	if err := json.NewDecoder(res.Body).Decode(&page); err != nil || res.StatusCode != http.StatusOK {
		s.Fatalf("%s, %v", res.Status, err)
	}
	return page.Entries
}
