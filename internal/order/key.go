package order

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// maxKeyLength is how many printable characters an Idempotency-Key may have.
const maxKeyLength = 255

var (
	// errTwin says that another request under the key has made the order meanwhile.
	errTwin = errors.New("order: the key has an order already")
	// errCartBought says that the cart has become another order meanwhile.
	errCartBought = errors.New("order: the cart is bought already")
)

// idempotencyKey is what is remembered of the request that made an order.
type idempotencyKey struct {
	key         string
	fingerprint []byte // SHA-256 of method, path and canonical body
	life        time.Duration
}

// checkKey says whether an Idempotency-Key can be used as one.
func checkKey(key string) error {
	if key == "" {
		return fault.New(fault.IdempotencyKeyMissing, "Send an Idempotency-Key header: any text that is unique to this purchase.")
	}
	if len(key) > maxKeyLength {
		return fault.New(fault.InvalidRequest, "The Idempotency-Key is longer than %d characters.", maxKeyLength)
	}
	for _, r := range key {
		if r < ' ' || r > '~' {
			return fault.New(fault.InvalidRequest, "The Idempotency-Key has characters that are not printable ASCII.")
		}
	}
	return nil
}

// fingerprint tells one request from another under the same key. Two bodies that differ only in spelling (order of members,
// white space) are the same request, since the body was decoded before.
func fingerprint(method, path string, body any) ([]byte, error) {
	canonical, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("fingerprint: %w", err)
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s %s\n", method, path)
	h.Write(canonical)
	return h.Sum(nil), nil
}

// orderOf gives the order that was made under a key, or uuid.Nil, and the time by Postgres' clock, from which on a new order counts.
// Another request under the same key is a fault.
func orderOf(ctx context.Context, db *postgres.DB, customer, key string, print []byte) (id uuid.UUID, at time.Time, err error) {
	var same bool
	err = db.QueryRow(ctx, `SELECT coalesce(k.order_id, $4), coalesce(k.fingerprint = $3, true), now.at
		FROM (SELECT clock_timestamp() AS at) AS now
		LEFT JOIN orders.idempotency_keys k ON k.customer = $1 AND k.key = $2 AND k.expires_at > now()`, customer, key, print, uuid.Nil).Scan(&id, &same, &at)
	if err != nil {
		return uuid.Nil, at, fmt.Errorf("look up idempotency key: %w", err)
	}
	clock.Notice(at)
	if !same {
		return uuid.Nil, at, &fault.Error{Kind: fault.IdempotencyKeyReused, Detail: "This Idempotency-Key was used for another request."}
	}
	return id, at, nil
}

// ForgetKeys deletes expired Idempotency-Keys, limit at most, and returns how many.
func (s *Service) ForgetKeys(ctx context.Context, limit int) (int, error) {
	done, err := s.db.Exec(ctx, `DELETE FROM orders.idempotency_keys WHERE (customer, key) IN (
		SELECT customer, key FROM orders.idempotency_keys WHERE expires_at < now() ORDER BY expires_at LIMIT $1
		FOR UPDATE SKIP LOCKED)`, limit)
	return int(done.RowsAffected()), err
}
