package webtest_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-checkout/holdfast/api"
	"github.com/holdfast-checkout/holdfast/internal/web"
	"github.com/holdfast-checkout/holdfast/internal/web/webtest"
)

const document = `{"swagger":"2.0","info":{"title":"t","version":"1"},"basePath":"/","paths":{"/api/v1/things/{id}":{"put":{
	"produces":["application/json","application/problem+json"],"consumes":["application/json"],
	"parameters":[{"name":"id","in":"path","required":true,"type":"string"},
		{"name":"body","in":"body","required":true,"schema":{"$ref":"#/definitions/Thing"}}],
	"responses":{"200":{"description":"ok","schema":{"$ref":"#/definitions/Thing"}},
		"404":{"description":"none","schema":{"$ref":"#/definitions/Problem"}}}}}},
	"definitions":{"Thing":{"type":"object","required":["n"],"properties":{"n":{"type":"integer"},"end":{"type":"string","x-nullable":true}}},
		"Problem":{"type":"object","required":["type"],"properties":{"type":{"type":"string"}}}}}`

// said keeps what a test would have failed with.
type said struct {
	testing.TB
	errors []string
}

func (s *said) Errorf(format string, args ...any) {
	s.errors = append(s.errors, fmt.Sprintf(format, args...))
}

func (s *said) Helper() {}

func TestTransportFindsWrongAnswers(t *testing.T) {
	t.Parallel()
	doc := webtest.Load(t, []byte(document))
	for name, tc := range map[string]struct {
		path, sent, contentType, body string
		status                        int
		wrong                         bool
	}{
		"as documented":           {"/api/v1/things/1", `{"n":1}`, "application/json", `{"n":1,"end":null}`, 200, false},
		"documented refusal":      {"/api/v1/things/1", `{}`, "application/problem+json", `{"type":"/problems/not-found"}`, 404, false},
		"no such path, refused":   {"/api/v1/other", `{}`, "application/problem+json", `{"type":"x"}`, 404, false},
		"wrong type":              {"/api/v1/things/1", `{"n":1}`, "application/json", `{"n":"1"}`, 200, true},
		"field missing":           {"/api/v1/things/1", `{"n":1}`, "application/json", `{}`, 200, true},
		"field not documented":    {"/api/v1/things/1", `{"n":1}`, "application/json", `{"n":1,"m":2}`, 200, true},
		"null not documented":     {"/api/v1/things/1", `{"n":1}`, "application/json", `{"n":null}`, 200, true},
		"status not documented":   {"/api/v1/things/1", `{"n":1}`, "application/problem+json", `{"type":"x"}`, 409, true},
		"took what is not to be":  {"/api/v1/things/1", `{"n":"x"}`, "application/json", `{"n":1}`, 200, true},
		"no such path, answered":  {"/api/v1/other", `{}`, "application/json", `{}`, 200, true},
		"content type not stated": {"/api/v1/things/1", `{"n":1}`, "application/cloudevents+json", `{"n":1}`, 200, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tc.contentType)
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.body)
			}))
			defer server.Close()
			s := &said{TB: t}
			client := http.Client{Transport: doc.Transport(s, nil)}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL+tc.path, strings.NewReader(tc.sent))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); err != nil || string(body) != tc.body {
				t.Errorf("the answer came through as %q %v", body, err)
			}
			if wrong := len(s.errors) > 0; wrong != tc.wrong {
				t.Errorf("complaints: %q", s.errors)
			}
		})
	}
}

func TestCheckFindsRoutes(t *testing.T) {
	t.Parallel()
	doc := webtest.Load(t, []byte(document))
	s := &said{TB: t}
	doc.Check(s, []web.Route{{Method: http.MethodPut, Path: "/api/v1/things/{id}"}})
	if len(s.errors) != 0 {
		t.Errorf("complaints: %q", s.errors)
	}
	doc.Check(s, []web.Route{{Method: http.MethodGet, Path: "/api/v1/things/{id}"}})
	if len(s.errors) != 2 {
		t.Errorf("complaints: %q", s.errors)
	}
}

// What the server answers by itself is in the API document, with and without an address for operators.
func TestOwnRoutesAreDocumented(t *testing.T) {
	t.Parallel()
	doc := webtest.Load(t, api.Document)
	auth, err := web.NewAuth([]byte("secret"), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, adminAddr := range []string{"", "127.0.0.1:0"} {
		server, err := web.New(web.Options{AdminAddr: adminAddr, Auth: auth, Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry()})
		if err != nil {
			t.Fatal(err)
		}
		s := &said{TB: t}
		doc.Check(s, server.Table())
		for _, complaint := range s.errors {
			if !strings.Contains(complaint, web.Prefix) { // the modules' routes are not there
				t.Error(complaint)
			}
		}
	}
}
