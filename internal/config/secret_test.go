package config

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
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
