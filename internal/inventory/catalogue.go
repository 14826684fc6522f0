package inventory

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
)

// Offer is a product with the units of it that can be held now.
type Offer struct {
	Product
	Available int64
	Loading   bool  // Redis does not have all of its holds yet: Available is 0, and known soon
	OverHeld  int64 // units that are held beyond the stock
}

// Products gives products by id, by one query. Those that do not exist are left out.
func (s *Service) Products(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]Product, error) {
	list, err := selectProducts(ctx, s.db, `WHERE id = ANY ($1)`, ids)
	if err != nil {
		return nil, err
	}
	products := make(map[uuid.UUID]Product, len(list))
	for _, p := range list {
		products[p.ID] = p
	}
	return products, nil
}

// List gives up to limit products by sku, from after a sku on ("" for the first page).
func (s *Service) List(ctx context.Context, after string, limit int) ([]Offer, error) {
	list, err := selectProducts(ctx, s.db, `WHERE sku > $1 ORDER BY sku LIMIT $2`, after, limit)
	if err != nil {
		return nil, err
	}
	return s.offers(ctx, list)
}

// BySKU gives the product with that sku, or none.
func (s *Service) BySKU(ctx context.Context, sku string) ([]Offer, error) {
	list, err := selectProducts(ctx, s.db, `WHERE sku = $1`, sku)
	if err != nil {
		return nil, err
	}
	return s.offers(ctx, list)
}

// Get gives one product, or not-found.
func (s *Service) Get(ctx context.Context, id uuid.UUID) (Offer, error) {
	list, err := selectProducts(ctx, s.db, `WHERE id = $1`, id)
	if err != nil {
		return Offer{}, err
	}
	if len(list) == 0 {
		return Offer{}, noSuchProduct()
	}
	offers, err := s.offers(ctx, list)
	if err != nil {
		return Offer{}, err
	}
	return offers[0], nil
}

func noSuchProduct() error { return fault.New(fault.NotFound, "there is no such product") }

// offers adds what can be held now: as the shelf has it, or, while Redis is away, as the books and the owners of holds do.
func (s *Service) offers(ctx context.Context, products []Product) ([]Offer, error) {
	ids := make([]uuid.UUID, len(products))
	for i, p := range products {
		ids[i] = p.ID
	}
	found, err := s.shelf.units(ctx, ids)
	loading := Loading(err)
	if redisx.Unavailable(err) {
		found, err = s.shelf.unitsInBooks(ctx, ids)
	}
	if err != nil && !loading {
		return nil, err
	}
	offers := make([]Offer, len(products))
	for i, p := range products {
		u, known := found[p.ID]
		offers[i] = Offer{Product: p, Available: u.free, OverHeld: u.over, Loading: loading && !known}
	}
	return offers, nil
}

// linesPerFact bounds the size of one stock.created.
const linesPerFact = 500

// Upsert writes products by sku and gives them in the order given. New ones open with the stock given; what others have
// stays. It is right to do again.
func (s *Service) Upsert(ctx context.Context, products []NewProduct) ([]Offer, error) {
	if wrong := checkNew(products); wrong != nil {
		return nil, fault.Unprocessable("%d fields of products cannot be as they are", len(wrong)).With(wrong...)
	}
	bySKU := make(map[string]Product, len(products))
	err := s.db.InTx(ctx, func(tx pgx.Tx) error {
		if err := complete(ctx, tx, products); err != nil {
			return err
		}
		opening := make(map[uuid.UUID]int64, len(products))
		for _, p := range products {
			opening[p.ID] = p.Stock
		}
		stored, err := upsertProducts(ctx, tx, products)
		if err != nil {
			return err
		}
		var made []uuid.UUID
		for _, p := range stored {
			bySKU[p.SKU] = p
			if _, ours := opening[p.ID]; ours {
				made = append(made, p.ID)
			}
		}
		return openNew(ctx, tx, made, opening)
	})
	if err != nil {
		return nil, fmt.Errorf("upsert: %w", err)
	}
	list := make([]Product, len(products))
	for i, p := range products {
		list[i] = bySKU[p.SKU]
	}
	return s.offers(ctx, list)
}

// complete gives the products new ids, and what was left out of them as it is stored. A new sku without a price is a fault.
func complete(ctx context.Context, tx pgx.Tx, products []NewProduct) error {
	var partial []string
	for i := range products {
		products[i].ID = clock.NewID()
		if products[i].KeepPrice || products[i].KeepDescription {
			partial = append(partial, products[i].SKU)
		}
	}
	if partial == nil {
		return nil
	}
	list, err := selectProducts(ctx, tx, `WHERE sku = ANY ($1) ORDER BY sku FOR UPDATE`, partial) // they stay so until they are written
	if err != nil {
		return err
	}
	stored := make(map[string]Product, len(list))
	for _, p := range list {
		stored[p.SKU] = p
	}
	var unpriced []fault.Line
	for i := range products {
		p := &products[i]
		old, known := stored[p.SKU]
		if p.KeepPrice && !known {
			unpriced = append(unpriced, fault.Line{Field: fmt.Sprintf("products[%d].unit_price_minor", i), SKU: p.SKU, Detail: "required for a new sku"})
		}
		if p.KeepPrice {
			p.UnitPriceMinor = old.UnitPriceMinor
		}
		if p.KeepDescription {
			p.Description = old.Description
		}
	}
	if unpriced != nil {
		return fault.Unprocessable("%d new products have no price", len(unpriced)).With(unpriced...)
	}
	return nil
}

// openNew gives new products their stock and says so.
func openNew(ctx context.Context, tx pgx.Tx, products []uuid.UUID, opening map[uuid.UUID]int64) error {
	if len(products) == 0 {
		return nil
	}
	books, err := openStock(ctx, tx, products)
	if err != nil {
		return err
	}
	var said []event.Fact
	for page := range slices.Chunk(products, linesPerFact) {
		id := clock.NewID()
		lines := make([]event.StockLine, len(page))
		for i, product := range page {
			lines[i] = books.open(product, id, opening[product])
		}
		said = append(said, ofShop(event.StockCreated, id, lines))
	}
	return post(ctx, tx, books, posting{facts: said})
}

// ofShop makes a fact of no order, under the id that its movements name already.
func ofShop(name event.Name, id uuid.UUID, lines []event.StockLine) event.Fact {
	fact := event.New(name, event.Shop, uuid.Nil, event.Stock{Lines: lines})
	fact.ID = id
	return fact
}

// Change writes all of a product but its stock, if its version is one of those given (nil: whatever it is): else
// precondition-failed. An empty sku leaves it as it is.
func (s *Service) Change(ctx context.Context, p NewProduct, versions []int64) (Offer, error) {
	if wrong := p.check("", p.SKU == ""); wrong != nil {
		return Offer{}, fault.Unprocessable("the product cannot be as it is asked for").With(wrong...)
	}
	var changed Product
	err := s.db.InTx(ctx, func(tx pgx.Tx) error {
		var done bool
		var err error
		if changed, done, err = changeProduct(ctx, tx, p, versions); err != nil || done {
			return err
		}
		stored, err := selectProducts(ctx, tx, `WHERE id = $1`, p.ID)
		if err == nil && len(stored) == 0 {
			err = noSuchProduct()
		} else if err == nil {
			err = fault.New(fault.PreconditionFailed, "the product is at version %d", stored[0].Version)
		}
		return err
	})
	if postgres.IsUnique(err, "products_sku_key") {
		return Offer{}, fault.New(fault.Conflict, "another product has that sku")
	}
	if err != nil {
		return Offer{}, err
	}
	offers, err := s.offers(ctx, []Product{changed})
	if err != nil {
		return Offer{}, err
	}
	return offers[0], nil
}

// Movements gives up to limit entries of a product's ledger, newest first, from before an entry on (zero: from the newest).
func (s *Service) Movements(ctx context.Context, productID, before uuid.UUID, limit int) ([]Movement, error) {
	known, err := s.Products(ctx, []uuid.UUID{productID})
	if err != nil {
		return nil, err
	}
	if len(known) == 0 {
		return nil, noSuchProduct()
	}
	return readMovements(ctx, s.db, productID, before, limit)
}
