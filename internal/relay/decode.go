package relay

import (
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pglogrepl"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

// columns says where in a row of the outbox the relay finds what it needs. It is learnt anew on every connection and with
// every relation message.
type columns struct {
	id, strategy, name, part, body int
	foreign                        bool // another table, whose rows are none of ours
}

// decoder turns pgoutput messages into rows and checkpoints.
type decoder struct {
	*Relay
	relations map[uint32]columns
	inTx      bool
	xid       uint32               // of the transaction that is being read
	keys      map[[3]string]string // routing keys, made once
}

func newDecoder(r *Relay) *decoder {
	return &decoder{Relay: r, relations: map[uint32]columns{}, keys: map[[3]string]string{}}
}

func (d *decoder) learn(m *pglogrepl.RelationMessage) error {
	if m.Namespace != "shared" || !strings.HasPrefix(m.RelationName, "outbox") {
		d.met(foreignRows, "rows of another table are in the publication, and left out", "table", m.Namespace+"."+m.RelationName)
		d.relations[m.RelationID] = columns{foreign: true}
		return nil
	}
	c := columns{id: -1, strategy: -1, name: -1, part: -1, body: -1}
	for i, column := range m.Columns {
		switch column.Name {
		case "id":
			c.id = i
		case "strategy":
			c.strategy = i
		case "name":
			c.name = i
		case "part":
			c.part = i
		case "body":
			c.body = i
		}
	}
	if min(c.id, c.strategy, c.name, c.part, c.body) < 0 {
		return fmt.Errorf("relation %s.%s has not the outbox's columns", m.Namespace, m.RelationName)
	}
	d.relations[m.RelationID] = c
	return nil
}

// insert reads a row, unless it is another table's. The tuple's bytes are its own, so they may be kept.
func (d *decoder) insert(m *pglogrepl.InsertMessage) (r row, ok bool, err error) {
	c, ok := d.relations[m.RelationID]
	if !ok {
		return r, false, fmt.Errorf("row of unknown relation %d", m.RelationID)
	}
	if c.foreign {
		return r, false, nil
	}
	cells := m.Tuple.Columns
	if max(c.id, c.strategy, c.name, c.part, c.body) >= len(cells) {
		return r, false, fmt.Errorf("row of %d columns", len(cells))
	}
	if cells[c.id].DataType != pglogrepl.TupleDataTypeBinary || cells[c.body].DataType != pglogrepl.TupleDataTypeBinary {
		return r, false, fmt.Errorf("row with id of kind %q and body of kind %q", cells[c.id].DataType, cells[c.body].DataType)
	}
	id, err := uuid.FromBytes(cells[c.id].Data)
	if err != nil {
		return r, false, fmt.Errorf("row's id: %w", err)
	}
	return row{id: id, key: d.key(cells[c.strategy].Data, cells[c.name].Data, cells[c.part].Data), body: cells[c.body].Data}, true, nil
}

// key makes a routing key. There are some hundred, and each is made once.
func (d *decoder) key(strategy, name, part []byte) string {
	parts := [3]string{string(strategy), string(name), string(part)}
	key, ok := d.keys[parts]
	if !ok {
		if len(d.keys) > 10_000 {
			clear(d.keys)
		}
		key = event.PartKey(parts[0], event.Name(parts[1]), parts[2])
		d.keys[parts] = key
	}
	return key
}

// markOf reads the content of a mark message: what had ended when it was written. All of that lies before it in the log.
func markOf(m *pglogrepl.LogicalDecodingMessage) (extent, error) {
	e, err := parseExtent(string(m.Content))
	if err != nil {
		return extent{}, fmt.Errorf("mark message: %w", err)
	}
	return e, nil
}
