package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Provider is how an account of a payment provider is reached.
type Provider struct {
	Name          string // sandbox or stripe
	URL           string
	Key           string
	WebhookSecret string
}

// String names it without its secrets.
func (p Provider) String() string { return strings.TrimSpace(p.Name + " " + p.URL) }

// MarshalText keeps the secrets out of logs in JSON too.
func (p Provider) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Charging is the provider that charges.
func (c Config) Charging() Provider {
	if c.PaymentProvider == "stripe" {
		return Provider{"stripe", c.StripeURL, c.StripeKey, c.StripeWebhookSecret}
	}
	return Provider{"sandbox", c.SandboxURL, c.SandboxKey, c.SandboxWebhookSecret}
}

// Providers are all that are configured; the first one charges.
func (c Config) Providers() []Provider { return append([]Provider{c.Charging()}, c.Former...) }

// parseFormer reads --former-provider: the provider's name, then its settings. Secrets are in files, so that nobody sees them in a list of
// processes or in a log.
func parseFormer(text string) (Provider, error) {
	name, rest, _ := strings.Cut(text, ",")
	p := Provider{Name: strings.TrimSpace(name)}
	if !slices.Contains([]string{"sandbox", "stripe"}, p.Name) {
		return p, fmt.Errorf("--former-provider %q: begins with sandbox or stripe", text)
	}
	for part := range strings.SplitSeq(rest, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		var err error
		switch key, value, _ := strings.Cut(part, "="); key {
		case "url":
			p.URL, err = plainURL(value)
		case "key-file":
			p.Key, err = secretIn(value)
		case "webhook-secret-file":
			p.WebhookSecret, err = secretIn(value)
		default:
			err = fmt.Errorf("%q is none of url=, key-file=, webhook-secret-file=", part)
		}
		if err != nil {
			return p, fmt.Errorf("--former-provider %s: %w", p.Name, err)
		}
	}
	return p, p.complete()
}

func (p Provider) complete() error {
	switch {
	case p.Key == "":
		return fmt.Errorf("--former-provider %s: key-file= is missing", p.Name)
	case p.Name == "sandbox" && p.URL == "":
		return errors.New("--former-provider sandbox: url= is missing")
	case p.Name == "stripe" && !stripeKey(p.Key):
		return errors.New("--former-provider stripe: key-file= holds no secret or restricted key, which begin with sk_ or rk_")
	}
	return nil
}

// plainURL is a URL without a password, which a log would show.
func plainURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.Host == "" {
		return "", errors.New("url= is no URL of a server, or holds a password")
	}
	return text, nil
}

// formerProviders reads all of them.
func formerProviders(texts []string) ([]Provider, error) {
	var all []Provider
	var errs []error
	for _, text := range texts {
		p, err := parseFormer(text)
		all, errs = append(all, p), append(errs, err)
	}
	return all, errors.Join(errs...)
}
