package audit_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-checkout/holdfast/api"
	"github.com/holdfast-checkout/holdfast/internal/audit"
	"github.com/holdfast-checkout/holdfast/internal/web"
	"github.com/holdfast-checkout/holdfast/internal/web/webtest"
)

// site puts an auditor behind the real HTTP server, whose answers are held against the API document, and gives a way to ask it.
func site(t *testing.T, log *slog.Logger, o audit.Options) (ask func(query string) (int, audit.Report)) {
	t.Helper()
	tokens := web.Tokens{Secret: []byte(secret)}
	auth, err := web.NewAuth(tokens.Secret, "")
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	server, err := web.New(web.Options{Addr: "127.0.0.1:0", Auth: auth, Log: log, Registry: registry})
	if err != nil {
		t.Fatal(err)
	}
	audit.NewHTTP(o).Routes(server.Routes())
	if err := server.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop := background(t, server.Run)
	transport := &http.Transport{}
	t.Cleanup(func() { transport.CloseIdleConnections(); stop() })
	client := &http.Client{Transport: webtest.Load(t, api.Document).Transport(t, transport)}
	token, err := tokens.Issue("operator", true, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return func(query string) (int, audit.Report) {
		return asked(t, client, "http://"+server.Addr()+"/api/v1/admin/audit"+query, token)
	}
}

func asked(t *testing.T, client *http.Client, url, token string) (int, audit.Report) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost, url, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var report audit.Report
	if err := json.NewDecoder(res.Body).Decode(&report); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, report
}
