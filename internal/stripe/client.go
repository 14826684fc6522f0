package stripe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v85"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/payment"
)

// Options say how Stripe is reached and what is ours there.
type Options struct {
	Key           string        // secret or restricted: PaymentIntents and refunds to write, charges, events and the account to read
	WebhookSecret string        // of the webhook's endpoint; "": no webhook is taken
	Namespace     string        // what is ours carries it
	URL           string        // "": Stripe's own
	Timeout       time.Duration // of one request, all of it; 0: 10 s
}

// Stripe is the provider. It believes only answers that fit what was asked.
type Stripe struct {
	api       *stripe.Client
	http      *http.Client
	secret    string
	namespace string
	test      bool             // with a key of test mode
	now       func() time.Time // on Stripe's clock
	identity  payment.Identity
}

// New makes the client. It follows no redirects, repeats no request by itself, reads no more than four megabytes of an answer, and
// tells Stripe nothing beyond what is asked.
func New(o Options) *Stripe {
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	theirs := &clock.Other{}
	client := &http.Client{
		Timeout:       o.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: bounded{&http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: o.Timeout}).DialContext,
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    256,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: 16 << 10,
			DisableCompression:     true, // what is read is what was sent
		}, theirs},
	}
	config := &stripe.BackendConfig{
		HTTPClient: client, LeveledLogger: &stripe.LeveledLogger{Level: stripe.LevelNull},
		MaxNetworkRetries: stripe.Int64(0), EnableTelemetry: stripe.Bool(false),
	}
	if o.URL != "" {
		config.URL = stripe.String(o.URL)
	}
	return &Stripe{
		api:  stripe.NewClient(o.Key, stripe.WithBackends(stripe.NewBackendsWithConfig(config))),
		http: client, secret: o.WebhookSecret, namespace: o.Namespace,
		test: strings.HasPrefix(o.Key, "sk_test_") || strings.HasPrefix(o.Key, "rk_test_"), now: theirs.Now,
	}
}

// Name is Stripe's in the path of its webhooks.
func (s *Stripe) Name() string { return "stripe" }

// Account asks which account the key is of. Test mode and live mode share the account's id and nothing else.
func (s *Stripe) Account(ctx context.Context) (payment.Account, error) {
	return s.identity.Learn(ctx, func(ctx context.Context) (payment.Account, error) {
		a, err := s.api.V1Accounts.Retrieve(ctx, &stripe.AccountRetrieveParams{})
		if err == nil && (a.Object != "account" || a.ID == "") {
			err = errUnfit
		}
		if err != nil {
			return payment.Account{}, fmt.Errorf("ask Stripe which account the key is of: %w", told(err))
		}
		mode := "live"
		if s.test {
			mode = "test"
		}
		return payment.Account{Provider: s.Name(), ID: a.ID + "/" + mode}, nil
	})
}

// Now is the time on Stripe's clock.
func (s *Stripe) Now() time.Time { return s.now() }

// Hangup gives up idle connections. The client may be used again.
func (s *Stripe) Hangup() { s.http.CloseIdleConnections() }

// maxAnswer bounds what is read of an answer, in bytes: a page of a hundred events may well have half a million.
const maxAnswer = 4 << 20

var errTooLong = errors.New("the answer is too long")

// bounded lets only JSON of a bearable length, answered with 200 or as an error, come as far as the library. It reads the time from
// every answer.
type bounded struct {
	http.RoundTripper
	theirs *clock.Other
}

func (b bounded) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	b.theirs.Heard(response.Header)
	if response.StatusCode != http.StatusOK && response.StatusCode < http.StatusBadRequest {
		_ = response.Body.Close() // nothing of it is wanted
		return nil, errUnfit
	}
	response.Body = &body{response.Body, maxAnswer}
	return response, nil
}

// CloseIdleConnections is what http.Client looks for.
func (b bounded) CloseIdleConnections() {
	if t, ok := b.RoundTripper.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

// body is one that ends with an error when there is too much of it.
type body struct {
	io.ReadCloser
	left int
}

func (b *body) Read(into []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.ReadCloser.Read(into[:min(len(into), b.left)])
	b.left -= n
	return n, err
}
