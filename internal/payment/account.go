package payment

import (
	"context"
	"fmt"
	"sync/atomic"
)

// Account is where money was charged: an account at a provider, in the provider's own word. What was charged at one is known there and
// can be given back there, and nowhere else. The zero value is the account of a payment that was never asked for.
type Account struct {
	Provider string // its name
	ID       string
}

func (a Account) String() string { return fmt.Sprintf("%s account %s", a.Provider, a.ID) }

// none says whether it is that of a payment that was never asked for.
func (a Account) none() bool { return a == Account{} }

// Identity remembers which account a provider has said to be. A client of a provider holds one.
type Identity struct{ known atomic.Pointer[Account] }

// Known returns the account, if the provider has said it already.
func (i *Identity) Known() (Account, bool) {
	if a := i.known.Load(); a != nil {
		return *a, true
	}
	return Account{}, false
}

// Learn returns the account, and asks for it if it is not known yet.
func (i *Identity) Learn(ctx context.Context, ask func(context.Context) (Account, error)) (Account, error) {
	if a, known := i.Known(); known {
		return a, nil
	}
	a, err := ask(ctx)
	if err != nil {
		return Account{}, err
	}
	i.known.Store(&a)
	return a, nil
}

// columnsOf splits accounts for a statement.
func columnsOf(accounts []Account) (providers, ids []string) {
	providers, ids = make([]string, len(accounts)), make([]string, len(accounts))
	for i, a := range accounts {
		providers[i], ids[i] = a.Provider, a.ID
	}
	return providers, ids
}
