package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/run"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

// gateway is the way to an account of a provider.
func (s *server) gateway(p config.Provider) payment.Gateway {
	if p.Name == "sandbox" {
		return payment.NewSandbox(payment.SandboxOptions{URL: p.URL, APIKey: p.Key, WebhookSecret: p.WebhookSecret})
	}
	return s.connect(p)
}

// newPayments makes what asks the providers: the one that charges, and former ones, which end what was begun there.
func (s *server) newPayments(m *modules) {
	m.provider = s.gateway(s.cfg.Charging())
	var providers []payment.Provider
	var heralds []payment.Herald
	books := []payment.Books{m.provider}
	for _, p := range s.cfg.Former {
		former := s.gateway(p)
		m.former = append(m.former, former)
		providers, heralds, books = append(providers, former), append(heralds, former), append(books, former)
	}
	m.charger = payment.NewCharger(s.db, m.provider, payment.ChargerOptions{Former: providers, Log: s.log})
	m.payment = payment.NewService(s.db, m.charger.Wake)
	m.notices = payment.NewNotices(s.db, m.provider, m.charger.Wake, s.log, s.registry, heralds...)
	m.notices.BringBack(s.bringBack)
	m.hunters = payment.NewHunters(s.db, books, m.charger.Wake, payment.HunterOptions{
		BringBack: s.bringBack, Interval: s.cfg.OrphanInterval, NoOrder: s.cfg.Orphans == "refund", Log: s.log, Registry: s.registry,
	})
}

// meetProviders asks the providers which accounts they are, and says what is left at others. A provider that does not answer is asked
// again for as long as it takes.
func (s *server) meetProviders(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s.modules.charger.Introduce(ctx)
	if err := s.checkPayments(ctx); err != nil {
		s.log.WarnContext(ctx, "payments", "error", err)
	}
}

// checkPayments notes what is under way at accounts that are not configured, which nobody here asks for.
func (s *server) checkPayments(ctx context.Context) error {
	st, err := s.modules.charger.Status(ctx)
	if err != nil {
		return err
	}
	return web.Note(st.Unattended())
}

// paymentsEvery is how often the payments that are under way are counted.
const paymentsEvery = 5 * time.Second

// paymentMetrics tell of money that is under way, so that somebody is called when it stays there.
type paymentMetrics struct {
	underWay *prometheus.GaugeVec // state
	oldest   prometheus.Gauge
	waiting  *prometheus.GaugeVec // provider, account
	disputes prometheus.Gauge
}

func newPaymentMetrics(registry prometheus.Registerer) paymentMetrics {
	m := paymentMetrics{
		underWay: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "holdfast_payments_under_way", Help: "Payments that are under way, by state; failing, forgotten, waiting, reversed and given_up are counted beside their state.",
		}, []string{"state"}),
		oldest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "holdfast_payments_oldest_seconds", Help: "Age of the oldest payment that is under way; 0: there is none.",
		}),
	}
	m.waiting = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "holdfast_payments_waiting", Help: "Payments that are under way at an account of a provider that is not configured, so that nobody asks for them.",
	}, []string{"provider", "account"})
	m.disputes = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "holdfast_payment_disputes_open", Help: "Charges that customers have had their banks take back, and of which it is not decided.",
	})
	registry.MustRegister(m.underWay, m.oldest, m.waiting, m.disputes)
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
		"pending": st.Pending, "unknown": st.Unknown, "refunding": st.Refunding, "failing": st.Failing, "forgotten": st.Forgotten, "waiting": st.Waiting,
		"reversed": st.Reversed, "given_up": st.GivenUp,
	} {
		s.payments.underWay.WithLabelValues(state).Set(float64(n))
	}
	s.payments.waiting.Reset()
	for _, a := range st.Accounts {
		if a.Unattended() && a.UnderWay > 0 {
			s.payments.waiting.WithLabelValues(a.Provider, a.Account).Set(float64(a.UnderWay))
		}
	}
	s.payments.disputes.Set(float64(st.Disputes))
	age := 0.0
	if st.Oldest != nil {
		age = time.Since(*st.Oldest).Seconds()
	}
	s.payments.oldest.Set(max(age, 0))
	return nil
}
