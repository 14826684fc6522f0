package main

import (
	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/stripe"
)

// gateway is who charges; nil is the sandbox. It is made here and not in app, whose tests need not be linked with a library so large.
func gateway(c config.Config) payment.Gateway {
	if c.PaymentProvider != "stripe" {
		return nil
	}
	return stripe.New(stripe.Options{Key: c.StripeKey, WebhookSecret: c.StripeWebhookSecret, Namespace: c.Namespace, URL: c.StripeURL})
}
