package app

import (
	"context"

	"github.com/holdfast-checkout/holdfast/api"
	"github.com/holdfast-checkout/holdfast/internal/audit"
	"github.com/holdfast-checkout/holdfast/internal/cart"
	"github.com/holdfast-checkout/holdfast/internal/order"
	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/reconcile"
	"github.com/holdfast-checkout/holdfast/internal/timeline"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

// newWeb makes the HTTP server and puts every module's routes into it.
func (s *server) newWeb() error {
	auth, err := web.NewAuth([]byte(s.cfg.JWTSecret), s.cfg.JWKS)
	if err != nil {
		return err
	}
	proxies, err := s.cfg.Proxies()
	if err != nil {
		return err
	}
	s.web, err = web.New(web.Options{
		Addr: s.cfg.HTTPAddr, AdminAddr: s.cfg.AdminAddr, Auth: auth, Log: s.log, Registry: s.registry,
		Checks: map[string]func(context.Context) error{
			"postgres":   func(ctx context.Context) error { return s.db.Ping(ctx) },
			"schema":     s.checkSchema,
			"queues":     s.checkQueues,
			"partitions": s.checkPartitions,
			"clocks":     s.checkClocks,
			"payments":   s.checkPayments,
		},
		Version: Version(), Document: api.Document, Unavailable: outage, MaxBody: s.cfg.MaxBody, TrustedProxies: proxies,
	})
	if err != nil {
		return err
	}
	routes := s.web.Routes()
	s.modules.inventory.Register(routes)
	cart.NewHTTP(s.modules.cart).Routes(routes)
	order.NewHTTP(s.modules.order).Routes(routes)
	payment.NewHTTP(s.modules.notices, s.modules.charger).Routes(routes)
	timeline.New(s.db, s.book.Does()).Routes(routes)
	reconcile.NewHTTP(s.repairs).Routes(routes)
	s.letters.Routes(routes)
	s.refills.Routes(routes)
	audit.NewHTTP(auditOptions(s.db, s.patient, s.cfg.Servers, s.book, s.cfg.Providers(), Rest{Cooldown: s.cfg.ReconcileCooldown})).Routes(routes)
	s.statusRoutes(routes)
	s.queueRoutes(routes)
	return nil
}
