// Package config is the one place in which a setting has a name, a default and a meaning. Every flag is also an environment
// variable (--outbox-mode is HOLDFAST_OUTBOX_MODE) and a key of the YAML file given with --config: flags win over the
// environment, the environment over the file, the file over the defaults.
package config

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"
)

// Servers says where the three servers are.
type Servers struct {
	PostgresURL string `name:"postgres-url" help:"Postgres, as a URL." placeholder:"postgres://…"`
	// Beside PostgresURL, which may lead to a pooler.
	ReplicationURL string `name:"replication-url" help:"Postgres past any pooler, as the owner of the tables: for logical replication, notifications, partitions, migrations and audits; empty: --postgres-url." placeholder:"postgres://…"`
	RedisURL       string `name:"redis-url" help:"Redis, as a URL; a cluster as several addresses separated by commas." placeholder:"redis://…"`
	RabbitMQURL    string `name:"rabbitmq-url" help:"RabbitMQ, as a URL; the nodes of a cluster as several separated by commas." placeholder:"amqp://…"`
	Namespace      string `default:"holdfast" help:"Prefix of exchanges, queues, Redis keys and the replication slot, so that several can share servers."`
}

// DirectURL is where Postgres itself is.
func (s Servers) DirectURL() string { return cmp.Or(s.ReplicationURL, s.PostgresURL) }

// Config is what a server can be told.
type Config struct {
	Servers

	HTTPAddr  string `name:"http-addr" default:"127.0.0.1:8080" help:"Address of the API."`
	AdminAddr string `name:"admin-addr" help:"Address of its own for operators' calls and metrics; empty: the API's."`
	JWTSecret string `name:"jwt-secret" help:"Secret of HS256 tokens, 32 bytes at least." placeholder:"SECRET"`
	JWKS      string `name:"jwks" help:"URL or file of a JWKS with RS256 or ES256 keys, in place of a secret."`
	MaxBody   int64  `default:"1048576" help:"Largest request body, bytes."`

	TrustedProxies []string `help:"Addresses or networks (CIDR) of proxies before the API: any number of connections each, and only their X-Forwarded-For is believed." placeholder:"10.0.0.0/8"`

	LogLevel  string `enum:"debug,info,warn,error" default:"info" help:"Least level that is logged (${enum})."`
	LogFormat string `enum:"text,json" default:"text" help:"Form of the log (${enum})."`

	Strategy          string        `default:"optimistic" help:"How new orders go: a table of docs/strategies.md."`
	StrategiesAllowed []string      `help:"Strategies that an order may ask for; empty: all."`
	InventoryLanes    int           `default:"4" help:"Lanes that stock is split over by product, for the strategy sequenced, 1 to 32; the same for all instances."`
	OrderTimeout      time.Duration `default:"15m" help:"An order that has not ended by then is ended."`
	HoldOnOrder       bool          `default:"true" negatable:"" help:"Orders keep their units held in Redis until the stock is taken."`
	MaxLines          int           `default:"2000" help:"Most lines in a cart or an order."`
	MaxQuantity       int64         `default:"1000000" help:"Most units in a line."`
	MaxCartUnits      int64         `help:"Most units in a cart or an order; 0: any number."`
	MaxCustomerUnits  int64         `help:"Most units of one product that one customer holds or has on order under way; 0: any number."`
	MaxProductShare   float64       `default:"1" help:"The same, as a share of the product's stock; 1: all of it."`
	MaxHeldShare      float64       `default:"1" help:"Share of a product's stock up to which carts may hold; the rest is left to who buys at once; 1: all of it."`

	OutboxMode          string        `enum:"cdc,polling" default:"cdc" help:"How facts leave Postgres: ${enum}."`
	OutboxPollInterval  time.Duration `default:"5s" help:"How often polling looks when nothing wakes it."`
	OutboxRetention     time.Duration `default:"24h" help:"How long published facts are kept."`
	InboxRetention      time.Duration `default:"168h" help:"How long a heard fact is remembered."`
	DeadLetterRetention time.Duration `default:"720h" help:"How long dead letters are kept that went back to their modules, and what was done about them; open ones stay."`
	ArchiveAfter        time.Duration `help:"Orders that ended so long ago are moved to the archive, by one instance; 0: only by the command."`
	UnknownFactPatience time.Duration `default:"24h" help:"How long a fact of another version, that no instance has a row for, waits before it is a dead letter."`
	RefillAfter         time.Duration `default:"15s" help:"A published fact that a module has not heard after so long is published to it again, if its queue has lost it."`
	ConsumerBatch       int           `default:"128" help:"Most facts that a verb hears at once."`

	HoldTTL       time.Duration `name:"hold-ttl" default:"15m" help:"How long a cart keeps its units."`
	HoldMaxAge    time.Duration `help:"Longest that a cart keeps its units after its first line; 0: four times the TTL."`
	HoldCooldown  time.Duration `help:"Who has held a product for --hold-max-age may hold it again after not holding it for so long; 0: at once."`
	SweepInterval time.Duration `default:"60s" help:"How often expired holds and carts are cleaned up."`

	ReconcileInterval time.Duration `default:"5m" help:"How often Redis is compared with Postgres; 0: only on demand."`
	ReconcileCooldown time.Duration `default:"10s" help:"What changed more recently than this is not judged."`

	PaymentProvider string `enum:"sandbox,stripe" default:"sandbox" help:"Who charges: ${enum}."`
	SandboxURL      string `name:"sandbox-url" help:"Where the payment sandbox is." placeholder:"http://…"`
	SandboxKey      string `name:"sandbox-key" help:"Key of the payment sandbox." placeholder:"KEY"`

	FormerProviders []string   `name:"former-provider" sep:";" help:"Where charges were made before: they are refunded, closed and looked up there, and nothing new is charged. Several in one value are separated by a semicolon." placeholder:"PROVIDER,url=…,key-file=…,webhook-secret-file=…"`
	Former          []Provider `kong:"-"` // read from FormerProviders

	OrphanInterval time.Duration `default:"1m" help:"How often the provider's own list is compared with our books; 0: never."`
	Orphans        string        `enum:"report,refund" default:"report" help:"What to do about charges under keys like ours for orders that are not known here: ${enum}."`

	// Secrets of Stripe's are in no flag, which every user of the machine could read: they come from HOLDFAST_STRIPE_KEY and
	// HOLDFAST_STRIPE_WEBHOOK_SECRET, or from files.
	StripeKeyFile           string `name:"stripe-key-file" help:"File with Stripe's secret or restricted key; without one it is HOLDFAST_STRIPE_KEY in the environment." placeholder:"FILE"`
	StripeWebhookSecretFile string `name:"stripe-webhook-secret-file" help:"File with the secret that Stripe signs its webhooks with; without one it is HOLDFAST_STRIPE_WEBHOOK_SECRET; neither: none is taken." placeholder:"FILE"`
	StripeURL               string `name:"stripe-url" help:"Where Stripe is, for tests; empty: Stripe itself." placeholder:"http://…"`
	StripeKey               string `kong:"-"`
	StripeWebhookSecret     string `kong:"-"`

	SandboxWebhookSecret string `name:"sandbox-webhook-secret" help:"What the sandbox signs its webhooks with (whsec_ and base64); empty: none is taken." placeholder:"SECRET"`
}

// namespaces are names that exchanges, queues, Redis keys and replication slots can all begin with.
var namespaces = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,39}$`)

// Validate says what is wrong with servers.
func (s Servers) Validate() error {
	if !namespaces.MatchString(s.Namespace) {
		return fmt.Errorf("--namespace %q: 1 to 40 of a-z, 0-9, _ and -, a letter first", s.Namespace)
	}
	return nil
}

// Complete says which servers are not named.
func (s Servers) Complete() error {
	var errs []error
	for name, url := range map[string]string{"postgres-url": s.PostgresURL, "redis-url": s.RedisURL, "rabbitmq-url": s.RabbitMQURL} {
		if url == "" {
			errs = append(errs, fmt.Errorf("--%s is missing", name))
		}
	}
	return errors.Join(errs...)
}

// Validate says everything that is wrong with a configuration, apart from what is missing.
func (c *Config) Validate() error {
	if c.HoldMaxAge == 0 {
		c.HoldMaxAge = 4 * c.HoldTTL
	}
	_, err := c.Proxies()
	errs := []error{c.Servers.Validate(), c.ReadSecrets(), err}
	if c.JWTSecret != "" && len(c.JWTSecret) < 32 {
		errs = append(errs, errors.New("--jwt-secret: 32 bytes at least"))
	}
	if c.JWTSecret != "" && c.JWKS != "" {
		errs = append(errs, errors.New("--jwt-secret and --jwks: one of them only"))
	}
	for name, d := range map[string]time.Duration{
		"order-timeout": c.OrderTimeout, "outbox-poll-interval": c.OutboxPollInterval, "outbox-retention": c.OutboxRetention,
		"inbox-retention": c.InboxRetention, "hold-ttl": c.HoldTTL, "sweep-interval": c.SweepInterval, "refill-after": c.RefillAfter, "dead-letter-retention": c.DeadLetterRetention,
		"unknown-fact-patience": c.UnknownFactPatience,
	} {
		if d <= 0 {
			errs = append(errs, fmt.Errorf("--%s: must be more than 0", name))
		}
	}
	if key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(c.SandboxWebhookSecret, "whsec_")); c.SandboxWebhookSecret != "" && (err != nil || len(key) < 24) {
		errs = append(errs, errors.New("--sandbox-webhook-secret: whsec_ and at least 24 bytes in base64"))
	}
	if c.UnknownFactPatience >= c.InboxRetention {
		errs = append(errs, errors.New("--unknown-fact-patience: must be shorter than --inbox-retention, or a fact could not be done any more"))
	}
	if c.InboxRetention < c.OutboxRetention {
		errs = append(errs, errors.New("--inbox-retention: must not be shorter than --outbox-retention, or a fact could be done twice"))
	}
	if c.HoldMaxAge < c.HoldTTL {
		errs = append(errs, errors.New("--hold-max-age: must not be shorter than --hold-ttl"))
	}
	if c.ArchiveAfter < 0 {
		errs = append(errs, errors.New("--archive-after: must not be negative"))
	}
	if c.OrphanInterval < 0 {
		errs = append(errs, errors.New("--orphan-interval: must not be negative"))
	}
	if c.ReconcileInterval < 0 || c.ReconcileCooldown < 0 {
		errs = append(errs, errors.New("--reconcile-interval and --reconcile-cooldown: must not be negative"))
	}
	if c.MaxCartUnits < 0 || c.MaxCustomerUnits < 0 || c.HoldCooldown < 0 {
		errs = append(errs, errors.New("--max-cart-units, --max-customer-units and --hold-cooldown: must not be negative"))
	}
	for name, share := range map[string]float64{"max-product-share": c.MaxProductShare, "max-held-share": c.MaxHeldShare} {
		if !(share > 0 && share <= 1) {
			errs = append(errs, fmt.Errorf("--%s: must be more than 0 and at most 1", name))
		}
	}
	if c.HoldCooldown > mostCooldown {
		errs = append(errs, fmt.Errorf("--hold-cooldown: at most %s", mostCooldown))
	}
	for name, n := range map[string]int64{
		"max-lines": int64(c.MaxLines), "max-quantity": c.MaxQuantity, "max-body": c.MaxBody, "consumer-batch": int64(c.ConsumerBatch),
	} {
		if n <= 0 {
			errs = append(errs, fmt.Errorf("--%s: must be more than 0", name))
		}
	}
	if c.InventoryLanes < 1 || c.InventoryLanes > mostLanes {
		errs = append(errs, fmt.Errorf("--inventory-lanes: 1 to %d", mostLanes))
	}
	if c.MaxLines > mostLines {
		errs = append(errs, fmt.Errorf("--max-lines: at most %d, which is what one script of Redis takes", mostLines))
	}
	return errors.Join(errs...)
}

// Proxies returns the networks of --trusted-proxies; an address is a network of one.
func (c *Config) Proxies() ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, text := range c.TrustedProxies {
		network, err := netip.ParsePrefix(text)
		if addr, single := netip.ParseAddr(text); single == nil {
			network, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			return nil, fmt.Errorf("--trusted-proxies: %q is neither an address nor a network like 10.0.0.0/8", text)
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}

// mostLanes is how many lanes there are keys for.
const mostLanes = 32

// mostCooldown is how long Redis remembers who held a product.
const mostCooldown = 6 * 24 * time.Hour

// mostLines is the largest cart whose copy Redis keeps.
const mostLines = 2000

// Complete says what a server cannot start without.
func (c *Config) Complete() error {
	errs := []error{c.Servers.Complete()}
	if c.JWTSecret == "" && c.JWKS == "" {
		errs = append(errs, errors.New("--jwt-secret or --jwks is missing: a server without a key would let nobody in"))
	}
	switch {
	case c.PaymentProvider == "stripe" && c.StripeKey == "":
		errs = append(errs, errors.New("HOLDFAST_STRIPE_KEY or --stripe-key-file is missing"))
	case c.PaymentProvider != "stripe" && (c.SandboxURL == "" || c.SandboxKey == ""):
		errs = append(errs, errors.New("--sandbox-url and --sandbox-key are missing"))
	}
	return errors.Join(errs...)
}
