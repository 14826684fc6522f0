package web_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

// asked makes the context of a request that no server has seen.
func asked(target string, header ...string) echo.Context {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return echo.New().NewContext(r, httptest.NewRecorder())
}

func TestPage(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]struct {
		limit  int
		cursor string
		ok     bool
	}{
		"": {20, "", true}, "?limit=5": {5, "", true}, "?limit=5000": {100, "", true}, "?limit=1&cursor=abc": {1, "abc", true},
		"?sku=22423": {20, "", true}, "?limit=": {20, "", true},
		"?limit=0": {}, "?limit=-1": {}, "?limit=1.5": {}, "?limit=1e3": {}, "?limit=x": {}, "?limit=99999999999999999999": {},
		"?limit=1&limit=2": {}, "?cursor=a&cursor=a": {}, "?offset=1": {}, "?Limit=1": {}, "?sku=%00": {}, "?sku=%ff": {}, "?sku=%zz": {}, "?customer=bob": {},
	} {
		limit, cursor, err := web.Page(asked("/x"+query), 20, 100, "sku")
		if want.ok != (err == nil) || limit != want.limit || cursor != want.cursor {
			t.Errorf("%q gives %d %q %v", query, limit, cursor, err)
		}
		if err != nil && !fault.Is(err, fault.InvalidRequest) {
			t.Errorf("%q gives %v", query, err)
		}
	}
}

func TestCursor(t *testing.T) {
	t.Parallel()
	type position struct {
		At time.Time `json:"at"`
		ID uuid.UUID `json:"id"`
	}
	want := position{time.Date(2026, 11, 21, 10, 0, 0, 1000, time.UTC), uuid.Must(uuid.NewV7())}
	cursor, err := web.EncodeCursor(want)
	if err != nil {
		t.Fatal(err)
	}
	var got position
	if err := web.DecodeCursor(cursor, &got); err != nil || got != want {
		t.Errorf("%+v %v, want %+v", got, err, want)
	}
	other, err := web.EncodeCursor(map[string]any{"at": want.At, "id": want.ID, "customer": "bob"})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"x", "!", cursor + "A", cursor[1:], other, "bnVsbA", "e30e30"} {
		if err := web.DecodeCursor(bad, &got); !fault.Is(err, fault.InvalidRequest) {
			t.Errorf("%q gives %v", bad, err)
		}
	}
}

func TestPreferWait(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{
		"": 0, "wait=5": 5 * time.Second, "Wait = 5": 5 * time.Second, `wait="5"`: 5 * time.Second, "respond-async, wait=10": 10 * time.Second,
		"wait=5; x=1": 5 * time.Second, "wait=31": web.MaxWait, "wait=1000000": web.MaxWait, "wait=99999999999999999999": 0, "wait=-1": 0, "wait": 0,
		"wait=soon": 0, "wait=1.5": 0, "wait=2, wait=20": 2 * time.Second, "waiting=5": 0, ",,;=": 0,
	} {
		if got := web.PreferWait(asked("/x", "Prefer", header)); got != want {
			t.Errorf("%q gives %s, want %s", header, got, want)
		}
	}
}

func TestIfMatch(t *testing.T) {
	t.Parallel()
	for header, want := range map[string][]int64{
		"": nil, "*": nil, `W/"7"`: {7}, `"7"`: {7}, `"9223372036854775807"`: {1<<63 - 1},
		`"7", W/"8",	"other", "9"`: {7, 8, 9}, `"07", "8", "a,b"`: {8},
	} {
		c := asked("/x", "If-Match", header)
		if header == "" {
			c = asked("/x")
		}
		got, err := web.IfMatch(c)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q gives %v %v", header, got, err)
		}
	}
	for _, header := range []string{`"x"`, `W/"x"`, `"0"`, `"07"`, `"+7"`, `""`, `"9223372036854775808"`} {
		if _, err := web.IfMatch(asked("/x", "If-Match", header)); !fault.Is(err, fault.PreconditionFailed) {
			t.Errorf("%q gives %v", header, err)
		}
	}
	for _, header := range []string{`7`, `'7'`, "`7`", `w/"7"`, `"7`, `"7" "8"`, `"7", *`, "*, *"} {
		if _, err := web.IfMatch(asked("/x", "If-Match", header)); !fault.Is(err, fault.InvalidRequest) {
			t.Errorf("%q gives %v", header, err)
		}
	}
	c := asked("/x")
	web.SetETag(c, 7)
	if got := c.Response().Header().Get("ETag"); got != `W/"7"` {
		t.Errorf("ETag is %s", got)
	}
}

func TestEmptyListIsNoNull(t *testing.T) {
	t.Parallel()
	c := asked("/x")
	if err := web.JSON(c, http.StatusOK, web.List[int]{}); err != nil {
		t.Fatal(err)
	}
	recorder := c.Response().Writer.(*httptest.ResponseRecorder)
	if got := recorder.Body.String(); got != "{\"items\":[]}\n" {
		t.Errorf("wrote %s", got)
	}
}
