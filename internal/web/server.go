package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
)

// Options of a server. Auth, Log and Registry are required; a zero of the others is the value named beside it.
type Options struct {
	Addr      string // where it listens; port 0 takes a free one, see Server.Addr
	AdminAddr string // where the operators' API and the metrics are then, and only there; "": at Addr too

	Auth     *Auth
	Log      *slog.Logger
	Registry *prometheus.Registry

	Checks      map[string]func(context.Context) error // what /readyz asks, by name
	Version     Version                                // what /version answers
	Document    []byte                                 // the OpenAPI document at /api/swagger.json
	Unavailable func(error) bool                       // is that error an outage of a server we need: 503, not 500

	MaxBody        int64          // bytes: 1 MiB
	MaxConns       int            // connections at a time, of each listener; idle ones make room for further ones: 4096
	MaxConnsOfOne  int            // of those, from one remote address: half of MaxConns
	TrustedProxies []netip.Prefix // they may have any number of connections, and their X-Forwarded-For says who calls
	ReadTimeout    time.Duration  // for the header, which has 5 s at most, and the body: 15 s
	RequestTimeout time.Duration  // from the header to the answer; Prefer: wait adds to it, and routes may, see Timeout: 15 s
	DrainTimeout   time.Duration  // how long running requests may go on when the server is told to stop: 10 s
}

// Version is the answer of /version.
type Version struct {
	Version string `json:"version" example:"v0.1.0"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go,omitempty" example:"go1.26.8"`
}

// The time-outs and limits of a connection, of which no flag is needed.
const (
	readHeaderTimeout = 5 * time.Second
	writeTimeout      = 60 * time.Second // of what net/http answers by itself; a request has its own, see budget
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 16 << 10
)

// Server is the HTTP server. Put the modules' routes into Routes, then Run it, once.
type Server struct {
	o       Options
	public  *site
	admin   *site // the same as public without an AdminAddr
	routes  Routes
	metrics *metrics
	stop    chan struct{} // closed when the server was told to stop
}

// site is one address and what is served there.
type site struct {
	addr     string
	echo     *echo.Echo
	listener net.Listener
}

// New makes a server that does not listen yet.
func New(o Options) (*Server, error) {
	if o.Auth == nil || o.Log == nil || o.Registry == nil {
		return nil, errors.New("web: Auth, Log and Registry are required")
	}
	s := &Server{o: o.withDefaults(), stop: make(chan struct{})}
	var err error
	if s.metrics, err = newMetrics(o.Registry); err != nil {
		return nil, err
	}
	s.public = s.newSite(o.Addr)
	s.admin = s.public
	if o.AdminAddr != "" {
		s.admin = s.newSite(o.AdminAddr)
	}
	return s, s.addRoutes()
}

func (o Options) withDefaults() Options {
	if o.MaxBody == 0 {
		o.MaxBody = 1 << 20
	}
	if o.MaxConns == 0 {
		o.MaxConns = 4096
	}
	if o.MaxConnsOfOne == 0 {
		o.MaxConnsOfOne = (o.MaxConns + 1) / 2
	}
	if o.ReadTimeout == 0 {
		o.ReadTimeout = 15 * time.Second
	}
	if o.RequestTimeout == 0 {
		o.RequestTimeout = 15 * time.Second
	}
	if o.DrainTimeout == 0 {
		o.DrainTimeout = 10 * time.Second
	}
	return o
}

func (s *Server) newSite(addr string) *site {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.IPExtractor = s.clientAddress()
	e.HTTPErrorHandler = s.handleError
	e.Use(s.observe, limitRequest(s.o.MaxBody), limitTime(s.o.RequestTimeout))
	return &site{addr: addr, echo: e}
}

// clientAddress believes X-Forwarded-For as far as trusted proxies have written it, and nobody else.
func (s *Server) clientAddress() echo.IPExtractor {
	if len(s.o.TrustedProxies) == 0 {
		return echo.ExtractIPDirect()
	}
	trust := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range s.o.TrustedProxies {
		_, network, err := net.ParseCIDR(p.Masked().String())
		if err == nil { // a prefix is one
			trust = append(trust, echo.TrustIPRange(network))
		}
	}
	return echo.ExtractIPFromXFFHeader(trust...)
}

// Routes is where the modules put theirs.
func (s *Server) Routes() Routes { return s.routes }

// Listen takes the addresses, so that Addr is known and a taken port is an error before anything else starts. Run does it
// when it was not done.
func (s *Server) Listen(ctx context.Context) error {
	for _, site := range s.sites() {
		if site.listener != nil {
			continue
		}
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", site.addr)
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		site.listener = newConnections(l, s.o.MaxConns, s.o.MaxConnsOfOne, s.o.TrustedProxies, s.metrics.closed)
	}
	return nil
}

// Addr is where the server listens, "" before Listen.
func (s *Server) Addr() string { return s.public.address() }

// AdminAddr is where the operators' API is, which is Addr when it has no address of its own.
func (s *Server) AdminAddr() string { return s.admin.address() }

func (s *site) address() string {
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

func (s *Server) sites() []*site {
	if s.admin == s.public {
		return []*site{s.public}
	}
	return []*site{s.public, s.admin}
}

// Run serves until ctx ends. Then it takes no new connections, gives running requests DrainTimeout to end, cuts off the
// rest, and returns when the last handler has.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var parts sync.WaitGroup
	defer parts.Wait()
	parts.Go(func() { s.o.Auth.run(ctx, s.o.Log) })

	requests, cut := context.WithCancel(context.WithValue(context.WithoutCancel(ctx), stoppingKey{}, ctx))
	defer cut()
	running := &inFlight{gauge: s.metrics.running}
	failed := make(chan error, 2)
	var servers []*http.Server
	for _, site := range s.sites() {
		server := s.httpServer(requests, site, running)
		servers = append(servers, server)
		parts.Go(func() { failed <- server.Serve(site.listener) })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	close(s.stop)
	cancel()
	s.drain(requests, servers, cut)
	running.close()
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// drain ends the servers: politely first.
func (s *Server) drain(requests context.Context, servers []*http.Server, cut context.CancelFunc) {
	polite, cancel := context.WithTimeout(requests, s.o.DrainTimeout)
	defer cancel()
	var all sync.WaitGroup
	for _, server := range servers {
		all.Go(func() {
			if server.Shutdown(polite) != nil {
				cut()
				_ = server.Close()
			}
		})
	}
	all.Wait()
}

func (s *Server) httpServer(requests context.Context, site *site, running *inFlight) *http.Server {
	return &http.Server{
		Handler: running.count(headByGet(site.echo)), ReadHeaderTimeout: min(readHeaderTimeout, s.o.ReadTimeout), ReadTimeout: s.o.ReadTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		BaseContext: func(net.Listener) context.Context { return requests },
		ConnState:   stateChanged,
		ErrorLog:    slog.NewLogLogger(s.o.Log.Handler(), slog.LevelDebug),
	}
}
