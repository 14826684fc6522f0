package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
)

// Whoever goes through the whole catalogue, by every way there is without a token, leaves nothing in Redis that does not go within the
// hour.
func TestACrawlLeavesNothing(t *testing.T) {
	t.Parallel()
	s := open(t)
	var made []string
	products := make([]map[string]any, 30)
	for i := range products {
		products[i] = map[string]any{"sku": fmt.Sprint("SKU", i), "name": "A thing", "description": "", "unit_price_minor": 100, "currency": "GBP", "stock": 5}
	}
	s.operator().must(http.StatusOK, http.MethodPost, "/admin/products", map[string]any{"products": products})
	anybody := func(path string, want int) (body []byte) {
		t.Helper()
		res, err := s.http.Get(s.url + "/api/v1" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var b bytes.Buffer
		if _, err := b.ReadFrom(res.Body); err != nil || res.StatusCode != want {
			t.Fatalf("%s: %d, %v", path, res.StatusCode, err)
		}
		return b.Bytes()
	}
	for cursor := ""; ; {
		var page struct {
			Items []struct {
				ID        string `json:"id"`
				SKU       string `json:"sku"`
				Available int64  `json:"available"`
			} `json:"items"`
			NextCursor string `json:"next_cursor"`
		}
		if err := json.Unmarshal(anybody("/products?limit=20"+cursor, http.StatusOK), &page); err != nil {
			t.Fatal(err)
		}
		for _, p := range page.Items {
			made = append(made, p.ID)
			anybody("/products?sku="+p.SKU, http.StatusOK)
			anybody("/products/"+p.ID, http.StatusOK)
			anybody("/products/"+p.ID+"/availability", http.StatusOK)
		}
		if cursor = "&cursor=" + page.NextCursor; page.NextCursor == "" {
			break
		}
	}
	if len(made) != len(products) {
		t.Errorf("%d of %d products were seen", len(made), len(products))
	}
	for range 20 {
		anybody("/products/"+uuid.NewString(), http.StatusNotFound)
		anybody("/products/"+uuid.NewString()+"/availability", http.StatusNotFound)
	}
	found := 0
	for key, ttl := range s.keysOfProducts() {
		found++
		if ttl <= 0 || ttl > time.Hour {
			t.Errorf("%s goes after %v", key, ttl)
		}
	}
	if found == 0 {
		t.Error("no product was loaded at all")
	}
}

// keysOfProducts gives what there is in Redis but what belongs to the installation, with the time after which it goes.
func (s *shop) keysOfProducts() map[string]time.Duration {
	s.t.Helper()
	keys := redisx.Keys{Namespace: s.env.Namespace}
	ours := map[string]bool{keys.Namespace + ":epoch": true}
	for i := range redisx.DueShards {
		ours[keys.DueShard(i)], ours[keys.Memory(i)] = true, true
	}
	found := map[string]time.Duration{}
	var mu sync.Mutex
	err := redisx.EachMaster(s.t.Context(), s.env.Redis, func(ctx context.Context, node *redis.Client) error {
		all := node.Scan(ctx, 0, keys.Namespace+":*", 1000).Iterator()
		for all.Next(ctx) {
			if ours[all.Val()] {
				continue
			}
			ttl, err := node.PTTL(ctx, all.Val()).Result()
			if err != nil {
				return err
			}
			mu.Lock()
			found[all.Val()] = ttl
			mu.Unlock()
		}
		return all.Err()
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}
