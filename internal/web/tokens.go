package web

import (
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Tokens issues what Auth with the same secret accepts.
type Tokens struct{ Secret []byte }

// Issue makes a token for a customer, or for an operator when admin is set, that ends after ttl.
func (t Tokens) Issue(sub string, admin bool, ttl time.Duration) (string, error) {
	now := time.Now()
	cl := claims{RegisteredClaims: jwt.RegisteredClaims{
		Issuer: Issuer, Audience: jwt.ClaimStrings{Issuer}, Subject: sub,
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
	}}
	if admin {
		cl.Scope = scope{AdminScope}
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, cl).SignedString(t.Secret)
	if err != nil {
		return "", fmt.Errorf("issue token for %s: %w", sub, err)
	}
	return token, nil
}
