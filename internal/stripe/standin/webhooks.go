package standin

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"
)

// Webhooks has what happens at the account from now on be told to an address, signed, each until it is taken. It gives what ends that.
func (a *Account) Webhooks(t *testing.T, url, secret string) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	told, done := make(chan Object, 1000), make(chan struct{})
	a.server.mu.Lock()
	a.told = told
	a.server.mu.Unlock()
	go func() {
		defer close(done)
		for {
			select {
			case event := <-told:
				for ctx.Err() == nil && deliver(ctx, url, secret, event) != nil {
					pause(ctx, 50*time.Millisecond)
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	end = func() {
		a.server.mu.Lock()
		a.told = nil
		a.server.mu.Unlock()
		cancel()
		<-done
	}
	t.Cleanup(end)
	return end
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// deliver sends an event, signed as Stripe does: the time of sending and the body, by HMAC.
func deliver(ctx context.Context, url, secret string, event Object) error {
	body, err := json.Marshal(event)
	if err != nil {
		panic(err)
	}
	at := time.Now().Unix()
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.%s", at, body)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Stripe-Signature", fmt.Sprintf("t=%d,v1=%s", at, hex.EncodeToString(mac.Sum(nil))))
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("webhook: %s", response.Status)
	}
	return nil
}
