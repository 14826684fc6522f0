package event

// What inventory asks of its lanes and what they answer, where stock is split by product over lanes (sequenced). A lane's
// requests carry it as their part, so that they go to its queue.
const (
	LaneReserveRequested Name = "lane.reserve.requested" // LaneOrder; the lines of one order that are in one lane
	LaneReleaseRequested Name = "lane.release.requested" // LaneOrder; without lines: those that were taken in the lane
	LaneReserved         Name = "lane.reserved"          // LaneStock; all lines of the order in the lane are taken
	LaneFailed           Name = "lane.failed"            // LaneStock; nothing is taken in the lane, Lines are those that could not be had
	LaneReleased         Name = "lane.released"          // LaneStock; what was taken in the lane is given back
)

// LaneOrder is what a lane is asked for in an order's name.
type LaneOrder struct {
	Lane int `json:"lane"` // from 0 on
	Order
}

// LaneStock is what a lane answers.
type LaneStock struct {
	Lane int `json:"lane"`
	OrderStock
}
