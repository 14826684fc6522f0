package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/app"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// readiness is what /readyz answers.
func (s *shop) readiness() (status int, checks map[string]string) {
	s.t.Helper()
	res, err := http.Get(s.url + "/readyz")
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		Checks map[string]string `json:"checks"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, answer.Checks
}

// eventuallyReady waits for a readiness and for words in what one of its checks says.
func (s *shop) eventuallyReady(want int, check, words string) {
	s.t.Helper()
	testkit.Eventually(s.t, time.Minute, func() bool {
		status, checks := s.readiness()
		return status == want && strings.Contains(checks[check], words)
	})
}

// An instance takes a schema that is ahead and says so, is not ready on one that has gone back, and neither it nor the auditor
// starts on one.
func TestASchemaOfAnotherVersion(t *testing.T) {
	t.Parallel()
	s := open(t)
	exec := func(sql string) {
		t.Helper()
		if _, err := s.env.DB.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	s.eventuallyReady(http.StatusOK, "schema", "ok")
	exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9001, true)`)
	s.eventuallyReady(http.StatusOK, "schema", "9001")
	var st struct {
		Schema postgres.Schema `json:"schema"`
	}
	s.operator().must(http.StatusOK, http.MethodGet, "/admin/status", nil).into(t, &st)
	if len(st.Schema.Unknown) != 1 || st.Schema.Version != 9001 || st.Schema.Newest >= 9001 {
		t.Errorf("ahead, status says %+v", st.Schema)
	}
	s.stop()
	s.start() // ahead is no reason not to
	s.eventuallyReady(http.StatusOK, "schema", "9001")
	exec(`DELETE FROM goose_db_version WHERE version_id IN (9001, 103)`)
	s.eventuallyReady(http.StatusServiceUnavailable, "schema", "holdfast migrate")
	s.stop()
	err := app.Serve(t.Context(), s.cfg, s.env.Log, func(context.Context, string) error { return errors.New("it started") })
	if !errors.Is(err, postgres.ErrBehind) || !strings.Contains(err.Error(), "0103") {
		t.Errorf("behind, serve says %v", err)
	}
	if _, err := app.Audit(t.Context(), s.cfg.Servers, s.cfg.Providers(), app.Rest{}); !errors.Is(err, postgres.ErrBehind) {
		t.Errorf("behind, the audit says %v", err)
	}
}
