package web_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

func TestProblemShape(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	a := r.do(http.MethodGet, "/api/v1/soldout", "")
	got, available := a.problem(t), int64(2)
	want := web.Problem{
		Type: "/problems/out-of-stock", Title: "Out of stock", Status: 409, Detail: "2 are left", Instance: got.Instance,
		Errors: []fault.Line{{Field: "items[0].quantity", Detail: "3 asked for"}}, Available: &available, RetryAfterSeconds: 2,
	}
	if diff := cmp.Diff(want, got); diff != "" || a.status != http.StatusConflict {
		t.Errorf("answered %d, want 409; -want +got:\n%s", a.status, diff)
	}
	if a.header.Get("Retry-After") != "2" || got.Instance != "/requests/"+a.header.Get("X-Request-Id") {
		t.Errorf("headers %v, instance %q", a.header, got.Instance)
	}
}

func TestDefectsAreOpaque(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	for path, cause := range map[string]string{"/api/v1/panic": "SELECT secret FROM drawer", "/api/v1/broken": "multiple Read calls"} {
		a := r.do(http.MethodGet, path, "")
		if p := a.problem(t); a.status != http.StatusInternalServerError || p.Type != "about:blank" || p.Instance == "" {
			t.Errorf("%s answered %d %s", path, a.status, a.body)
		}
		if strings.Contains(a.body, cause) || strings.Contains(a.body, ".go") {
			t.Errorf("%s tells its inside: %s", path, a.body)
		}
		if n := strings.Count(r.log.String(), cause); n != 1 {
			t.Errorf("%s: its cause is in the log %d times", path, n)
		}
		if !strings.Contains(r.log.String(), a.header.Get("X-Request-Id")) {
			t.Errorf("%s: the log does not know the request %s", path, a.header.Get("X-Request-Id"))
		}
	}
}

func TestOutagesAreUnavailable(t *testing.T) {
	t.Parallel()
	r := start(t, func(o *web.Options) {
		o.Unavailable = func(err error) bool { return strings.Contains(err.Error(), "multiple Read calls") }
	})
	a := r.do(http.MethodGet, "/api/v1/broken", "")
	if p := a.problem(t); a.status != http.StatusServiceUnavailable || p.Type != "/problems/unavailable" || p.RetryAfterSeconds != 1 {
		t.Errorf("answered %d %s", a.status, a.body)
	}
}

func TestRouting(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	const id = "0198a7c2-b1d3-7c5e-8a1b-2c3d4e5f6071"
	ann := r.token("ann", false)
	for name, tc := range map[string]struct {
		method, path string
		status       int
		allow        string
	}{
		"found":                      {"GET", "/api/v1/things/" + id, 200, ""},
		"upper case":                 {"GET", "/api/v1/things/" + strings.ToUpper(id), 200, ""},
		"head":                       {"HEAD", "/api/v1/things/" + id, 200, ""},
		"options":                    {"OPTIONS", "/api/v1/things/" + id, 204, "OPTIONS, GET"},
		"other method":               {"POST", "/api/v1/things/" + id, 405, "OPTIONS, GET"},
		"other method on the public": {"DELETE", "/livez", 405, "OPTIONS, GET"},
		"made-up method":             {"BREW", "/livez", 405, "OPTIONS, GET"},
		"head of a POST":             {"HEAD", "/api/v1/sample", 405, "OPTIONS, POST"},
		"trace":                      {"TRACE", "/livez", 405, "OPTIONS, GET"},
		"no such path":               {"GET", "/api/v1/nothing", 404, ""},
		"outside the prefix":         {"GET", "/who", 404, ""},
		"no id":                      {"GET", "/api/v1/things/7", 404, ""},
		"id in braces":               {"GET", "/api/v1/things/%7B" + id + "%7D", 404, ""},
		"id with a slash":            {"GET", "/api/v1/things/" + id + "/", 404, ""},
		"escaped slash":              {"GET", "/api/v1%2Fwho", 404, ""},
		"escaped slash in an id":     {"GET", "/api/v1/things/" + id + "%2F..", 404, ""},
		"escaped letter":             {"GET", "/api/v1/%77ho", 404, ""},
		"two slashes":                {"GET", "//api/v1/who", 404, ""},
		"dots":                       {"GET", "/docs/../api/v1/who", 404, ""},
		"dots to a file":             {"GET", "/docs/..%2f..%2fgo.mod", 404, ""},
		"zero character":             {"GET", "/api/v1/things/%00", 404, ""},
		"invalid UTF-8":              {"GET", "/api/v1/things/%ff", 404, ""},
		"semicolon in the query":     {"GET", "/api/v1/who?a=1;b=2", 400, ""},
		"half an escape":             {"GET", "/api/v1/who?a=%2", 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := r.do(tc.method, tc.path, "", "Authorization", ann)
			if a.status != tc.status || a.header.Get("Allow") != tc.allow {
				t.Fatalf("answered %d %s Allow %q, want %d %q", a.status, a.body, a.header.Get("Allow"), tc.status, tc.allow)
			}
			if a.status >= 400 && tc.method != http.MethodHead {
				a.problem(t)
			}
			if tc.method == http.MethodHead && a.body != "" {
				t.Errorf("HEAD has a body: %q", a.body)
			}
		})
	}
}

// Every kind of fault has a status, a title and a page, and the contract's list is complete.
func TestEveryKindIsExplained(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(filepath.Join("..", "fault", "fault.go"))
	if err != nil {
		t.Fatal(err)
	}
	kinds := regexp.MustCompile(`Kind = "([a-z-]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(kinds) < 19 {
		t.Fatalf("found %d kinds", len(kinds))
	}
	r := start(t, nil)
	for _, kind := range kinds {
		a := r.do(http.MethodGet, "/problems/"+kind[1], "")
		if a.status != http.StatusOK || !strings.Contains(a.body, `"/problems/`+kind[1]+`"`) || strings.Contains(a.body, `"status":0`) {
			t.Errorf("/problems/%s answered %d %s", kind[1], a.status, a.body)
		}
	}
	if a := r.do(http.MethodGet, "/problems/boredom", ""); a.status != http.StatusNotFound {
		t.Errorf("answered %d", a.status)
	}
	if a := r.do(http.MethodGet, "/problems", ""); strings.Count(a.body, `"type"`) != len(kinds) {
		t.Errorf("the list has not %d kinds: %s", len(kinds), a.body)
	}
}

func TestTokensAreNotLogged(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	token := r.token("ann", true)
	r.do(http.MethodGet, "/api/v1/who", "", "Authorization", token)
	r.do(http.MethodGet, "/api/v1/who", "", "Authorization", token+"x")
	log := r.log.String()
	if strings.Contains(log, strings.TrimPrefix(token, "Bearer ")) {
		t.Error("a token is in the log")
	}
	for _, want := range []string{`"route":"/api/v1/who"`, `"customer":"ann"`, `"status":200`, `"status":401`, `"method":"GET"`, `"trace_id":"`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %s: %s", want, log)
		}
	}
}

// What a client writes cannot end a line of the log.
func TestLogLinesStayWhole(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	r.do(http.MethodGet, "/api/v1/who", "", "Authorization", r.token("a\nb {\"status\":500}", false))
	r.do(http.MethodGet, "/api/v1/%0a%0aforged", "")
	for line := range strings.Lines(r.log.String()) {
		if !strings.HasPrefix(line, "{") || !strings.HasSuffix(line, "}\n") {
			t.Errorf("line %q", line)
		}
	}
}
