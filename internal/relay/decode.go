package relay

import (
	"fmt"
	"strconv"

	"github.com/google/uuid"
	"github.com/jackc/pglogrepl"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

// columns says where in a row of the outbox the relay finds what it needs. It is learnt anew on every connection and with
// every relation message.
type columns struct{ id, strategy, name, body int }

// decoder turns pgoutput messages into rows and checkpoints.
type decoder struct {
	relations map[uint32]columns
	inTx      bool
	keys      map[[2]string]string // routing keys, made once
}

func newDecoder() *decoder {
	return &decoder{relations: map[uint32]columns{}, keys: map[[2]string]string{}}
}

func (d *decoder) learn(m *pglogrepl.RelationMessage) error {
	c := columns{-1, -1, -1, -1}
	for i, column := range m.Columns {
		switch column.Name {
		case "id":
			c.id = i
		case "strategy":
			c.strategy = i
		case "name":
			c.name = i
		case "body":
			c.body = i
		}
	}
	if min(c.id, c.strategy, c.name, c.body) < 0 {
		return fmt.Errorf("relation %s.%s has not the outbox's columns", m.Namespace, m.RelationName)
	}
	d.relations[m.RelationID] = c
	return nil
}

// insert reads a row. The tuple's bytes are its own, so they may be kept.
func (d *decoder) insert(m *pglogrepl.InsertMessage) (row, error) {
	c, ok := d.relations[m.RelationID]
	if !ok {
		return row{}, fmt.Errorf("row of unknown relation %d", m.RelationID)
	}
	cells := m.Tuple.Columns
	if max(c.id, c.strategy, c.name, c.body) >= len(cells) {
		return row{}, fmt.Errorf("row of %d columns", len(cells))
	}
	if cells[c.id].DataType != pglogrepl.TupleDataTypeBinary || cells[c.body].DataType != pglogrepl.TupleDataTypeBinary {
		return row{}, fmt.Errorf("row with id of kind %q and body of kind %q", cells[c.id].DataType, cells[c.body].DataType)
	}
	id, err := uuid.FromBytes(cells[c.id].Data)
	if err != nil {
		return row{}, fmt.Errorf("row's id: %w", err)
	}
	return row{id: id, key: d.key(cells[c.strategy].Data, cells[c.name].Data), body: cells[c.body].Data}, nil
}

// key makes a routing key. There are a few dozen, and each is made once.
func (d *decoder) key(strategy, name []byte) string {
	parts := [2]string{string(strategy), string(name)}
	key, ok := d.keys[parts]
	if !ok {
		if len(d.keys) > 10_000 {
			clear(d.keys)
		}
		key = event.RoutingKey(parts[0], event.Name(parts[1]))
		d.keys[parts] = key
	}
	return key
}

// markOf reads the content of a mark message: every transaction below it had ended when it was written.
func markOf(m *pglogrepl.LogicalDecodingMessage) (uint64, error) {
	mark, err := strconv.ParseUint(string(m.Content), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("mark message: %w", err)
	}
	return mark, nil
}
