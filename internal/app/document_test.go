package app

import (
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-checkout/holdfast/api"
	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/saga"
	"github.com/holdfast-checkout/holdfast/internal/web/webtest"
)

// Every route of an instance is in the API document, and the document names no other. No request is made, so nothing that
// the handlers need is there.
func TestEveryRouteIsDocumented(t *testing.T) {
	t.Parallel()
	book, err := saga.NewBook(saga.All(), "optimistic", nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{
		cfg: config.Config{JWTSecret: "a secret of the tests, long enough"}, log: slog.New(slog.DiscardHandler),
		registry: prometheus.NewRegistry(), modules: &modules{}, book: book,
	}
	if err := s.newWeb(); err != nil {
		t.Fatal(err)
	}
	webtest.Load(t, api.Document).Check(t, s.web.Table())
}
