package audit_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/holdfast-checkout/holdfast/internal/audit"
	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/sandbox"
)

// broken is a copy of the healthy shop, to break one thing in.
type broken struct {
	*testing.T
	shop *shop
	db   *postgres.DB
	audit.Options
}

func (b *broken) exec(sql string, args ...any) {
	b.Helper()
	if _, err := b.db.Exec(b.Context(), sql, args...); err != nil {
		b.Fatalf("%s: %v", sql, err)
	}
}

// id gives one id by a query.
func (b *broken) id(sql string) (id uuid.UUID) {
	b.Helper()
	if err := b.db.QueryRow(b.Context(), sql).Scan(&id); err != nil {
		b.Fatalf("%s: %v", sql, err)
	}
	return id
}

// free takes the checks of a table away, so that what they forbid can be written.
func (b *broken) free(table string) {
	b.Helper()
	b.exec(fmt.Sprintf(`DO $$ DECLARE c text; BEGIN
		FOR c IN SELECT conname FROM pg_constraint WHERE conrelid = '%[1]s'::regclass AND contype IN ('c', 'f') LOOP
			EXECUTE format('ALTER TABLE %[1]s DROP CONSTRAINT %%I', c);
		END LOOP; END $$`, table))
}

// redis copies the shop's Redis and runs a command there.
func (b *broken) redis(words ...any) {
	b.Helper()
	if err := b.Redis.Do(b.Context(), words...).Err(); err != nil {
		b.Fatal(err)
	}
}

func (b *broken) keys() redisx.Keys { return redisx.Keys{Namespace: b.Namespace} }

// book makes the provider charge or refund something that we never asked for.
func (b *broken) book(path, body string) {
	b.Helper()
	b.bookWith(b.shop.copyOfLedger(b.T, 0), path, body)
}

// chargeTwice has a provider that has forgotten its keys charge a complete order once more, under its own key.
func (b *broken) chargeTwice() {
	b.Helper()
	b.bookWith(b.shop.copyOfLedger(b.T, time.Nanosecond), "/charges/charge-"+b.id(completed).String(),
		fmt.Sprintf(`{"order_id":"%s","amount_minor":250,"currency":"GBP","payment_method":"pm_ok"}`, b.id(completed)))
}

// text gives one text by a query.
func (b *broken) text(sql string) (text string) {
	b.Helper()
	if err := b.db.QueryRow(b.Context(), sql).Scan(&text); err != nil {
		b.Fatalf("%s: %v", sql, err)
	}
	return text
}

func refundOf(order string) string {
	return `SELECT refund_id FROM payment.payments WHERE order_id = (` + order + `)`
}

func chargeOf(order string) string {
	return `SELECT charge_id FROM payment.payments WHERE order_id = (` + order + `)`
}

// befall has something befall money at the provider an hour ago, so long that we should have heard of it.
func (b *broken) befall(path string) {
	b.Helper()
	anHourAgo := func(o *sandbox.Options) { o.Now = func() time.Time { return time.Now().Add(-time.Hour) } }
	b.Ledgers = []audit.Ledger{b.shop.copyOfLedger(b.T, 0, anHourAgo)}
	post(b.T, b.Ledgers[0].URL+path)
}

// post has something befall money at a provider.
func post(t *testing.T, url string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+apiKey)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if res.Body.Close(); res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", url, res.Status)
	}
}

// settle has an operator say what is true of an order's money.
func (b *broken) settle(order, outcome string) {
	b.Helper()
	b.exec(`INSERT INTO payment.acts (id, order_id, act, by, reason, state, outcome) VALUES ($2, $1, 'settle', 'olga', 'a reason', 'x', $3)`,
		b.id(order), uuid.Must(uuid.NewV7()), outcome)
}

// strange has the provider charge for nobody we know, and the hunter find it.
func (b *broken) strange() {
	b.Helper()
	b.book("/charges/stranger", fmt.Sprintf(`{"order_id":"%s","amount_minor":9,"currency":"GBP","payment_method":"pm_ok"}`, uuid.NewString()))
	b.hunt()
}

// hunt has the hunter look for orphans.
func (b *broken) hunt() {
	b.Helper()
	provider := payment.NewSandbox(payment.SandboxOptions{URL: b.Ledgers[0].URL, APIKey: apiKey})
	b.Cleanup(provider.Hangup)
	hunter := payment.NewHunter(b.db, provider, func() {}, payment.HunterOptions{
		Cooldown: -1, Log: b.shop.env.Log, Registry: prometheus.NewRegistry(),
	})
	if err := hunter.Hunt(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func (b *broken) bookWith(ledger audit.Ledger, path, body string) {
	b.Helper()
	b.Ledgers = []audit.Ledger{ledger}
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPut, ledger.URL+path, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+apiKey)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		b.Fatalf("%s: %s", path, res.Status)
	}
}

// sayAgain says another fact of an order for the cause of one that was said, and has everybody hear it who must.
func (b *broken) sayAgain(order, like, name string) {
	b.Helper()
	var id uuid.UUID
	err := b.db.QueryRow(b.Context(), `SELECT id FROM shared.outbox WHERE order_id = $1 AND name = $2`, b.id(order), like).Scan(&id)
	if err != nil {
		b.Fatal(err)
	}
	id[15]++ // of the same moment, so that nothing looks as if it had just changed
	b.exec(`INSERT INTO shared.outbox (id, at, xid, name, strategy, order_id, cause, body)
		SELECT $1, at, xid, $4, strategy, order_id, cause, body FROM shared.outbox WHERE order_id = $2 AND name = $3`, id, b.id(order), like, name)
	b.exec(`INSERT INTO shared.inbox (module, fact_id, name, order_id, at)
		SELECT m, $1, $3, $2, now() - interval '1 hour' FROM unnest(ARRAY['order', 'inventory', 'payment', 'view', 'shelf']) AS m`, id, b.id(order), name)
}

// deadLetter has the shelf not have handled a fact of an order, which is a dead letter for that.
func (b *broken) deadLetter(order string) (letter uuid.UUID) {
	b.Helper()
	id := b.id(order)
	var fact uuid.UUID
	err := b.db.QueryRow(b.Context(), `DELETE FROM shared.inbox WHERE module = 'shelf' AND fact_id = (
		SELECT fact_id FROM shared.inbox WHERE module = 'shelf' AND order_id = $1 ORDER BY fact_id LIMIT 1) RETURNING fact_id`, id).Scan(&fact)
	if err != nil {
		b.Fatal(err)
	}
	letter = uuid.Must(uuid.NewV7())
	b.exec(`INSERT INTO shared.dead_letters (id, module, fact_id, order_id, reason, body) VALUES ($1, 'shelf', $2, $3, 'exhausted', '')`, letter, fact, id)
	return letter
}

// idOfYesterday is a fact's id that does not make the shop look as if something had just changed.
func idOfYesterday() uuid.UUID {
	id := uuid.Must(uuid.NewV7())
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(time.Now().Add(-24*time.Hour).UnixMilli()))
	copy(id[:6], at[2:]) // the milliseconds of a UUIDv7
	return id
}

// queueWithMessage makes a queue in which a message waits.
func (b *broken) queueWithMessage() string {
	b.Helper()
	name := b.Namespace + "." + uuid.NewString()[:8]
	conn, err := amqp.Dial(b.Broker)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		b.Fatal(err)
	}
	if _, err := ch.QueueDeclare(name, true, false, false, false, nil); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if _, err := ch.QueueDelete(name, false, false, false); err != nil {
			b.Error(err)
		}
	})
	if err := ch.Confirm(false); err != nil {
		b.Fatal(err)
	}
	confirmed, err := ch.PublishWithDeferredConfirm("", name, true, false, amqp.Publishing{Body: []byte("{}")})
	if err != nil || !confirmed.Wait() {
		b.Fatalf("publish: %v", err)
	}
	return name
}

func TestEachInvariantIsNamedWhenItIsBroken(t *testing.T) {
	t.Parallel()
	s := sell(t)
	s.env.DB.Close() // a database that is in use cannot be copied
	t.Run("breaks", func(t *testing.T) {
		t.Run("holds no transaction id", func(t *testing.T) {
			t.Parallel()
			holdsNoTransactionID(t, s)
		})
		t.Run("none", func(t *testing.T) {
			t.Parallel()
			report := run(t, s.options(t, s.copyOf(t)))
			if report.ExitCode() != audit.ExitOK {
				t.Errorf("not whole: %s", printed(t, report))
			}
			for _, v := range report.Verdicts {
				if v.Checked == 0 {
					t.Errorf("%s looked at nothing", v.ID)
				}
			}
		})
		for _, one := range breaks {
			t.Run(one.name, func(t *testing.T) {
				t.Parallel()
				b := &broken{T: t, shop: s, db: s.copyOf(t)}
				b.Options = s.options(t, b.db)
				if strings.HasPrefix(one.name, "R1") {
					b.Namespace = s.copyOfRedis(t)
				}
				one.do(b)
				report := run(t, b.Options)
				want := strings.Fields(one.broken)
				if !slices.Equal(report.Broken(), want) || report.ExitCode() != audit.ExitBroken {
					t.Errorf("broken %v (exit %d), want %v:\n%s", report.Broken(), report.ExitCode(), want, printed(t, report))
				}
			})
		}
		t.Run("an operator asks", func(t *testing.T) {
			t.Parallel()
			ask := site(t, s.env.Log, s.options(t, s.copyOf(t)))
			if status, report := ask("?wait=20"); status != http.StatusOK || report.ExitCode() != audit.ExitOK {
				t.Errorf("%d: %s", status, printed(t, report))
			}
			for _, query := range []string{"?wait=121", "?wait=-1", "?wait=soon", "?weight=1"} {
				if status, _ := ask(query); status != http.StatusBadRequest {
					t.Errorf("%s: %d", query, status)
				}
			}
		})
		for _, one := range waits {
			t.Run(one.name, func(t *testing.T) {
				t.Parallel()
				b := &broken{T: t, shop: s, db: s.copyOf(t)}
				b.Options = s.options(t, b.db)
				one.do(b)
				one.want(b, run(t, b.Options))
			})
		}
	})
}

func printed(t *testing.T, report audit.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.Print(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
