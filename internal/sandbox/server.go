package sandbox

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options say how the sandbox runs. Addr, LedgerFile, APIKey and Log are required; without Now it has the clock of the machine.
type Options struct {
	Addr       string        // host:port to listen on; port 0 takes a free one
	LedgerFile string        // created if missing; one process at a time
	APIKey     string        // what clients present as Bearer key
	Latency    time.Duration // added to every charge, refund, look-up and close
	SlowBy     time.Duration // how late pm_slow is; 0: 2 s
	HangFor    time.Duration // how long a request that is never answered is held before its connection is dropped; 0: 30 s
	Seed       uint64        // decides the faults, those of pm_flaky and those below
	Faults     Faults        // what goes wrong with any payment method
	// What share of refunds fails, and of charges is disputed, is in Faults; this is how long after they were answered. 0: 3 s.
	AfterwardsBy time.Duration
	KeepErrors   bool          // an answer of 500 or 422 is kept under the request's Request-Key, and given again
	Webhooks     Webhooks      // where charges and refunds are told of
	KeyMemory    time.Duration // how long a key is remembered; 0: 24 h
	Now          func() time.Time
	Log          *slog.Logger
}

// Faults are shares of keys, from 0 to 1, of whose requests something goes wrong: which ones follows from seed and key. A key that
// is declined stays so; the others go wrong once, at their first charge or refund.
type Faults struct {
	Decline float64 // declined
	Error   float64 // 500, half of them when it is done
	Drop    float64 // done and never answered
	Late    float64 // done, and answered, SlowBy later

	FailRefund float64 // a refund that had succeeded fails, AfterwardsBy later; the next under its key does not
	Dispute    float64 // a charge is disputed, AfterwardsBy later, and the dispute is won or lost after as long again
}

// check says whether they are shares that leave some requests alone.
func (f Faults) check() error {
	for _, p := range []float64{f.Decline, f.Error, f.Drop, f.Late, f.FailRefund, f.Dispute} {
		if !(p >= 0 && p <= 1) {
			return errors.New("a share of faults is from 0 to 1")
		}
	}
	if f.Error+f.Drop+f.Late > 1 {
		return errors.New("the shares of errors, drops and late answers are more than 1 together")
	}
	return nil
}

// Server is the provider. It holds its ledger file and its port from Open until Run has returned.
type Server struct {
	options  Options
	books    *books
	id       string // of the ledger
	troubles *troubles
	kept     *kept
	herald   *herald // nil: nobody is told
	listener net.Listener
	stopping chan struct{} // closed when Run is told to end

	running context.Context // ends before Run does
	end     context.CancelFunc
	later   sync.WaitGroup // what is still to fail afterwards
}

// Open reads the ledger, takes its lock and the port. It fails if another process has either.
func Open(o Options) (*Server, error) {
	if o.APIKey == "" || o.LedgerFile == "" || o.Log == nil {
		return nil, errors.New("open sandbox: an API key, a ledger file and a log are needed")
	}
	if err := o.Faults.check(); err != nil {
		return nil, fmt.Errorf("open sandbox: %w", err)
	}
	o.SlowBy, o.HangFor = cmp.Or(o.SlowBy, 2*time.Second), cmp.Or(o.HangFor, 30*time.Second)
	o.KeyMemory, o.AfterwardsBy = cmp.Or(o.KeyMemory, 24*time.Hour), cmp.Or(o.AfterwardsBy, 3*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	books, err := openBooks(o.LedgerFile, o.Now, o.KeyMemory)
	if err != nil {
		return nil, err
	}
	s := &Server{options: o, books: books, troubles: newTroubles(o.Seed, o.Faults), kept: newKept(o.Now, o.KeyMemory), stopping: make(chan struct{})}
	if s.id, err = identity(o.LedgerFile + ".id"); err != nil {
		return nil, errors.Join(fmt.Errorf("open sandbox: %w", err), books.journal.close())
	}
	s.running, s.end = context.WithCancel(context.Background())
	if s.herald, err = openHerald(o, books.entries); err != nil {
		s.end()
		return nil, errors.Join(fmt.Errorf("open sandbox: %w", err), books.journal.close())
	}
	if s.listener, err = net.Listen("tcp", o.Addr); err != nil {
		return nil, errors.Join(fmt.Errorf("open sandbox: %w", err), s.close())
	}
	return s, nil
}

// close closes the files.
func (s *Server) close() error {
	s.end()
	s.later.Wait()
	return errors.Join(s.herald.close(), s.books.journal.close())
}

// Addr is the address it listens on, with the port that was taken.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL is where clients find it.
func (s *Server) URL() string { return "http://" + s.Addr() }

// Run serves until ctx ends, then drops the requests that hang, answers the others and closes the ledger.
func (s *Server) Run(ctx context.Context) (err error) {
	requests, dropRequests := context.WithCancel(context.WithoutCancel(ctx))
	defer dropRequests()
	server := &http.Server{
		Handler:           s.dated(s.handler()),
		BaseContext:       func(net.Listener) context.Context { return requests },
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.options.Log.Handler(), slog.LevelWarn),
	}
	s.options.Log.Info("payment sandbox listens", "addr", s.Addr(), "ledger", s.options.LedgerFile, "entries", len(s.books.entries))
	ended := make(chan error, 1)
	var serving sync.WaitGroup
	serving.Go(func() { ended <- server.Serve(s.listener) })
	defer serving.Wait()
	var telling sync.WaitGroup
	telling.Go(func() { s.herald.run(requests) })
	defer func() { dropRequests(); telling.Wait(); err = errors.Join(err, s.close()) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve sandbox: %w", err)
	case <-ctx.Done():
	}
	close(s.stopping)
	dropRequests()
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(limit); err != nil {
		s.options.Log.Warn("payment sandbox drops connections", "err", err)
		_ = server.Close() // nothing more can be done for them
	}
	return nil
}

// dated has every answer tell the time by the clock that the books go by.
func (s *Server) dated(next http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", s.options.Now().UTC().Format(http.TimeFormat))
		next.ServeHTTP(w, r)
	}
}

// allowed lets only holders of the API key through: as a bearer, or as the password that a browser asks a person for.
func (s *Server) allowed(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		key, known := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !known {
			_, key, known = r.BasicAuth()
		}
		if !known || subtle.ConstantTimeCompare([]byte(key), []byte(s.options.APIKey)) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="the payment sandbox: any name, and its key as the password"`)
			refuse(w, http.StatusUnauthorized, "unauthorized", "the API key is missing or wrong")
			return
		}
		next(w, r)
	}
}
