package broker

import (
	"maps"
	"slices"
)

// Difference is a queue, or an exchange, that is there with other properties than this version declares.
type Difference struct {
	Queue   string `json:"queue"`
	Differs string `json:"differs"` // in RabbitMQ's words
}

// note remembers whether something is as this version declares it.
func (c Config) note(name, differs string) {
	m := c.metrics()
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.differences[name]
	if before == differs {
		return
	}
	if differs == "" {
		delete(m.differences, name)
		m.differs.DeleteLabelValues(name)
		c.Log.Info("a queue is as this version declares it again", "queue", name)
		return
	}
	m.differences[name] = differs
	m.differs.WithLabelValues(name).Set(1)
	c.Log.Warn("a queue is there with other properties than this version declares, and is used as it is", "queue", name, "differs", differs)
}

// Differences gives what was there with other properties when this instance last declared it, by name.
func (m *Metrics) Differences() []Difference {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Difference
	for _, name := range slices.Sorted(maps.Keys(m.differences)) {
		all = append(all, Difference{name, m.differences[name]})
	}
	return all
}

func (m *Metrics) difference(name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.differences[name]
}
