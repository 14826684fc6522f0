package redisx

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"

	"github.com/google/uuid"
)

// DueShards is the number of keys over which the index of expiring holds is spread.
const DueShards = 64

// Keys names every key of one installation. What belongs to one product, or to one cart, is in one hash slot.
type Keys struct {
	Namespace string // prefix, so that several installations can share a server
}

// Product gives the six keys of a product, in the order in which its scripts want them: stock, reserved, holds, expiry, owners,
// loading.
func (k Keys) Product(p uuid.UUID) []string {
	id := "{" + p.String() + "}"
	return []string{
		k.Namespace + ":stock:" + id, k.Namespace + ":reserved:" + id, k.Namespace + ":holds:" + id, k.Namespace + ":expiry:" + id,
		k.Namespace + ":owners:" + id, k.Namespace + ":loading:" + id,
	}
}

// Owner is the name of 16 characters under which a customer stands in the holds of products: short, and nobody's to read.
func Owner(customer string) string {
	sum := sha256.Sum256([]byte(customer))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// Due is the key of the index (zset: product id by the expiry in ms of a hold) in which the sweeper finds the product.
func (k Keys) Due(p uuid.UUID) string { return k.DueShard(int(p[15]) % DueShards) }

// DueShard is the key of one shard of that index, 0 to DueShards-1.
func (k Keys) DueShard(shard int) string { return fmt.Sprintf("%s:due:{%d}", k.Namespace, shard) }

// Checkouts is the key of the index (zset: product id by the moment in ms) of products whose holds checkouts have marked lately.
// The reconciler looks at these: a checkout that dies leaves no row.
func (k Keys) Checkouts(p uuid.UUID) string { return k.CheckoutShard(int(p[15]) % DueShards) }

// CheckoutShard is the key of one shard of that index, 0 to DueShards-1.
func (k Keys) CheckoutShard(shard int) string {
	return fmt.Sprintf("%s:checkouts:{%d}", k.Namespace, shard)
}

// Cart is the key of a cart's mirror.
func (k Keys) Cart(c uuid.UUID) string { return k.Namespace + ":cart:{" + c.String() + "}" }

// Memory is the key of what one part of Redis was told of its memory, 0 to DueShards-1. A cluster has them on all of its nodes.
func (k Keys) Memory(part int) string { return fmt.Sprintf("%s:memory:{%d}", k.Namespace, part) }

// Lock is the key of the lock on a customer's idempotency key. The customer is escaped where it could be mistaken for a part
// of the name.
func (k Keys) Lock(customer, key string) string {
	return k.Namespace + ":lock:{" + url.QueryEscape(customer) + "}:" + key
}
