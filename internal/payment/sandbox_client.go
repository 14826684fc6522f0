package payment

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/clock"
)

// SandboxOptions say where the sandbox is.
type SandboxOptions struct {
	URL      string
	APIKey   string
	Timeout  time.Duration // of one request, all of it; 0: 5 s
	MaxConns int           // connections kept; 0: 256

	WebhookSecret string // what it signs with, as in Standard Webhooks; "": nothing is taken from it
}

// Sandbox is the provider of package sandbox, reached through HTTP. It believes only answers that fit what was asked.
type Sandbox struct {
	base   string
	key    string
	secret string
	client *http.Client

	identity Identity
	clock    clock.Other
}

// NewSandbox makes the client. It follows no redirects, uses no proxy and reads little.
func NewSandbox(o SandboxOptions) *Sandbox {
	o.Timeout, o.MaxConns = cmp.Or(o.Timeout, 5*time.Second), cmp.Or(o.MaxConns, 256)
	return &Sandbox{base: strings.TrimSuffix(o.URL, "/"), key: o.APIKey, secret: o.WebhookSecret, client: &http.Client{
		Timeout:       o.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: o.Timeout}).DialContext,
			MaxIdleConns:           o.MaxConns,
			MaxIdleConnsPerHost:    o.MaxConns,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: 16 << 10,
			DisableCompression:     true, // what is read is what was sent
		},
	}}
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 10

// entry and record are the sandbox's answers, as far as they are of interest.
type (
	entry struct {
		Seq           int64     `json:"seq"`
		At            time.Time `json:"at"`
		Kind          string    `json:"kind"`
		ID            string    `json:"id"`
		Key           string    `json:"key"`
		OrderID       string    `json:"order_id"`
		AmountMinor   int64     `json:"amount_minor"`
		Currency      string    `json:"currency"`
		PaymentMethod string    `json:"payment_method"`
		ChargeID      string    `json:"charge_id"`
		Funds         string    `json:"funds"`
		Status        string    `json:"status"`
		Reason        string    `json:"reason"`
	}
	record struct {
		Key     string  `json:"key"`
		Closed  bool    `json:"closed"`
		Charge  *entry  `json:"charge"`
		Refunds []entry `json:"refunds"`
	}
)

var errUnfit = errors.New("the answer does not fit what was asked")

// refusal is an answer other than 200.
type refusal struct {
	status int
	code   string
}

func (r refusal) Error() string { return fmt.Sprintf("answered %d %q", r.status, r.code) }

// Is makes it an error that the provider has answered.
func (r refusal) Is(target error) bool { return target == ErrAnswered }

// Charge takes the money.
func (s *Sandbox) Charge(ctx context.Context, in Intent) (Outcome, error) {
	if err := in.InTime(); err != nil {
		return Outcome{}, fmt.Errorf("charge order %s: %w", in.OrderID, err)
	}
	var got entry
	err := s.put(ctx, in.KeyOf(in.ChargeKey), "/charges/"+url.PathEscape(in.ChargeKey), map[string]any{
		"order_id": in.OrderID, "amount_minor": in.Terms.TotalMinor, "currency": in.Terms.Currency, "payment_method": in.Terms.PaymentMethod,
	}, &got)
	if errors.Is(err, refusal{http.StatusConflict, "key_closed"}) {
		return Outcome{Verdict: Closed}, nil
	}
	if err != nil {
		return Outcome{}, fmt.Errorf("charge order %s: %w", in.OrderID, err)
	}
	return got.charged(in)
}

// Refund gives the money back.
func (s *Sandbox) Refund(ctx context.Context, in Intent) (Outcome, error) {
	var got entry
	err := s.put(ctx, in.KeyOf(in.RefundKey), "/refunds/"+url.PathEscape(in.RefundKey), map[string]any{
		"charge_id": in.ChargeID, "amount_minor": in.Terms.TotalMinor, "currency": in.Terms.Currency,
	}, &got)
	if errors.Is(err, refusal{http.StatusUnprocessableEntity, "refund_exceeds_charge"}) { // it was given back under a key that is forgotten
		if made, lost := s.Lookup(ctx, in); lost == nil && made.Verdict == GivenBack {
			return made, nil
		}
	}
	if err == nil && !got.givesBack(in) {
		err = errUnfit
	}
	if err != nil {
		return Outcome{}, fmt.Errorf("refund order %s: %w", in.OrderID, err)
	}
	return Outcome{Verdict: GivenBack, ChargeID: in.ChargeID, RefundID: got.ID}, nil
}

// Lookup asks what became of the charge.
func (s *Sandbox) Lookup(ctx context.Context, in Intent) (Outcome, error) {
	var got record
	err := s.do(ctx, http.MethodGet, "/charges/"+url.PathEscape(in.ChargeKey), nil, &got)
	if errors.Is(err, refusal{http.StatusNotFound, "not_found"}) {
		return Outcome{Verdict: Absent}, nil
	}
	if err != nil {
		return Outcome{}, fmt.Errorf("look up order %s: %w", in.OrderID, err)
	}
	return got.outcome(in)
}

// Close ends the charge's key.
func (s *Sandbox) Close(ctx context.Context, in Intent) (Outcome, error) {
	var got record
	err := s.do(ctx, http.MethodPost, "/charges/"+url.PathEscape(in.ChargeKey)+"/close", nil, &got)
	if err == nil && !got.Closed {
		err = errUnfit
	}
	if err != nil {
		return Outcome{}, fmt.Errorf("close order %s: %w", in.OrderID, err)
	}
	return got.outcome(in)
}

// Account asks which ledger it is that the sandbox keeps.
func (s *Sandbox) Account(ctx context.Context) (Account, error) {
	return s.identity.Learn(ctx, func(ctx context.Context) (Account, error) {
		var got struct {
			ID string `json:"id"`
		}
		err := s.do(ctx, http.MethodGet, "/account", nil, &got)
		if err == nil && got.ID == "" {
			err = errUnfit
		}
		if err != nil {
			return Account{}, fmt.Errorf("ask the sandbox which ledger it keeps: %w", err)
		}
		return Account{s.Name(), got.ID}, nil
	})
}

// Now is the time on the sandbox's clock.
func (s *Sandbox) Now() time.Time { return s.clock.Now() }

// Hangup gives up idle connections. The client may be used again.
func (s *Sandbox) Hangup() { s.client.CloseIdleConnections() }

// Ready says whether the sandbox answers.
func (s *Sandbox) Ready(ctx context.Context) error {
	var got struct{}
	return s.do(ctx, http.MethodGet, "/livez", nil, &got)
}

func (r record) outcome(in Intent) (Outcome, error) {
	switch {
	case r.Key != in.ChargeKey || r.Charge == nil && !r.Closed:
		return Outcome{}, fmt.Errorf("order %s: %w", in.OrderID, errUnfit)
	case r.Charge == nil:
		return Outcome{Verdict: Closed}, nil
	}
	outcome, err := r.Charge.charged(in)
	if err != nil || outcome.Verdict != Charged {
		return outcome, err
	}
	in.ChargeID = outcome.ChargeID
	if i := slices.IndexFunc(r.Refunds, func(e entry) bool { return e.givesBack(in) }); i >= 0 {
		return Outcome{Verdict: GivenBack, ChargeID: outcome.ChargeID, RefundID: r.Refunds[i].ID}, nil
	}
	return outcome, nil
}

func (e entry) charged(in Intent) (Outcome, error) {
	ours := e.Kind == "charge" && e.ID != "" && e.Key == in.ChargeKey && e.OrderID == in.OrderID.String() &&
		e.AmountMinor == in.Terms.TotalMinor && e.Currency == in.Terms.Currency && e.PaymentMethod == in.Terms.PaymentMethod &&
		(in.ChargeID == "" || e.ID == in.ChargeID)
	switch {
	case ours && e.Status == "succeeded":
		return Outcome{Verdict: Charged, ChargeID: e.ID}, nil
	case ours && e.Status == "declined":
		return Outcome{Verdict: Rejected, Reason: cmp.Or(e.Reason, e.Status)}, nil
	}
	return Outcome{}, fmt.Errorf("order %s: %w", in.OrderID, errUnfit)
}

func (e entry) givesBack(in Intent) bool {
	return e.Kind == "refund" && e.ID != "" && e.Key == in.RefundKey && e.ChargeID == in.ChargeID && (in.OrderID == uuid.Nil || e.OrderID == in.OrderID.String()) &&
		e.AmountMinor == in.Terms.TotalMinor && e.Currency == in.Terms.Currency && e.Status == "succeeded"
}

// do makes one request and reads a JSON answer of 200 into into; any other JSON answer is a refusal.
func (s *Sandbox) do(ctx context.Context, method, path string, body, into any) error {
	return s.doUpTo(ctx, maxAnswer, method, path, body, into)
}

// doUpTo is do with an answer of so many bytes at most.
func (s *Sandbox) doUpTo(ctx context.Context, most int64, method, path string, body, into any) error {
	request, err := s.request(ctx, method, path, body)
	if err != nil {
		return err
	}
	return s.exchange(request, most, into)
}

// put makes a request that is done once per path, and whose answer is kept under the key.
// The header is not named Idempotency-Key: Go would send the request once more by itself, unseen and late, when a connection breaks.
func (s *Sandbox) put(ctx context.Context, key, path string, body, into any) error {
	request, err := s.request(ctx, http.MethodPut, path, body)
	if err != nil {
		return err
	}
	request.Header.Set("Request-Key", key)
	return s.exchange(request, maxAnswer, into)
}

// exchange sends a request and reads its answer, of so many bytes at most.
func (s *Sandbox) exchange(request *http.Request, most int64, into any) error {
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	s.clock.Heard(response.Header)
	raw, err := io.ReadAll(io.LimitReader(response.Body, most+1))
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if int64(len(raw)) > most || media != "application/json" {
		return fmt.Errorf("answered %d with %d bytes or more of %q", response.StatusCode, len(raw), media)
	}
	if response.StatusCode != http.StatusOK {
		var refused struct{ Error struct{ Code string } }
		_ = json.Unmarshal(raw, &refused) // without a code it is a refusal all the same
		return refusal{response.StatusCode, refused.Error.Code}
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("decode answer: %w", err)
	}
	return nil
}

func (s *Sandbox) request(ctx context.Context, method, path string, body any) (*http.Request, error) {
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+s.key)
	request.Header.Set("Content-Type", "application/json")
	if known, ok := s.identity.Known(); ok { // another ledger at this address is to refuse it
		request.Header.Set("Ledger", known.ID)
	}
	return request, nil
}
