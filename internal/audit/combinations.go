package audit

import "strings"

// legal is one row of the table of allowed states: any of these payment states beside any of these inventory states.
type legal struct {
	status    string
	reason    string // "" for none
	payment   string // separated by blanks
	inventory string
}

// The table is written down from the strategies' stories, not from the code that walks them. Facts of one order may reach
// the order's queue in any order, so a state may show what comes later before what comes first; what no path of the strategy
// can say (like money taken after stock.failed in optimistic) is in no row.

// optimistic: stock is asked for first, money only once stock.reserved was said.
var optimistic = []legal{
	{"CREATED", "", "NOT_STARTED", "NOT_STARTED"},
	{"CREATED", "", "NOT_STARTED", "RELEASED"}, // stock.released overtook stock.reserved and payment.failed
	{"PROCESSING", "", "UNKNOWN SUCCESS", "NOT_STARTED"},
	{"PROCESSING", "", "PENDING UNKNOWN", "RESERVED RELEASED"},
	{"COMPLETED", "", "SUCCESS", "RESERVED"},
	{"ENDING", "PAYMENT_FAILED", "DECLINED", "NOT_STARTED RESERVED"},
	{"ENDING", "TIMED_OUT", "NOT_STARTED PENDING UNKNOWN SUCCESS REFUNDING", "NOT_STARTED RESERVED RELEASED"},
	{"ENDING", "TIMED_OUT", "NOT_STARTED", "OUT_OF_STOCK"},
	{"ENDING", "TIMED_OUT", "DECLINED REFUNDED VOIDED", "NOT_STARTED RESERVED"},
	{"FAILED", "OUT_OF_STOCK", "NOT_STARTED", "OUT_OF_STOCK"},
	{"FAILED", "PAYMENT_FAILED", "DECLINED", "RELEASED"},
	{"FAILED", "TIMED_OUT", "DECLINED REFUNDED VOIDED", "RELEASED"},
	{"FAILED", "TIMED_OUT", "VOIDED", "OUT_OF_STOCK"},
}

// postPayment: money is asked for at once, stock only once payment.processed was said. An order of nothing is paid without
// the provider, and its money is then voided where another's is refunded.
var postPayment = []legal{
	{"CREATED", "", "NOT_STARTED PENDING", "NOT_STARTED"},
	{"CREATED PROCESSING", "", "REFUNDED VOIDED", "NOT_STARTED"}, // payment's giving back overtook stock.failed
	{"PROCESSING", "", "UNKNOWN SUCCESS", "NOT_STARTED"},
	{"PROCESSING", "", "PENDING UNKNOWN", "RESERVED"},
	{"COMPLETED", "", "SUCCESS", "RESERVED"},
	{"ENDING", "OUT_OF_STOCK", "NOT_STARTED PENDING UNKNOWN SUCCESS REFUNDING", "OUT_OF_STOCK"},
	{"ENDING", "TIMED_OUT", "NOT_STARTED PENDING UNKNOWN SUCCESS REFUNDING", "NOT_STARTED RESERVED RELEASED OUT_OF_STOCK"},
	{"ENDING", "TIMED_OUT", "DECLINED", "NOT_STARTED"},
	{"ENDING", "TIMED_OUT", "REFUNDED VOIDED", "NOT_STARTED RESERVED"},
	{"FAILED", "OUT_OF_STOCK", "REFUNDED VOIDED", "OUT_OF_STOCK"},
	{"FAILED", "PAYMENT_FAILED", "DECLINED", "NOT_STARTED"},
	{"FAILED", "TIMED_OUT", "DECLINED", "RELEASED"},
	{"FAILED", "TIMED_OUT", "REFUNDED VOIDED", "RELEASED OUT_OF_STOCK"},
}

// parallel: stock and money are asked for at once, and each side's end may be heard, and undone, before the other's.
var parallel = []legal{
	{"CREATED", "", "PENDING", "NOT_STARTED RELEASED"},           // stock.released overtook payment.failed
	{"CREATED PROCESSING", "", "REFUNDED VOIDED", "NOT_STARTED"}, // payment's giving back overtook stock.failed
	{"PROCESSING", "", "UNKNOWN SUCCESS", "NOT_STARTED"},
	{"PROCESSING", "", "PENDING UNKNOWN", "RESERVED RELEASED"},
	{"COMPLETED", "", "SUCCESS", "RESERVED"},
	{"ENDING", "OUT_OF_STOCK", "PENDING UNKNOWN SUCCESS REFUNDING", "OUT_OF_STOCK"},
	{"ENDING", "PAYMENT_FAILED", "DECLINED", "NOT_STARTED RESERVED"},
	{"ENDING", "TIMED_OUT", "PENDING UNKNOWN SUCCESS REFUNDING", "NOT_STARTED RESERVED RELEASED OUT_OF_STOCK"},
	{"ENDING", "TIMED_OUT", "DECLINED REFUNDED VOIDED", "NOT_STARTED RESERVED"},
	{"FAILED", "OUT_OF_STOCK", "DECLINED REFUNDED VOIDED", "OUT_OF_STOCK"},
	{"FAILED", "PAYMENT_FAILED", "DECLINED", "RELEASED OUT_OF_STOCK"},
	{"FAILED", "TIMED_OUT", "DECLINED REFUNDED VOIDED", "RELEASED OUT_OF_STOCK"},
}

// orchestrated: order asks for one thing at a time, so nothing is heard before what it follows from.
var orchestrated = []legal{
	{"CREATED PROCESSING", "", "NOT_STARTED", "NOT_STARTED"},
	{"PROCESSING", "", "PENDING UNKNOWN", "RESERVED"},
	{"COMPLETED", "", "SUCCESS", "RESERVED"},
	{"ENDING", "PAYMENT_FAILED", "DECLINED", "RESERVED"},
	{"ENDING", "TIMED_OUT", "NOT_STARTED", "NOT_STARTED OUT_OF_STOCK"},
	{"ENDING", "TIMED_OUT", "VOIDED", "NOT_STARTED"},
	{"ENDING", "TIMED_OUT", "NOT_STARTED PENDING UNKNOWN REFUNDING DECLINED REFUNDED VOIDED", "RESERVED"},
	{"FAILED", "OUT_OF_STOCK", "NOT_STARTED", "OUT_OF_STOCK"},
	{"FAILED", "PAYMENT_FAILED", "DECLINED", "RELEASED"},
	{"FAILED", "TIMED_OUT", "DECLINED REFUNDED VOIDED", "RELEASED"},
	{"FAILED", "TIMED_OUT", "VOIDED", "OUT_OF_STOCK"},
}

// cancelled is the row of the cancelled orders that a row of those whose time is over stands for: they go the same way, and give
// no reason. Of a complete order, which can only be cancelled, stock and money are given back in one of the ways that these rows
// have already.
func (l legal) cancelled() (legal, bool) {
	if l.reason != "TIMED_OUT" {
		return l, false
	}
	l.status, l.reason = strings.ReplaceAll(l.status, "FAILED", "CANCELLED"), ""
	return l, true
}

// combinations spells every allowed state out as strategy/status/reason/payment/inventory, as allowedState in orders.go does.
func combinations() []string {
	var all []string
	for strategy, rows := range map[string][]legal{"optimistic": optimistic, "post-payment": postPayment, "parallel": parallel, "orchestrated": orchestrated, "sequenced": optimistic} {
		for _, r := range rows {
			all = append(all, r.spell(strategy)...)
			if c, too := r.cancelled(); too {
				all = append(all, c.spell(strategy)...)
			}
		}
	}
	return all
}

func (l legal) spell(strategy string) []string {
	var all []string
	for status := range strings.FieldsSeq(l.status) {
		for payment := range strings.FieldsSeq(l.payment) {
			for inventory := range strings.FieldsSeq(l.inventory) {
				all = append(all, strings.Join([]string{strategy, status, l.reason, payment, inventory}, "/"))
			}
		}
	}
	return all
}
