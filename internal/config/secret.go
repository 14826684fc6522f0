package config

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// maxSecret bounds a file with a secret, in bytes.
const maxSecret = 4 << 10

// readSecrets reads what no flag may hold. It is asked for only where it is used.
func (c *Config) readSecrets() error {
	if c.PaymentProvider != "stripe" {
		return nil
	}
	var keyErr, hookErr error
	c.StripeKey, keyErr = secret("stripe-key", c.StripeKeyFile, c.StripeKey)
	c.StripeWebhookSecret, hookErr = secret("stripe-webhook-secret", c.StripeWebhookSecretFile, c.StripeWebhookSecret)
	if keyErr == nil && c.StripeKey != "" && !strings.HasPrefix(c.StripeKey, "sk_") && !strings.HasPrefix(c.StripeKey, "rk_") {
		keyErr = errors.New("HOLDFAST_STRIPE_KEY or --stripe-key-file: not a secret or restricted key, which begin with sk_ or rk_")
	}
	return errors.Join(keyErr, hookErr)
}

// secret gives what is in a file or else in the environment; what was set before is kept if neither is there.
func secret(name, file, before string) (string, error) {
	variable := "HOLDFAST_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	named := os.Getenv(variable)
	switch {
	case file == "" && named == "":
		return before, nil
	case file == "":
		return strings.TrimSpace(named), nil
	case named != "":
		return "", fmt.Errorf("--%s-file and %s: one of them only", name, variable)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("--%s-file: %w", name, err)
	}
	text := strings.TrimSpace(string(raw))
	if text == "" || len(text) > maxSecret {
		return "", fmt.Errorf("--%s-file: %s holds no secret", name, file)
	}
	return text, nil
}
