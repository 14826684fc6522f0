package config

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// maxSecret bounds a file with a secret, in bytes.
const maxSecret = 4 << 10

// ReadSecrets reads what no flag may hold, where it is used.
func (c *Config) ReadSecrets() error {
	former, err := formerProviders(c.FormerProviders)
	c.Former = former
	if err != nil || c.PaymentProvider != "stripe" {
		return err
	}
	var keyErr, hookErr error
	c.StripeKey, keyErr = secret("stripe-key", c.StripeKeyFile, c.StripeKey)
	c.StripeWebhookSecret, hookErr = secret("stripe-webhook-secret", c.StripeWebhookSecretFile, c.StripeWebhookSecret)
	if keyErr == nil && c.StripeKey != "" && !stripeKey(c.StripeKey) {
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
	text, err := secretIn(file)
	if err != nil {
		return "", fmt.Errorf("--%s-file: %w", name, err)
	}
	return text, nil
}

func stripeKey(key string) bool {
	return strings.HasPrefix(key, "sk_") || strings.HasPrefix(key, "rk_")
}

// secretIn reads a file with a secret.
func secretIn(file string) (string, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(raw))
	if text == "" || len(text) > maxSecret {
		return "", fmt.Errorf("%s holds no secret", file)
	}
	return text, nil
}
