package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	maxBody     = 64 << 10
	maxText     = 255
	defaultPage = 1000
	maxPage     = 10_000
)

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /charges/{key}", s.allowed(s.ofThisLedger(s.late(s.keeping(s.putCharge)))))
	mux.HandleFunc("GET /charges/{key}", s.allowed(s.ofThisLedger(s.late(s.getCharge))))
	mux.HandleFunc("POST /charges/{key}/close", s.allowed(s.ofThisLedger(s.late(s.closeCharge))))
	mux.HandleFunc("PUT /refunds/{key}", s.allowed(s.ofThisLedger(s.late(s.keeping(s.putRefund)))))
	mux.HandleFunc("GET /ledger", s.allowed(s.ofThisLedger(s.getLedger)))
	mux.HandleFunc("POST /find", s.allowed(s.ofThisLedger(s.find)))
	mux.HandleFunc("GET /account", s.allowed(s.getAccount))
	s.afterwardsRoutes(mux)
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	return mux
}

func (s *Server) putCharge(w http.ResponseWriter, r *http.Request) {
	var in struct {
		OrderID       string `json:"order_id"`
		AmountMinor   int64  `json:"amount_minor"`
		Currency      string `json:"currency"`
		PaymentMethod string `json:"payment_method"`
	}
	if !decode(w, r, &in) || !valid(w, in.AmountMinor, in.Currency, r.PathValue("key"), in.OrderID) {
		return
	}
	key := r.PathValue("key")
	want := Entry{Key: key, OrderID: in.OrderID, AmountMinor: in.AmountMinor, Currency: in.Currency, PaymentMethod: in.PaymentMethod}
	want.Status, want.Reason = s.troubles.verdict(in.PaymentMethod, key)
	trouble := s.troubles.next(in.PaymentMethod, key)
	s.troubled(w, r, trouble, func() (*Entry, error) {
		got, fresh, err := s.books.charge(want)
		return s.told(w, got, fresh, err)
	})
}

func (s *Server) putRefund(w http.ResponseWriter, r *http.Request) {
	var in struct {
		ChargeID    string `json:"charge_id"`
		AmountMinor int64  `json:"amount_minor"`
		Currency    string `json:"currency"`
	}
	if !decode(w, r, &in) || !valid(w, in.AmountMinor, in.Currency, r.PathValue("key"), in.ChargeID) {
		return
	}
	if key := r.Header.Get("Request-Key"); key != "" && !validText(key) {
		refuse(w, http.StatusBadRequest, "invalid_request", "a key is 1 to 255 printable characters")
		return
	}
	want := Entry{
		Key: r.PathValue("key"), RequestKey: r.Header.Get("Request-Key"), ChargeID: in.ChargeID, AmountMinor: in.AmountMinor, Currency: in.Currency,
	}
	trouble := noTrouble
	if method := s.books.method(in.ChargeID); method == "pm_flaky" || method == "pm_ok" {
		trouble = s.troubles.next(method, want.Key)
	}
	s.troubled(w, r, trouble, func() (*Entry, error) {
		got, fresh, err := s.books.refund(want)
		return s.told(w, got, fresh, err)
	})
}

// told passes on what a request came to, and has what is new told of.
func (s *Server) told(w http.ResponseWriter, e *Entry, fresh bool, err error) (*Entry, error) {
	switch {
	case err != nil:
	case fresh:
		s.herald.tell(e)
		s.afterwards(s.running, e)
	default:
		w.Header().Set("Idempotent-Replayed", "true")
	}
	return e, err
}

// troubled does the deed and answers, with what goes wrong before and after it. A client that has gone away changes nothing.
func (s *Server) troubled(w http.ResponseWriter, r *http.Request, t trouble, deed func() (*Entry, error)) {
	if t == errorBefore {
		refuse(w, http.StatusInternalServerError, "internal", "something went wrong")
		return
	}
	if t == slow && !s.pause(s.options.SlowBy) {
		panic(http.ErrAbortHandler)
	}
	entry, err := deed()
	replayed := w.Header().Get("Idempotent-Replayed") != ""
	switch {
	case err != nil:
		s.refuseFor(w, r, err)
	case t == errorAfter:
		refuse(w, http.StatusInternalServerError, "internal", "something went wrong")
	case t == garbageAfter:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id": "ch_`) // cut off on purpose; a lost client is no matter
	case t == hangAfter && !replayed:
		s.hang(r)
	default:
		answer(w, http.StatusOK, entry)
	}
}

// hang holds the request until its client gives up, then drops the connection without a word.
func (s *Server) hang(r *http.Request) {
	limit := time.NewTimer(s.options.HangFor)
	defer limit.Stop()
	select {
	case <-limit.C:
	case <-r.Context().Done():
	}
	panic(http.ErrAbortHandler)
}

// pause waits, also for a client that has gone away: what was asked for is under way. It is false if the server stops.
func (s *Server) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.stopping:
		return false
	}
}

func (s *Server) getCharge(w http.ResponseWriter, r *http.Request) {
	record, found, err := s.books.lookup(r.PathValue("key"))
	switch {
	case err != nil:
		s.refuseFor(w, r, err)
	case !found:
		refuse(w, http.StatusNotFound, "not_found", "this key was never seen")
	default:
		answer(w, http.StatusOK, record)
	}
}

func (s *Server) closeCharge(w http.ResponseWriter, r *http.Request) {
	if !validText(r.PathValue("key")) {
		refuse(w, http.StatusBadRequest, "invalid_request", "a key is 1 to 255 printable characters")
		return
	}
	record, err := s.books.close(r.PathValue("key"))
	if err != nil {
		s.refuseFor(w, r, err)
		return
	}
	answer(w, http.StatusOK, record)
}

func (s *Server) getLedger(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		s.showLedger(w, r)
		return
	}
	after, err1 := number(r, "after", 0)
	limit, err2 := number(r, "limit", defaultPage)
	if err := errors.Join(err1, err2); err != nil {
		refuse(w, http.StatusBadRequest, "invalid_request", err.Error())
		return
	}
	page, err := s.books.page(after, int(min(max(limit, 1), maxPage)))
	if err != nil {
		s.refuseFor(w, r, err)
		return
	}
	answer(w, http.StatusOK, page)
}

// late adds the latency that every call has.
func (s *Server) late(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.options.Latency > 0 && !s.pause(s.options.Latency) {
			panic(http.ErrAbortHandler)
		}
		next(w, r)
	}
}

func (s *Server) refuseFor(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, errKeyReused):
		refuse(w, http.StatusUnprocessableEntity, "key_reused", err.Error())
	case errors.Is(err, errKeyClosed):
		refuse(w, http.StatusConflict, "key_closed", err.Error())
	case errors.Is(err, errNoSuchCharge):
		refuse(w, http.StatusUnprocessableEntity, "charge_not_found", err.Error())
	case errors.Is(err, errDisputed):
		refuse(w, http.StatusUnprocessableEntity, "charge_disputed", err.Error())
	case errors.Is(err, errNoSuchRefund), errors.Is(err, errNoSuchDispute), errors.Is(err, errNoSuchTurn):
		refuse(w, http.StatusUnprocessableEntity, "not_possible", err.Error())
	case errors.Is(err, errRefundTooLarge):
		refuse(w, http.StatusUnprocessableEntity, "refund_exceeds_charge", err.Error())
	default:
		s.options.Log.Error("payment sandbox cannot answer", "method", r.Method, "path", r.URL.Path, "err", err)
		refuse(w, http.StatusInternalServerError, "internal", "the ledger cannot be written")
	}
}

func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil && d.More() {
		err = errors.New("something follows the object")
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		refuse(w, http.StatusRequestEntityTooLarge, "too_large", err.Error())
	} else if err != nil {
		refuse(w, http.StatusBadRequest, "invalid_request", err.Error())
	}
	return err == nil
}

func valid(w http.ResponseWriter, amount int64, currency string, texts ...string) bool {
	ok := amount > 0 && len(currency) == 3
	for _, c := range currency {
		ok = ok && c >= 'A' && c <= 'Z'
	}
	for _, text := range texts {
		ok = ok && validText(text)
	}
	if !ok {
		refuse(w, http.StatusBadRequest, "invalid_request", "an amount above 0, a currency of three letters and ids of 1 to 255 printable characters are needed")
	}
	return ok
}

func validText(s string) bool {
	for _, c := range s {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return s != "" && len(s) <= maxText
}

func number(r *http.Request, name string, otherwise int64) (int64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s is not a number of 0 or more", name)
	}
	return n, nil
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, map[string]any{"error": map[string]string{"code": code, "message": message}})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // fails only if the client is gone
}
