package stripe

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/payment/promise"
)

// startMock runs Stripe's own mock, which checks each request against Stripe's description of its interface and answers with an
// example, and gives its URL.
func startMock(t *testing.T) string {
	t.Helper()
	path, err := exec.CommandContext(t.Context(), "go", "tool", "-n", "-modfile=../../tools/go.mod", "stripe-mock").Output()
	if err != nil {
		t.Fatalf("build stripe-mock: %v", err)
	}
	mock := exec.Command(strings.TrimSpace(string(path)), "-http-addr", "127.0.0.1:0", "-https-addr", "127.0.0.1:0")
	out, err := mock.StdoutPipe()
	if err == nil {
		err = mock.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = mock.Process.Kill(), mock.Wait() }) // it is to be gone, however
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if _, addr, found := strings.Cut(lines.Text(), "Listening for HTTP at address: "); found {
			go func() { _, _ = io.Copy(io.Discard, out) }() // until it is gone
			return "http://" + addr
		}
	}
	t.Fatal("stripe-mock ended before it listened")
	return ""
}

// dresser notes each request and how it was answered, and puts on an answer what the mock does not remember.
type dresser struct {
	http.RoundTripper
	made  []string
	dress func(request string, form url.Values, answer object)
}

func (d *dresser) RoundTrip(r *http.Request) (*http.Response, error) {
	form, err := formOf(r)
	if err != nil {
		return nil, err
	}
	response, err := d.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	name := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/v1/")
	keyed := ""
	if k := r.Header.Get("Idempotency-Key"); k != "" && r.Method == http.MethodPost {
		keyed = " under " + k
	}
	d.made = append(d.made, name+" "+response.Status+keyed)
	if answer := (object{}); d.dress != nil && json.Unmarshal(raw, &answer) == nil {
		d.dress(name, form, answer)
		raw, err = json.Marshal(answer)
	}
	response.Body = io.NopCloser(bytes.NewReader(raw))
	return response, err
}

func formOf(r *http.Request) (url.Values, error) {
	if r.Body == nil {
		return r.URL.Query(), nil
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(raw))
	return url.ParseQuery(string(raw))
}

// Stripe's own mock takes every request that is made, and its answers are understood; none of them is believed, for they are of
// somebody else's money.
func TestStripeMock(t *testing.T) {
	t.Parallel()
	mock := startMock(t)
	in := bought()
	t.Run("strangers", func(t *testing.T) {
		s := at(t, mock)
		d := &dresser{RoundTripper: s.http.Transport}
		s.http.Transport = d
		if got := promise.Believed(t.Context(), s, in); len(got) != 0 {
			t.Errorf("believed %v", got)
		}
		if lines, err := s.Lines(t.Context(), "", 10); err == nil {
			t.Errorf("believed %+v", lines)
		}
		want := []string{
			"POST payment_intents/pi_1/confirm 200 OK under confirm-pi_1", "GET refunds 200 OK", "GET payment_intents/pi_1 200 OK",
			"POST payment_intents/pi_1/cancel 200 OK", "POST payment_intents 200 OK under " + in.ChargeKey, "GET events 200 OK",
		}
		for i, made := range d.made { // a cancel is the same however often: its key is chance
			if strings.Contains(made, "/cancel") {
				d.made[i], _, _ = strings.Cut(made, " under ")
			}
		}
		if diff := cmp.Diff(want, d.made); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("ours", func(t *testing.T) { playOn(t, mock, in) })
	t.Run("a key that is none", func(t *testing.T) {
		s := New(Options{Key: "nonsense", URL: mock, Namespace: namespace})
		t.Cleanup(s.Hangup)
		_, err := s.Charge(t.Context(), in)
		if err == nil || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "nonsense") {
			t.Errorf("%v", err)
		}
	})
	t.Run("a request that is none", func(t *testing.T) {
		in := in
		in.OpenedAs, in.Terms.PaymentMethod = "pi_1", ""
		d := &dresser{}
		s := at(t, mock)
		d.RoundTripper, s.http.Transport = s.http.Transport, d
		if _, err := s.api.V1PaymentIntents.Create(t.Context(), nil); err == nil || refused(err) != "" || !strings.HasPrefix(d.made[0], "POST payment_intents 400") {
			t.Errorf("%v, %v, refused for %q", d.made, err, refused(err))
		}
	})
}

// playOn goes the whole way on the mock's answers, given what the mock does not remember: whose they are, and what has become of them.
func playOn(t *testing.T, mock string, in payment.Intent) {
	s := at(t, mock)
	d := &dresser{RoundTripper: s.http.Transport}
	s.http.Transport = d
	status, returned := "requires_payment_method", int64(0)
	d.dress = func(request string, form url.Values, answer object) {
		switch {
		case strings.Contains(request, "payment_intents"):
			maps.Copy(answer, object{
				"id": "pi_1", "amount": in.Terms.TotalMinor, "currency": "gbp", "status": status, "last_payment_error": nil,
				"metadata": object{ofNamespace: namespace, ofOrder: in.OrderID.String(), ofKey: in.ChargeKey},
			})
			if request == opens && (form.Get("metadata["+ofKey+"]") != in.ChargeKey || form.Get("amount") != "1275" || form.Get("confirm") != "") {
				t.Errorf("opened with %v", form)
			}
			if status == "succeeded" {
				answer["amount_received"] = in.Terms.TotalMinor
			}
			if charge, expanded := answer["latest_charge"].(object); expanded {
				charge["amount_refunded"] = returned
			} else if request == shows && status == "succeeded" {
				answer["latest_charge"] = object{"id": "ch_1", "object": "charge", "amount_refunded": returned}
			}
		case request == lists:
			if returned == 0 {
				answer["data"] = []any{}
			}
			for _, r := range answer["data"].([]any) {
				maps.Copy(r.(object), object{"payment_intent": "pi_1", "amount": returned, "currency": "gbp"})
			}
		case request == refunds:
			maps.Copy(answer, object{"payment_intent": "pi_1", "currency": "gbp"})
		}
	}
	var came []payment.Verdict
	step := func(o payment.Outcome, err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
		came = append(came, o.Verdict)
	}
	step(s.Open(t.Context(), in))
	step(s.Lookup(t.Context(), in))
	status = "succeeded"
	step(s.Charge(t.Context(), in))
	step(s.Lookup(t.Context(), in))
	step(s.Refund(t.Context(), in))
	returned = in.Terms.TotalMinor
	step(s.Lookup(t.Context(), in))
	step(s.Refund(t.Context(), in))
	status = "canceled"
	step(s.Close(t.Context(), in))
	want := []payment.Verdict{
		payment.Opened, payment.Absent, payment.Charged, payment.Charged, payment.GivenBack, payment.GivenBack, payment.GivenBack, payment.Closed,
	}
	if !slices.Equal(came, want) {
		t.Errorf("came to %v, want %v; asked %v", came, want, d.made)
	}
}
