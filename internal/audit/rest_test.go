package audit_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/audit"
)

// waits are what is not broken and yet not well: a shop that is not at rest, or a provider that does not answer.
var waits = []struct {
	name string
	do   func(b *broken)
	want func(b *broken, report audit.Report)
}{
	{"an order is under way", underWay, func(b *broken, report audit.Report) {
		wantSkipped(b, report, "O3", "V1", "E2", "T1", "R1")
		if len(report.Waiting) == 0 || !strings.Contains(report.Waiting[0], "1 orders are under way") {
			b.Errorf("waiting for %v", report.Waiting)
		}
	}},
	{"an order waits for a provider that does not answer", func(b *broken) {
		order := b.id(declined)
		underWay(b)
		b.exec(`UPDATE orders.orders SET payment_status = 'UNKNOWN' WHERE id = $1`, order)
		b.exec(`UPDATE orders.view SET status = 'PROCESSING', payment_status = 'UNKNOWN', display_status = 'AWAITING_PAYMENT',
			failure_reason = NULL, ended_at = NULL WHERE id = $1`, order)
		b.Ledgers = []audit.Ledger{{URL: "http://127.0.0.1:1", APIKey: apiKey}}
	}, func(b *broken, report audit.Report) {
		wantSkipped(b, report, "M1", "M2", "M3")
		if v := verdict(b, report, "O3"); v.Verdict != audit.OK || len(v.Listed) != 1 {
			b.Errorf("O3: %+v", v)
		}
	}},
	{"something has just changed", func(b *broken) {
		b.exec(`UPDATE cart.carts SET changed_at = now() WHERE id = $1`, b.id(liveCart))
		b.Cooldown = time.Hour
	}, func(b *broken, report audit.Report) { wantSkipped(b, report, "O3", "V1", "E2", "T1", "R1") }},
	{"the broker does not answer", func(b *broken) { b.Broker = "amqp://127.0.0.1:1/" }, func(b *broken, report audit.Report) {
		wantSkipped(b, report, "O3", "V1", "E2", "T1", "R1")
	}},
	{"there is no ledger", func(b *broken) { b.Ledgers = nil }, func(b *broken, report audit.Report) {
		wantSkipped(b, report, "M1", "M2", "M3")
	}},
	{"a dead letter says why a fact was not heard", func(b *broken) {
		fact := b.id(`SELECT fact_id FROM shared.inbox WHERE module = 'shelf' LIMIT 1`)
		b.exec(`DELETE FROM shared.inbox WHERE module = 'shelf' AND fact_id = $1`, fact)
		b.exec(`INSERT INTO shared.dead_letters (id, module, fact_id, reason, body) VALUES (gen_random_uuid(), 'shelf', $1, 'poison', '')`, fact)
	}, func(b *broken, report audit.Report) {
		if v := verdict(b, report, "E2"); v.Verdict != audit.OK || len(v.Listed) != 1 {
			b.Errorf("E2: %+v", v)
		}
	}},
	{"a dead letter of a paid order that was given up", func(b *broken) {
		letter := b.deadLetter(completed)
		b.exec(`WITH gone AS (DELETE FROM shared.dead_letters WHERE id = $1 RETURNING *)
			INSERT INTO shared.dead_letter_log (id, letter_id, module, fact_id, order_id, name, action, by, reason, result)
			SELECT gen_random_uuid(), id, module, fact_id, order_id, name, 'delete', 'an operator', 'shown by hand', 'deleted' FROM gone`, letter)
	}, func(b *broken, report audit.Report) {
		if v := verdict(b, report, "E2"); v.Verdict != audit.OK || len(v.Listed) != 1 || !strings.Contains(string(v.Listed[0]), "shown by hand") {
			b.Errorf("E2: %+v", v)
		}
	}},
	{"a fact of an order that was not paid waits for another version", func(b *broken) {
		fact := b.id(`SELECT fact_id FROM shared.inbox WHERE module = 'shelf' LIMIT 1`)
		b.exec(`DELETE FROM shared.inbox WHERE module = 'shelf' AND fact_id = $1`, fact)
		b.exec(`INSERT INTO shared.waiting_facts (fact_id, module, key, version, body) VALUES ($1, 'shelf', 'next.x', 0, '')`, fact)
	}, func(b *broken, report audit.Report) {
		if v := verdict(b, report, "E2"); v.Verdict != audit.OK || len(v.Listed) != 1 || !strings.Contains(string(v.Listed[0]), "next.x") {
			b.Errorf("E2: %+v", v)
		}
	}},
	{"a refund failed at the provider, and the money is on its way again", func(b *broken) {
		refund := b.text(refundOf(refunded))
		b.befall("/refunds/" + refund + "/fail")
		b.hunt()
	}, func(b *broken, report audit.Report) {
		wantSkipped(b, report)
		if v := verdict(b, report, "M2"); len(v.Listed) != 1 || !strings.Contains(string(v.Listed[0]), "on its way again") {
			b.Errorf("M2: %+v", v)
		}
	}},
	{"a refund failed at the provider just now", func(b *broken) {
		b.Ledgers = []audit.Ledger{b.shop.copyOfLedger(b.T, 0)}
		post(b.T, b.Ledgers[0].URL+"/refunds/"+b.text(refundOf(refunded))+"/fail")
	}, func(b *broken, report audit.Report) {
		wantSkipped(b, report)
		if v := verdict(b, report, "M3"); len(v.Listed) != 1 || !strings.Contains(string(v.Listed[0]), "about to tell") {
			b.Errorf("M3: %+v", v)
		}
	}},
	{"a charge is disputed", func(b *broken) {
		b.befall("/charges/" + b.text(chargeOf(completed)) + "/dispute")
		b.hunt()
	}, func(b *broken, report audit.Report) {
		wantSkipped(b, report)
		if v := verdict(b, report, "M2"); len(v.Listed) != 1 || !strings.Contains(string(v.Listed[0]), "needs_response") {
			b.Errorf("M2: %+v", v)
		}
	}},
	{"a charge for nobody we know was settled by a person", func(b *broken) {
		b.strange()
		b.exec(`UPDATE payment.orphans SET settled_at = now(), due_at = NULL`)
		b.exec(`INSERT INTO payment.orphan_acts (id, provider_id, act, by, reason, result)
			SELECT gen_random_uuid(), provider_id, 'settle', 'olga', 'of the till in the shop', 'settled' FROM payment.orphans`)
	}, func(b *broken, report audit.Report) {
		wantSkipped(b, report)
		if v := verdict(b, report, "M2"); len(v.Listed) != 1 || !strings.Contains(string(v.Listed[0]), "of the till in the shop") {
			b.Errorf("M2: %s", v.Listed)
		}
	}},
	{"the account is not configured", func(b *broken) { b.elsewhere() }, func(b *broken, report audit.Report) {
		wantSkipped(b, report, "M1", "M2", "M3")
	}},
	{"the account is closed", func(b *broken) {
		b.elsewhere()
		b.exec(`INSERT INTO payment.closed_accounts (provider, account, by, reason)
			SELECT DISTINCT provider, account, 'olga', 'the contract has ended' FROM payment.payments WHERE provider <> ''`)
	}, func(b *broken, report audit.Report) {
		wantSkipped(b, report)
		charged := fmt.Sprintf(`"charged":%s`, b.text(`SELECT sum(amount_minor)::text FROM payment.transfers WHERE kind = 'charge'`))
		if v := verdict(b, report, "M3"); len(v.Listed) != 1 || !strings.Contains(string(v.Listed[0]), "the contract has ended") || !strings.Contains(string(v.Listed[0]), charged) {
			b.Errorf("M3: %s, not %s", v.Listed, charged)
		}
	}},
	{"a second charge was found and given back", func(b *broken) {
		b.chargeTwice()
		b.hunt()
	}, func(b *broken, report audit.Report) { wantSkipped(b, report) }},
	{"a product that Redis does not have", func(b *broken) {
		b.Namespace = b.shop.copyOfRedis(b.T)
		for _, key := range b.keys().Product(b.id(plenty)) {
			b.redis("DEL", key)
		}
	}, func(b *broken, report audit.Report) { wantSkipped(b, report) }},
}

// elsewhere gives the auditor the books of another account alone.
func (b *broken) elsewhere() {
	b.Helper()
	b.Ledgers = []audit.Ledger{{URL: openSandbox(b.T, b.shop.env, filepath.Join(b.TempDir(), "ledger.jsonl"), 0), APIKey: apiKey}}
}

// underWay makes an order that has ended be under way again, its units given back before their taking was heard of.
func underWay(b *broken) {
	b.exec(`UPDATE orders.orders SET status = 'PROCESSING', payment_status = 'PENDING', failure_reason = NULL, ended_at = NULL WHERE id = $1`, b.id(declined))
}

func verdict(b *broken, report audit.Report, id string) audit.Verdict {
	b.Helper()
	i := slices.IndexFunc(report.Verdicts, func(v audit.Verdict) bool { return v.ID == id })
	if i < 0 {
		b.Fatalf("no verdict on %s", id)
	}
	return report.Verdicts[i]
}

// wantSkipped wants these verdicts to be skipped, and all others to be ok.
func wantSkipped(b *broken, report audit.Report, ids ...string) {
	b.Helper()
	var skipped []string
	for _, v := range report.Verdicts {
		if v.Verdict == audit.Skipped {
			skipped = append(skipped, v.ID)
		}
	}
	exit := audit.ExitOK
	if len(ids) > 0 {
		exit = audit.ExitSkipped
	}
	if !slices.Equal(skipped, ids) || report.ExitCode() != exit {
		b.Errorf("skipped %v (exit %d), want %v:\n%s", skipped, report.ExitCode(), ids, printed(b.T, report))
	}
}

func TestPrintIsOneLinePerInvariantAndTheRowsThatBreakIt(t *testing.T) {
	t.Parallel()
	report := audit.Report{Verdicts: []audit.Verdict{
		{ID: "S1", Says: "nothing is below zero", Verdict: audit.OK, Checked: 3},
		{ID: "S2", Says: "stock is conserved", Verdict: audit.Broken, Checked: 3, Rows: []audit.Row{audit.Row(`{"product_id":"x"}`)}},
		{ID: "E2", Says: "nothing is stuck", Verdict: audit.Skipped, Reason: "no rest in time"},
	}, Waiting: []string{"1 orders are under way"}}
	want := `S1  ok       nothing is below zero (3 checked)
S2  BROKEN   stock is conserved (3 checked)
      {"product_id":"x"}
E2  skipped  nothing is stuck (0 checked): no rest in time
no rest: 1 orders are under way
`
	if got := printed(t, report); got != want {
		t.Errorf("printed:\n%s", got)
	}
}
