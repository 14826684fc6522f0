package relay

// trouble is what can happen to the way from the outbox to the broker. Each is healed without help and counted under its
// name in holdfast_relay_troubles_total.
type trouble string

const (
	slotMissing     trouble = "slot_missing"     // somebody dropped it, or a standby without it was promoted
	slotLost        trouble = "slot_lost"        // Postgres threw away log that it needed: max_slot_wal_keep_size
	slotUnreadable  trouble = "slot_unreadable"  // as after its publication was dropped and made again
	slotMovedBack   trouble = "slot_moved_back"  // Postgres died and forgot what was acknowledged since its last checkpoint
	publicationOff  trouble = "publication"      // missing, changed, or not exactly the outbox
	foreignRows     trouble = "foreign_rows"     // of another table in the publication
	timelineChanged trouble = "timeline_changed" // a standby was promoted, or a backup restored up to a moment
	systemChanged   trouble = "system_changed"   // the data was carried into another server
	readerSilent    trouble = "silent"           // Postgres says nothing any more: the network is cut
	readerDeposed   trouble = "deposed"          // another instance has taken over, as after a pause of this process
)

var troubles = []trouble{
	slotMissing, slotLost, slotUnreadable, slotMovedBack, publicationOff, foreignRows, timelineChanged, systemChanged, readerSilent, readerDeposed,
}

// met tells of a trouble, in the log and in the metrics.
func (r *Relay) met(t trouble, what string, args ...any) {
	r.m.troubles.WithLabelValues(string(t)).Inc()
	r.Log.Warn(what, append([]any{"trouble", string(t)}, args...)...)
}
