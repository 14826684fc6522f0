package reconcile_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/reconcile"
)

func TestStockIsSetRight(t *testing.T) {
	t.Parallel()
	const stock, reserved, holds, expiry = 0, 1, 2, 3
	cases(newPlace(t), map[string]func(p *place, keys []string){
		"another number":         func(p *place, k []string) { p.redis("HSET", k[stock], "n", "7") },
		"an older version":       func(p *place, k []string) { p.redis("HSET", k[stock], "n", "12", "v", "0") },
		"a newer version":        func(p *place, k []string) { p.redis("HSET", k[stock], "v", "99") },
		"a number that is none":  func(p *place, k []string) { p.redis("HSET", k[stock], "n", "many") },
		"a negative number":      func(p *place, k []string) { p.redis("HSET", k[stock], "n", "-1") },
		"a version that is none": func(p *place, k []string) { p.redis("HSET", k[stock], "v", "") },
		"stock is no hash":       func(p *place, k []string) { p.redis("DEL", k[stock]); p.redis("SET", k[stock], "10") },
		"reserved is a list":     func(p *place, k []string) { p.redis("DEL", k[reserved]); p.redis("LPUSH", k[reserved], "0") },
		"reserved is a word":     func(p *place, k []string) { p.redis("SET", k[reserved], "some") },
		"reserved is gone":       func(p *place, k []string) { p.redis("DEL", k[reserved]) },
		"holds are a string":     func(p *place, k []string) { p.redis("DEL", k[holds]); p.redis("SET", k[holds], "x") },
		"holds are gone":         func(p *place, k []string) { p.redis("DEL", k[holds]) },
		"expiry is gone":         func(p *place, k []string) { p.redis("DEL", k[expiry]) },
		"expiry is a string":     func(p *place, k []string) { p.redis("DEL", k[expiry]); p.redis("SET", k[expiry], "x") },
	}, func(p *place, _ string, spoil func(p *place, keys []string)) {
		product := p.product(10)
		p.cart(map[uuid.UUID]int64{product: 3})
		p.agree()
		spoil(p, p.keys.Product(product))
		p.want(p.reconcile(reconcile.Full, true), "stock would_repair")
		p.want(p.full(), "stock repaired")
		p.agree()
		if free := p.available(product); free != 7 {
			p.Errorf("%d units are free, want 7", free)
		}
	})
}

func TestStockThatIsNotLoadedIsNoDifference(t *testing.T) {
	onEach(t, func(t *testing.T, p *place) {
		product := p.product(10)
		p.cart(map[uuid.UUID]int64{product: 3})
		for _, key := range p.keys.Product(product) {
			p.redis("DEL", key)
		}
		p.agree()
		if free := p.available(product); free != 7 {
			t.Errorf("%d units are free once it was asked for, want 7", free)
		}
	})
}

func TestStockThatWasJustChangedIsOnItsWay(t *testing.T) {
	onEach(t, func(t *testing.T, p *place) {
		product := p.product(10)
		p.exec(`UPDATE inventory.stock SET available = 9, version = version + 1, changed_at = now() + interval '1 hour' WHERE product_id = $1`, product)
		p.agree()
		p.exec(`UPDATE inventory.stock SET changed_at = now() - interval '1 hour' WHERE product_id = $1`, product)
		p.want(p.full(), "stock repaired")
		if free := p.available(product); free != 9 {
			t.Errorf("%d units are free, want 9", free)
		}
	})
}

func TestKeysOfNoProductAreDropped(t *testing.T) {
	onEach(t, func(t *testing.T, p *place) {
		stranger := uuid.Must(uuid.NewV7())
		keys := p.keys.Product(stranger)
		p.redis("HSET", keys[0], "n", "5", "v", "1", "seq", "1")
		p.redis("SET", keys[1], "0")
		p.want(p.full(), "stock repaired")
		if n := p.env.Redis.Exists(t.Context(), keys...).Val(); n != 0 {
			t.Errorf("%d of its keys are still there", n)
		}
	})
}
