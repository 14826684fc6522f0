package app

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/audit"
	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/saga"
)

// auditTimeout bounds one statement of the auditor, which reads whole tables.
const auditTimeout = 5 * time.Minute

// Rest is how the auditor waits for nothing to be under way.
type Rest struct {
	Wait     time.Duration // at most
	Cooldown time.Duration // for so long nothing must have changed; 0: 10 s
	Archive  bool          // the documents of archived orders are read, too
}

// Audit proves the invariants on the servers given, after waiting for rest, and reads the books of the providers.
func Audit(ctx context.Context, at config.Servers, providers []config.Provider, rest Rest) (audit.Report, error) {
	book, err := saga.NewBook(saga.All(), saga.Optimistic.Name, nil)
	if err != nil {
		return audit.Report{}, err
	}
	// Its table lies on one connection and its snapshot is open for long: nothing for a pooler.
	db, schema, err := openBooks(ctx, at.DirectURL(), postgres.Options{MaxConns: 4, StatementTimeout: auditTimeout, ApplicationName: "holdfast audit"})
	if err != nil {
		return audit.Report{}, err
	}
	defer db.Close()
	client, err := redisx.Open(at.RedisURL, redisx.Options{ReadTimeout: 10 * time.Second})
	if err != nil {
		return audit.Report{}, err
	}
	defer client.Close()
	report, err := audit.Run(ctx, auditOptions(db, client, at, book, providers, rest))
	if ahead := schema.Ahead(); ahead != nil {
		report.Notes = append(report.Notes, ahead.Error())
	}
	return report, err
}

// auditOptions tell the auditor where everything is and who must hear what.
func auditOptions(db *postgres.DB, client redis.UniversalClient, at config.Servers, book *saga.Book, providers []config.Provider, rest Rest) audit.Options {
	t := broker.Topology{Namespace: at.Namespace}
	queues := []string{t.Unrouted(), t.Dead()}
	for _, module := range saga.Modules() {
		queues = append(queues, t.Queue(string(module)))
	}
	var ledgers []audit.Ledger
	for _, p := range providers {
		if p.Key != "" && (p.URL != "" || p.Name != "sandbox") {
			ledgers = append(ledgers, audit.Ledger{Provider: p.Name, URL: p.URL, APIKey: p.Key, Namespace: at.Namespace})
		}
	}
	return audit.Options{
		Postgres: db, Redis: client, Namespace: at.Namespace, Broker: at.RabbitMQURL, Queues: queues,
		Series: func(lane int) string { return t.Queue(saga.LaneQueue(lane)) }, Hears: book.Hears(), Follows: book.Follows(), Ends: book.Ends, States: book.States(),
		Ledgers: ledgers, Wait: rest.Wait, Cooldown: rest.Cooldown, Archive: rest.Archive,
	}
}
