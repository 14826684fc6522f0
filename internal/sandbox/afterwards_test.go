package sandbox_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/sandbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// A refund that fails is one that was never made: another request makes another, the same one is answered as before, and no more is given
// back than was charged. All of it is still so after a restart.
func TestARefundFailsAfterwards(t *testing.T) {
	t.Parallel()
	ledgerFile := filepath.Join(t.TempDir(), "ledger.jsonl")
	url, stop := open(t, ledgerFile)
	paid := as[sandbox.Entry](t, must(t, http.MethodPut, url+"/charges/k", charge("o1", 500, "pm_ok")))
	made := as[sandbox.Entry](t, must(t, http.MethodPut, url+"/refunds/r", refund(paid.ID, 500)))
	failed := as[sandbox.Entry](t, must(t, http.MethodPost, url+"/refunds/"+made.ID+"/fail?reason=no_account", nil))
	if failed.ID != made.ID || failed.Status != sandbox.Failed || failed.Reason != "no_account" || failed.Seq == made.Seq || failed.ChargeID != paid.ID {
		t.Errorf("failed: %+v", failed)
	}
	want(t, must(t, http.MethodPost, url+"/refunds/"+made.ID+"/fail", nil), 422, "not_possible")
	want(t, must(t, http.MethodPost, url+"/refunds/re_none/fail", nil), 422, "not_possible")
	stop()
	url, _ = open(t, ledgerFile)
	if again := as[sandbox.Entry](t, must(t, http.MethodPut, url+"/refunds/r", refund(paid.ID, 500))); again.ID != made.ID || again.Status != sandbox.Succeeded {
		t.Errorf("the same request: %+v", again)
	}
	if record := as[sandbox.Record](t, must(t, http.MethodGet, url+"/charges/k", nil)); len(record.Refunds) != 1 || record.Refunds[0].Status != sandbox.Failed {
		t.Errorf("looked up: %+v", record.Refunds)
	}
	anew := as[sandbox.Entry](t, must(t, http.MethodPut, url+"/refunds/r2", refund(paid.ID, 500)))
	if anew.Status != sandbox.Succeeded || anew.ID == made.ID {
		t.Errorf("another request: %+v", anew)
	}
	want(t, must(t, http.MethodPut, url+"/refunds/r3", refund(paid.ID, 1)), 422, "refund_exceeds_charge")
}

// What is withdrawn for a dispute cannot be refunded, and what is reinstated can.
func TestDisputes(t *testing.T) {
	t.Parallel()
	url := start(t)
	paid := as[sandbox.Entry](t, must(t, http.MethodPut, url+"/charges/k", charge("o1", 500, "pm_ok")))
	raised := as[sandbox.Entry](t, must(t, http.MethodPost, url+"/charges/"+paid.ID+"/dispute", nil))
	if raised.Kind != sandbox.KindDispute || raised.Status != sandbox.NeedsResponse || raised.Funds != sandbox.Withdrawn || raised.AmountMinor != 500 {
		t.Errorf("raised: %+v", raised)
	}
	want(t, must(t, http.MethodPut, url+"/refunds/r", refund(paid.ID, 500)), 422, "charge_disputed")
	want(t, must(t, http.MethodPost, url+"/disputes/"+raised.ID+"/settled", nil), 422, "not_possible")
	must(t, http.MethodPost, url+"/disputes/"+raised.ID+"/under-review", nil)
	if won := as[sandbox.Entry](t, must(t, http.MethodPost, url+"/disputes/"+raised.ID+"/won", nil)); won.ID != raised.ID || won.Funds != sandbox.Reinstated {
		t.Errorf("won: %+v", won)
	}
	want(t, must(t, http.MethodPost, url+"/disputes/"+raised.ID+"/lost", nil), 422, "not_possible")
	want(t, must(t, http.MethodPost, url+"/charges/ch_none/dispute", nil), 422, "charge_not_found")
	if r := must(t, http.MethodPut, url+"/refunds/r", refund(paid.ID, 500)); r.status != http.StatusOK {
		t.Errorf("refunded: %d %s", r.status, r.body)
	}
	if n := len(ledger(t, url)); n != 5 {
		t.Errorf("%d entries, want a charge, three turns and a refund", n)
	}
}

// By shares, refunds fail once and charges are disputed by themselves.
func TestSharesFailAfterwards(t *testing.T) {
	t.Parallel()
	for want, faults := range map[string]sandbox.Faults{"refund.failed": {FailRefund: 1}, "dispute.over": {Dispute: 1}} {
		url := start(t, func(o *sandbox.Options) { o.Faults, o.AfterwardsBy = faults, 10*time.Millisecond })
		paid := as[sandbox.Entry](t, must(t, http.MethodPut, url+"/charges/k", charge("o1", 500, "pm_ok")))
		if faults.FailRefund > 0 {
			must(t, http.MethodPut, url+"/refunds/r", refund(paid.ID, 500))
		}
		testkit.Eventually(t, 20*time.Second, func() error {
			n := map[string]int{}
			for _, e := range ledger(t, url) {
				n[e.Kind+"."+e.Status]++
			}
			if n["dispute.over"] = n["dispute.won"] + n["dispute.lost"]; n[want] != 1 {
				return fmt.Errorf("%v", n)
			}
			return nil
		})
	}
}
