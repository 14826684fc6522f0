package audit

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/clock"
)

// stripeTells are the events of what befalls refunds and charges later.
var stripeTells = []string{
	"refund.failed", "refund.updated", "charge.refund.updated", "charge.dispute.created", "charge.dispute.updated", "charge.dispute.closed",
	"charge.dispute.funds_withdrawn", "charge.dispute.funds_reinstated",
}

// eventsBefore is from how long ago events are read: longer than it takes us to hear of one, and by clocks that differ.
const eventsBefore = 5 * time.Minute

// readEvents reads what befell refunds and charges of late. The lists show it without its time, by which it is told from what we
// should have heard of long ago; and they are read on, so that they do not show it of what was read before.
func (b *stripeBooks) readEvents(ctx context.Context, lay func([]entry) error) error {
	began := clock.Now()
	since := began.Add(-eventsBefore)
	if !b.since.IsZero() && b.since.Add(-eventsBefore).Before(since) {
		since = b.since.Add(-eventsBefore)
	}
	query := url.Values{"created[gte]": {strconv.FormatInt(since.Unix(), 10)}, "limit": {strconv.Itoa(stripePage)}}
	for i, kind := range stripeTells {
		query.Set("types["+strconv.Itoa(i)+"]", kind)
	}
	seen := map[string]bool{}
	var newest []stripeObject
	for {
		var page struct {
			Data []struct {
				ID      string `json:"id"`
				Created int64  `json:"created"`
				Data    struct {
					Object stripeObject `json:"object"`
				} `json:"data"`
			} `json:"data"`
			HasMore bool `json:"has_more"`
		}
		if err := b.ask(ctx, "/v1/events", query, &page); err != nil {
			return err
		}
		for _, e := range page.Data { // the newest first: of each object that one counts
			o := e.Data.Object
			if o.told = time.Unix(e.Created, 0); !seen[o.ID] {
				seen[o.ID], newest = true, append(newest, o)
			}
		}
		if !page.HasMore || len(page.Data) == 0 {
			break
		}
		query.Set("starting_after", page.Data[len(page.Data)-1].ID)
	}
	long := slices.DeleteFunc(b.held, func(o stripeObject) bool { return seen[o.ID] }) // an event is no older than the list
	b.held, b.since = nil, began
	return b.hand(append(long, newest...), lay)
}
