package web_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var secret = []byte("a secret of more than thirty-two bytes, for tests")

// sample is a request with one of everything that ours have.
type sample struct {
	Name    string       `json:"name" validate:"required,max=8"`
	Count   int64        `json:"count" validate:"max=1000"`
	Version *int64       `json:"version,omitempty"`
	Dry     bool         `json:"dry_run,omitempty"`
	Lines   []sampleLine `json:"lines,omitempty" validate:"max=3,dive"`
}

type sampleLine struct {
	ProductID uuid.UUID `json:"product_id" validate:"required"`
	Quantity  int64     `json:"quantity" validate:"min=1"`
}

// testServer is a server that serves a few routes until the test ends.
type testServer struct {
	*web.Server
	t      *testing.T
	log    *logBuffer
	client *http.Client
	stop   context.CancelFunc
	ended  chan error
	next   chan struct{} // one for each further event of /stream, and for the end of each /wait/in

	waiting chan struct{} // one for each request that has begun to wait
}

// start runs a server on a free port with test routes; change may alter its options.
func start(t *testing.T, change func(*web.Options)) *testServer {
	t.Helper()
	r := &testServer{t: t, log: &logBuffer{}, ended: make(chan error, 1), next: make(chan struct{}), waiting: make(chan struct{})}
	o := web.Options{
		Addr: "127.0.0.1:0", Log: slog.New(slog.NewJSONHandler(r.log, nil)), Registry: prometheus.NewRegistry(),
		Document: []byte(`{"swagger":"2.0"}`), Version: web.Version{Version: "v0"},
	}
	var err error
	if o.Auth, err = web.NewAuth(secret, ""); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&o)
	}
	if r.Server, err = web.New(o); err != nil {
		t.Fatal(err)
	}
	r.addRoutes()
	if err := r.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	r.stop = stop
	go func() { r.ended <- r.Run(ctx) }()
	transport := &http.Transport{DisableCompression: true}
	r.client = &http.Client{
		Transport: transport, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(func() {
		stop()
		if r.ended != nil {
			if err := <-r.ended; err != nil {
				t.Errorf("Run: %v", err)
			}
		}
		transport.CloseIdleConnections()
	})
	return r
}

func (r *testServer) addRoutes() {
	to := r.Routes()
	to.Public.POST("/sample", func(c echo.Context) error {
		var s sample
		if err := web.Decode(c, &s); err != nil {
			return err
		}
		return web.JSON(c, http.StatusOK, s)
	})
	who := func(c echo.Context) error {
		return web.JSON(c, http.StatusOK, map[string]any{"customer": web.Customer(c), "admin": web.IsAdmin(c)})
	}
	to.Public.GET("/nobody", who)
	to.Customer.GET("/who", who)
	to.Admin.GET("/who", who)
	to.Customer.GET("/things/:id", func(c echo.Context) error {
		id, err := web.PathID(c, "id")
		if err != nil {
			return err
		}
		web.SetETag(c, 7)
		return web.JSON(c, http.StatusOK, map[string]string{"id": id.String()})
	})
	to.Public.GET("/panic", func(echo.Context) error { panic("SELECT secret FROM drawer") })
	to.Public.GET("/broken", func(echo.Context) error { return io.ErrNoProgress })
	to.Public.GET("/soldout", func(echo.Context) error {
		available := int64(2)
		f := fault.New(fault.OutOfStock, "2 are left").With(fault.Line{Field: "items[0].quantity", Detail: "3 asked for"})
		f.Available, f.RetryAfter = &available, 1500*time.Millisecond
		return f
	})
	to.Public.GET("/wait", func(c echo.Context) error {
		select {
		case <-time.After(web.PreferWait(c)):
		case <-c.Request().Context().Done(): // told to stop: answer what there is
		}
		return web.JSON(c, http.StatusOK, map[string]string{"trace": web.TraceParent(c)})
	})
	to.Public.GET("/address", func(c echo.Context) error { return c.String(http.StatusOK, c.RealIP()) })
	waits := web.NewPlaces(3, 1)
	to.Anyone.GET("/wait/in", func(c echo.Context) error {
		wait, leave := web.PreferWaitIn(waits, c)
		defer leave()
		if wait > 0 {
			r.waiting <- struct{}{}
			<-r.next
		}
		return web.JSON(c, http.StatusOK, wait.Seconds())
	})
	streams := web.NewStreams(3, 2)
	to.Anyone.GET("/stream", func(c echo.Context) error {
		stream, err := streams.Open(c)
		if err != nil {
			return err
		}
		defer stream.Close()
		n := web.LastEventID(c)
		for {
			if n++; stream.Send(n, "count", map[string]int64{"n": n}) != nil {
				return nil
			}
			select {
			case <-r.next:
			case <-c.Request().Context().Done():
				return nil
			}
		}
	})
	to.Public.GET("/stuck", func(c echo.Context) error {
		<-c.Request().Context().Done()
		return c.Request().Context().Err()
	})
}

func (r *testServer) url(path string) string { return "http://" + r.Addr() + path }

// answer is a response that has been read.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) problem(t *testing.T) web.Problem {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("Content-Type of %d %q is %q", a.status, a.body, got)
	}
	var p web.Problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("problem %q: %v", a.body, err)
	}
	return p
}

// do sends a request; header is pairs of names and values.
func (r *testServer) do(method, path, body string, header ...string) answer {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url(path), strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	return r.send(req)
}

func (r *testServer) send(req *http.Request) answer {
	r.t.Helper()
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

func (r *testServer) token(sub string, admin bool) string {
	r.t.Helper()
	token, err := web.Tokens{Secret: secret}.Issue(sub, admin, time.Minute)
	if err != nil {
		r.t.Fatal(err)
	}
	return "Bearer " + token
}

// logBuffer keeps what was logged.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
