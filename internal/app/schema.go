package app

import (
	"context"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

// openBooks connects to the database and refuses one that lacks migrations of this version: what works on a schema that it
// was not built for ends orders wrongly before anybody sees an error. One that has more than this version knows is taken,
// since a rollout migrates first; the caller says so.
func openBooks(ctx context.Context, url string, o postgres.Options) (*postgres.DB, postgres.Schema, error) {
	db, err := postgres.Open(ctx, url, o)
	if err != nil {
		return nil, postgres.Schema{}, err
	}
	schema, err := postgres.ReadSchema(ctx, db)
	if err == nil {
		err = schema.Behind()
	}
	if err != nil {
		db.Close()
		return nil, schema, err
	}
	return db, schema, nil
}

// checkSchema is not ready on a schema that has gone back under the running instance, and notes one that has gone ahead.
func (s *server) checkSchema(ctx context.Context) error {
	schema, err := postgres.ReadSchema(ctx, s.db)
	if err != nil {
		return err
	}
	if err := schema.Behind(); err != nil {
		return err
	}
	return web.Note(schema.Ahead())
}
