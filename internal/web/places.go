package web

import (
	"sync"

	"github.com/labstack/echo/v4"
)

// Places bounds how many requests of a kind run at the same time, in all and for one customer, so that one customer cannot take what
// they need from everybody: connections, memory.
type Places struct {
	max, perCustomer int

	mu    sync.Mutex
	all   int
	taken map[string]int // by customer
}

// NewPlaces allows so many requests at a time, in all and for one customer.
func NewPlaces(limit, perCustomer int) *Places {
	return &Places{max: limit, perCustomer: perCustomer, taken: make(map[string]int)}
}

// Take takes a place for the request's customer and returns what gives it back; ok is false if there is none.
func (p *Places) Take(c echo.Context) (leave func(), ok bool) {
	who := Customer(c)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all >= p.max || p.taken[who] >= p.perCustomer {
		return nil, false
	}
	p.all++
	p.taken[who]++
	return sync.OnceFunc(func() { p.leave(who) }), true
}

func (p *Places) leave(who string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all--
	if p.taken[who]--; p.taken[who] == 0 {
		delete(p.taken, who)
	}
}
