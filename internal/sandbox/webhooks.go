package sandbox

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Webhooks say where charges and refunds are told of, as Standard Webhooks has it, and what goes wrong with that. Each is told
// until it is answered by a 2xx, later and later, and for GiveUp at most; also by the next process after a kill.
type Webhooks struct {
	URL     string        // "": nobody is told
	Secret  string        // whsec_ and at least 24 bytes in base64
	Delay   time.Duration // between the deed and its notice; 0: 500 ms, below 0: none
	LateBy  time.Duration // how much later late ones are; 0: 5 s
	Again   time.Duration // until the second attempt, and twice that until the next; 0: 1 s
	GiveUp  time.Duration // 0: 72 h
	Late    float64       // share of notices that are late
	Repeat  float64       // share of notices that are told up to three times, though they were answered
	Reorder float64       // share of notices that others overtake, by up to LateBy
}

func (w Webhooks) withDefaults() Webhooks {
	w.Delay, w.LateBy, w.GiveUp = cmp.Or(w.Delay, 500*time.Millisecond), cmp.Or(w.LateBy, 5*time.Second), cmp.Or(w.GiveUp, 72*time.Hour)
	w.Delay, w.Again = max(w.Delay, 0), cmp.Or(w.Again, time.Second)
	return w
}

// check says whether it can be done.
func (w Webhooks) check() error {
	for _, p := range []float64{w.Late, w.Repeat, w.Reorder} {
		if !(p >= 0 && p <= 1) {
			return errors.New("a share of webhooks is from 0 to 1")
		}
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(w.Secret, "whsec_"))
	if w.URL != "" && (err != nil || len(key) < 24) {
		return errors.New("the webhooks' secret is whsec_ and at least 24 bytes in base64")
	}
	return nil
}

const (
	tellers       = 16 // notices told at once
	tellTimeout   = 5 * time.Second
	longestAgain  = 10 * time.Minute
	mostRepeats   = 2
	maxHeardReply = 64 << 10
)

// notice is an entry that is to be told of.
type notice struct {
	entry   *Entry
	due     time.Time
	tries   int
	repeats int // that are left once it was answered
	done    bool
}

// queue is a heap, the first that is due at its top.
type queue []*notice

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(n any)        { *q = append(*q, n.(*notice)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// herald tells of entries. A nil one tells nobody.
type herald struct {
	Webhooks
	signer   *standardwebhooks.Webhook
	client   *http.Client
	told     *marks
	troubles *troubles // what goes wrong is drawn from its seed
	now      func() time.Time
	log      *slog.Logger

	mu    sync.Mutex
	queue queue
	bell  chan struct{}
}

// openHerald gives the herald of a ledger, with everything before it that entries so far were not told of yet.
func openHerald(o Options, entries []*Entry) (*herald, error) {
	w := o.Webhooks.withDefaults()
	if err := w.check(); err != nil || w.URL == "" {
		return nil, err
	}
	signer, err := standardwebhooks.NewWebhook(w.Secret)
	if err != nil {
		return nil, err
	}
	told, err := openMarks(o.LedgerFile+".told", entries)
	if err != nil {
		return nil, err
	}
	h := &herald{
		Webhooks: w, signer: signer, told: told, troubles: newTroubles(o.Seed, o.Faults), now: o.Now, log: o.Log, bell: make(chan struct{}, 1),
		client: &http.Client{
			Timeout:       tellTimeout,
			Transport:     &http.Transport{MaxIdleConnsPerHost: tellers, IdleConnTimeout: 30 * time.Second},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	for _, e := range entries {
		if e.Kind != KindClose && !told.has(e.Seq) && o.Now().Sub(e.At) < w.GiveUp {
			h.tell(e)
		}
	}
	return h, nil
}

// tell has an entry told of.
func (h *herald) tell(e *Entry) {
	if h == nil {
		return
	}
	n := &notice{entry: e, due: e.At.Add(h.Delay)}
	random := h.troubles.chance("webhook "+e.noticeID(), 0)
	if random.Float64() < h.Late {
		n.due = n.due.Add(h.LateBy)
	}
	if random.Float64() < h.Reorder {
		n.due = n.due.Add(time.Duration(random.Int64N(int64(h.LateBy))))
	}
	if random.Float64() < h.Repeat {
		n.repeats = 1 + random.IntN(mostRepeats)
	}
	h.put(n)
}

func (h *herald) put(n *notice) {
	h.mu.Lock()
	heap.Push(&h.queue, n)
	h.mu.Unlock()
	select {
	case h.bell <- struct{}{}:
	default:
	}
}

// next takes the first notice if it is due, or says how long that takes.
func (h *herald) next() (*notice, time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.queue) == 0 {
		return nil, time.Hour
	}
	if wait := h.queue[0].due.Sub(h.now()); wait > 0 {
		return nil, wait
	}
	return heap.Pop(&h.queue).(*notice), 0
}

// run tells until ctx ends.
func (h *herald) run(ctx context.Context) {
	if h == nil {
		return
	}
	var telling sync.WaitGroup
	defer telling.Wait()
	slots := make(chan struct{}, tellers)
	for {
		n, wait := h.next()
		if n == nil {
			if !h.rest(ctx, wait) {
				return
			}
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		telling.Go(func() { defer func() { <-slots }(); h.attempt(ctx, n) })
	}
}

func (h *herald) rest(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-h.bell:
	case <-ctx.Done():
		return false
	}
	return true
}

// attempt tells once, and puts the notice back if it is to be told again.
func (h *herald) attempt(ctx context.Context, n *notice) {
	err := h.send(ctx, n.entry)
	n.tries++
	if err == nil && !n.done {
		n.done = true
		err = h.told.mark(n.entry.Seq)
	}
	again := min(h.Again<<min(n.tries-1, 16), longestAgain)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil && h.now().Sub(n.entry.At) > h.GiveUp:
		h.log.Error("a webhook was not taken, and is given up", "entry", n.entry.ID, "tries", n.tries, "err", err)
		return
	case err != nil:
		h.log.Warn("a webhook was not taken", "entry", n.entry.ID, "try", n.tries, "again_in", again.String(), "err", err)
	case n.repeats == 0:
		return
	default:
		n.repeats--
		again = h.Delay
	}
	n.due = h.now().Add(again)
	h.put(n)
}

// noticeID is the id of an entry's webhook: what befell a refund or a dispute later has one of its own.
func (e *Entry) noticeID() string {
	if e.Status == Succeeded || e.Status == Declined {
		return "evt_" + e.ID
	}
	return "evt_" + e.ID + "_" + e.Status
}

// send makes one request. The id and the body are the same in every one for an entry.
func (h *herald) send(ctx context.Context, e *Entry) error {
	body, err := json.Marshal(map[string]any{"type": e.Kind + "." + e.Status, "timestamp": e.At, "data": e})
	if err != nil {
		return err
	}
	id, at := e.noticeID(), h.now()
	signature, err := h.signer.Sign(id, at, body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(standardwebhooks.HeaderWebhookID, id)
	r.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	r.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	response, err := h.client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxHeardReply)) // only so that the connection can be used again
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("answered %s", response.Status)
	}
	return nil
}

func (h *herald) close() error {
	if h == nil {
		return nil
	}
	h.client.CloseIdleConnections()
	return h.told.close()
}
