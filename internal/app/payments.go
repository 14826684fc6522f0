package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-checkout/holdfast/internal/run"
)

// paymentsEvery is how often the payments that are under way are counted.
const paymentsEvery = 10 * time.Second

// paymentMetrics tell of money that is under way, so that somebody is called when it stays there.
type paymentMetrics struct {
	underWay *prometheus.GaugeVec // state
	oldest   prometheus.Gauge
}

func newPaymentMetrics(registry prometheus.Registerer) paymentMetrics {
	m := paymentMetrics{
		underWay: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "holdfast_payments_under_way", Help: "Payments that are under way, by state; failing and forgotten are counted beside their state.",
		}, []string{"state"}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "holdfast_payments_oldest_seconds", Help: "Age of the oldest payment that is under way; 0: there is none.",
		}),
	}
	registry.MustRegister(m.underWay, m.oldest)
	return m
}

// countPayments keeps the metrics of payments fresh until ctx ends.
func (s *server) countPayments(ctx context.Context) error {
	for {
		if err := s.measurePayments(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "payments not counted", "error", err)
		}
		if run.Pause(ctx, paymentsEvery) != nil {
			return nil
		}
	}
}

func (s *server) measurePayments(ctx context.Context) error {
	st, err := s.modules.charger.Status(ctx)
	if err != nil {
		return err
	}
	for state, n := range map[string]int64{
		"pending": st.Pending, "unknown": st.Unknown, "refunding": st.Refunding, "failing": st.Failing, "forgotten": st.Forgotten,
	} {
		s.payments.underWay.WithLabelValues(state).Set(float64(n))
	}
	age := 0.0
	if st.Oldest != nil {
		age = time.Since(*st.Oldest).Seconds()
	}
	s.payments.oldest.Set(max(age, 0))
	return nil
}
