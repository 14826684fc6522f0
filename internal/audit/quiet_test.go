package audit_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/audit"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// An audit has no transaction id, however long it takes: an open one would hold up the relay's mark and the making of slots, and
// what it reads of the provider after its snapshot must count all the same.
func holdsNoTransactionID(t *testing.T, s *shop) {
	db := s.copyOf(t)
	o := s.options(t, db)
	provider := &lateProvider{of: s.copyOfLedger(t, 0)}
	server := httptest.NewServer(provider)
	t.Cleanup(server.Close)
	o.Ledgers = []audit.Ledger{{URL: server.URL, APIKey: apiKey}}
	looking := &looking{db: db}
	o.Redis = redis.NewClient(s.env.Redis.(*redis.Client).Options())
	t.Cleanup(func() { _ = o.Redis.Close() })
	o.Redis.AddHook(looking)
	report := run(t, o)
	if report.ExitCode() != audit.ExitOK {
		t.Errorf("%+v", report)
	}
	if !provider.late.Load() || looking.looks.Load() == 0 || looking.held.Load() > 0 {
		t.Errorf("an entry came late: %v; in %d of %d looks there was a transaction id", provider.late.Load(), looking.held.Load(), looking.looks.Load())
	}
}

// lateProvider keeps the last entry of a ledger back until it is asked for more than there seemed to be.
type lateProvider struct {
	of          audit.Ledger
	asked, late atomic.Bool
}

func (p *lateProvider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, p.of.URL+r.URL.String(), nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	req.Header = r.Header
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer res.Body.Close()
	var page struct {
		Entries []struct {
			Seq int64 `json:"seq"`
		} `json:"entries"`
	}
	body, err := io.ReadAll(res.Body)
	if err == nil {
		err = json.Unmarshal(body, &page)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	switch {
	case !p.asked.Load() && len(page.Entries) > 1:
		body = withoutLast(body, page.Entries[len(page.Entries)-2].Seq)
	case len(page.Entries) == 1 && p.asked.CompareAndSwap(false, true):
		body = []byte(`{"entries":[],"next_after":0}`)
	case len(page.Entries) == 1:
		p.late.Store(true)
	}
	_, _ = w.Write(body)
}

// withoutLast takes the last entry out of a page.
func withoutLast(body []byte, last int64) []byte {
	var page struct {
		Entries []json.RawMessage `json:"entries"`
		Next    int64             `json:"next_after"`
	}
	if json.Unmarshal(body, &page) != nil {
		return body
	}
	page.Entries, page.Next = page.Entries[:len(page.Entries)-1], last
	shorter, _ := json.Marshal(page)
	return shorter
}

// looking looks for transaction ids in a database whenever Redis is asked, which is what an audit does last.
type looking struct {
	db          *postgres.DB
	looks, held atomic.Int32
}

func (l *looking) look(ctx context.Context) {
	var held int32
	err := l.db.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_xid IS NOT NULL`).Scan(&held)
	if err == nil {
		l.looks.Add(1)
		l.held.Add(held)
	}
}

func (l *looking) DialHook(next redis.DialHook) redis.DialHook { return next }

func (l *looking) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { l.look(ctx); return next(ctx, cmd) }
}

func (l *looking) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { l.look(ctx); return next(ctx, cmds) }
}
