package main

import (
	"github.com/holdfast-checkout/holdfast/internal/app"
	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/stripe"
)

// connect leads to accounts of Stripe for those of a namespace. It is made here and not in app, whose tests need not be linked with a
// library so large.
func connect(namespace string) app.Connect {
	return func(p config.Provider) payment.Gateway {
		return stripe.New(stripe.Options{Key: p.Key, WebhookSecret: p.WebhookSecret, Namespace: namespace, URL: p.URL})
	}
}
