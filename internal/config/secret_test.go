package config

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Stripe's secrets come from the environment or from files, never from a flag or a log.
func TestSecretsOfStripe(t *testing.T) {
	t.Setenv("HOLDFAST_STRIPE_KEY", "sk_test_kkkk\n")
	c, err := parse(t, "--payment-provider=stripe", "--stripe-webhook-secret-file="+secretFile(t, "whsec_wwww\n"))
	if err != nil || c.StripeKey != "sk_test_kkkk" || c.StripeWebhookSecret != "whsec_wwww" {
		t.Fatalf("%q, %q, %v", c.StripeKey, c.StripeWebhookSecret, err)
	}
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("starts", "settings", c)
	if strings.Contains(out.String(), "kkkk") || strings.Contains(out.String(), "wwww") || !strings.Contains(out.String(), "PaymentProvider=stripe") {
		t.Errorf("logged: %s", out.String())
	}
	if c, err := parse(t); err != nil || c.StripeKey != "" {
		t.Errorf("taken where nobody charges with it: %v", err)
	}
	file := "--stripe-key-file=" + secretFile(t, "sk_test_ffff")
	for name, args := range map[string][]string{
		"both":       {"--payment-provider=stripe", file},
		"a flag":     {"--payment-provider=stripe", "--stripe-key=sk_test_x"},
		"in YAML":    {"--payment-provider=stripe", write(t, "stripe-key: sk_test_x\n")},
		"no file":    {"--payment-provider=stripe", "--stripe-webhook-secret-file=away"},
		"empty file": {"--payment-provider=stripe", "--stripe-webhook-secret-file=" + secretFile(t, "\n")},
	} {
		if c, err := parse(t, args...); err == nil || strings.Contains(err.Error(), "ffff") || strings.Contains(err.Error(), "kkkk") {
			t.Errorf("%s: %q, %v", name, c.StripeKey, err)
		}
	}
	t.Setenv("HOLDFAST_STRIPE_KEY", "")
	if c, err := parse(t, "--payment-provider=stripe", file); err != nil || c.StripeKey != "sk_test_ffff" {
		t.Errorf("%q, %v", c.StripeKey, err)
	}
	t.Setenv("HOLDFAST_STRIPE_KEY", "pk_live_kkkk")
	if _, err := parse(t, "--payment-provider=stripe"); err == nil || strings.Contains(err.Error(), "kkkk") {
		t.Errorf("a key that cannot charge: %v", err)
	}
	t.Setenv("HOLDFAST_STRIPE_KEY", "")
	none, err := parse(t, "--payment-provider=stripe", "--postgres-url=a", "--redis-url=b", "--rabbitmq-url=c", "--jwks=d")
	if err != nil || none.Complete() == nil || !strings.Contains(none.Complete().Error(), "HOLDFAST_STRIPE_KEY") {
		t.Errorf("without a key: %v, %v", err, none.Complete())
	}
}

// Former providers are named on the command line, in the environment or in the file, and their secrets stand in files alone.
func TestFormerProviders(t *testing.T) {
	key, hook := secretFile(t, "sk_test_kkkk\n"), secretFile(t, "whsec_wwww")
	sandbox := "sandbox,url=http://127.0.0.1:1,key-file=" + key
	stripe := "stripe,key-file=" + key + ",webhook-secret-file=" + hook
	want := []Provider{{"sandbox", "http://127.0.0.1:1", "sk_test_kkkk", ""}, {"stripe", "", "sk_test_kkkk", "whsec_wwww"}}
	for name, args := range map[string][]string{
		"flags": {"--former-provider=" + sandbox, "--former-provider=" + stripe},
		"one":   {"--former-provider=" + sandbox + ";" + stripe},
		"YAML":  {write(t, "former-provider: [\""+sandbox+"\", \""+stripe+"\"]\n")},
	} {
		c, err := parse(t, args...)
		if err != nil || !slices.Equal(c.Former, want) {
			t.Errorf("%s: %v, %v", name, c.Former, err)
		}
		for _, handler := range []func(io.Writer, *slog.HandlerOptions) slog.Handler{
			func(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewTextHandler(w, o) },
			func(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewJSONHandler(w, o) },
		} {
			var out bytes.Buffer
			slog.New(handler(&out, nil)).Info("starts", "settings", c)
			if strings.Contains(out.String(), "kkkk") || strings.Contains(out.String(), "wwww") || !strings.Contains(out.String(), "http://127.0.0.1:1") {
				t.Errorf("%s: logged %s", name, out.String())
			}
		}
	}
	for _, wrong := range []string{
		"paypal,key-file=" + key, "stripe", "sandbox,key-file=" + key, "sandbox,url=http://a:b@c,key-file=" + key, "sandbox,url=nowhere,key-file=" + key,
		"stripe,key-file=away", "stripe,key=sk_test_x", "stripe,key-file=" + hook,
	} {
		if c, err := parse(t, "--former-provider="+wrong); err == nil || strings.Contains(err.Error(), "wwww") {
			t.Errorf("%s: taken as %v, %v", wrong, c.Former, err)
		}
	}
}
