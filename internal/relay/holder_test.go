package relay

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	dto "github.com/prometheus/client_model/go"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// A forgotten transaction that has written, and holds up what was said after it, is named in status, log and metric.
func TestOpenTransactionThatHoldsFactsUpIsNamed(t *testing.T) {
	t.Parallel()
	b := newBench(t, testkit.New(t))
	r := b.relay(t, Polling)
	cfg := b.DB.Config().ConnConfig.Copy()
	cfg.RuntimeParams["idle_in_transaction_session_timeout"] = "0" // ours would end it after 15 s
	open, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = open.Close(t.Context()) })
	if _, err := open.Exec(t.Context(), `BEGIN; SELECT pg_current_xact_id()`); err != nil {
		t.Fatal(err)
	}
	pid := int32(open.PgConn().PID()) //nolint:gosec // a process id fits
	startLeading(t, r)
	b.say(t, fact())
	testkit.Eventually(t, patience, func() error {
		s, err := r.Status(t.Context())
		if err != nil {
			return err
		}
		if s.HeldBy == nil || s.HeldBy.PID != pid || s.HeldBy.Database == "" || s.HeldBy.Since == nil {
			return fmt.Errorf("held by %+v, not by %d", s.HeldBy, pid)
		}
		return nil
	})
	testkit.Eventually(t, patience, func() error {
		var m dto.Metric
		if err := r.m.holder.WithLabelValues(fmt.Sprint(pid), "", open.Config().Database).Write(&m); err != nil {
			return err
		}
		if m.GetGauge().GetValue() != 1 || !b.log.has(fmt.Sprintf("pid=%d", pid)) {
			return fmt.Errorf("not told")
		}
		return nil
	})
}
