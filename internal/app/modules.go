package app

import (
	"time"

	"github.com/holdfast-checkout/holdfast/internal/cart"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
	"github.com/holdfast-checkout/holdfast/internal/order"
	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/saga"
)

// idempotencyKeyLife is how long an Idempotency-Key is remembered, as the API promises.
const idempotencyKeyLife = 24 * time.Hour

// modules are the four, and what belongs to them.
type modules struct {
	cart      *cart.Service
	inventory *inventory.Service
	shelf     *inventory.Shelf
	order     *order.Service
	payment   *payment.Service
	charger   *payment.Charger
	provider  payment.Gateway
	former    []payment.Gateway
	notices   *payment.Notices
	hunters   *payment.Hunters
	course    *saga.Course
}

// newModules makes the modules and ties their ports. They refer to each other through m, which is complete when they run.
func (s *server) newModules(book *saga.Book) *modules {
	m := &modules{}
	m.shelf = inventory.NewShelf(s.db, s.scripts, s.keys, liveHolds{m}, linesForInventory{m}, s.log)
	m.shelf.Limits = inventory.Limits{
		CustomerUnits: s.cfg.MaxCustomerUnits, CustomerShare: s.cfg.MaxProductShare, HeldShare: s.cfg.MaxHeldShare,
		MaxAge: s.cfg.HoldMaxAge, Cooldown: s.cfg.HoldCooldown, Purchases: purchasesForShelf{m},
	}
	m.shelf.Meter(s.registry)
	m.inventory = inventory.New(s.db, linesForInventory{m}, m.shelf, s.log)
	m.inventory.HoldsOf, m.inventory.Lanes = m.holdsOf, s.cfg.InventoryLanes
	m.cart = cart.New(s.db, s.scripts, s.keys, shelfForCarts{m.shelf}, catalogueForCarts{m}, cart.Rules{
		TTL: s.cfg.HoldTTL, MaxAge: s.cfg.HoldMaxAge, MaxLines: s.cfg.MaxLines, MaxQuantity: s.cfg.MaxQuantity,
		MaxUnits: s.cfg.MaxCartUnits,
	}, s.log)
	m.order = order.New(s.db, order.Ports{
		Catalogue: catalogueForOrders{m}, Carts: cartsForOrders{m}, Holds: holdsForOrders{m.shelf},
		Locks: redisx.NewLocks(s.redis, s.scripts, s.keys), Strategies: book, Course: courseOfOrders{m},
	}, order.Limits{
		MaxLines: s.cfg.MaxLines, MaxQuantity: s.cfg.MaxQuantity, MaxUnits: s.cfg.MaxCartUnits, TimeOut: s.cfg.OrderTimeout,
		HoldOnOrder: s.cfg.HoldOnOrder, KeyLife: idempotencyKeyLife,
	}, s.log)

	s.newPayments(m)
	m.course = saga.NewCourse(s.db, book, m.actors(), m.charger.ChargeNow, s.log)
	return m
}

// actors are the modules as the tables name them.
func (m *modules) actors() saga.Actors {
	return saga.Actors{Order: m.order, Inventory: m.inventory, Payment: m.payment, Shelf: m.shelf}
}
