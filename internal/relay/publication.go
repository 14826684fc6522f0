package relay

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Publication is the publication of the outbox, made by the migrations.
const Publication = "holdfast_outbox"

// errPublication says that the publication was changed under the stream: rows may be missing in it.
var errPublication = errors.New("publication " + Publication + " has changed")

// version tells one state of the publication from every other: it changes with whatever is done to it.
const version = `
	(SELECT p.oid || ':' || p.xmin || ':' || r.oid || ':' || r.xmin
	 FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid
	 WHERE p.pubname = '` + Publication + `' AND p.pubinsert AND p.pubviaroot AND r.prrelid = 'shared.outbox'::regclass
	   AND to_jsonb(r) ->> 'prqual' IS NULL AND to_jsonb(r) ->> 'prattrs' IS NULL
	   AND (SELECT count(*) = 1 FROM pg_publication_tables t WHERE t.pubname = p.pubname))`

// publication gives the version of the publication, or "" when it is not there or is not all of the outbox and nothing else.
func (r *Relay) publication(ctx context.Context) (string, error) {
	var v string
	if err := r.DB.QueryRow(ctx, `SELECT coalesce(`+version+`, '')`).Scan(&v); err != nil {
		return "", fmt.Errorf("look at publication %s: %w", Publication, err)
	}
	return v, nil
}

// ensurePublication gives the version of the publication, and makes it anew where it is not as it must be. A slot that reads
// without its publication is spoilt for good, so this comes before every read.
func (r *Relay) ensurePublication(ctx context.Context) (string, error) {
	v, err := r.publication(ctx)
	if err != nil || v != "" {
		return v, err
	}
	r.met(publicationOff, "publication is missing or is not exactly the outbox: making it anew and publishing from the mark", "publication", Publication)
	err = pgx.BeginFunc(ctx, r.DB, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE shared.relay_mark SET slot = ''`); err != nil { // one instance at a time, and no stream carries on
			return err
		}
		if err := tx.QueryRow(ctx, `SELECT coalesce(`+version+`, '')`).Scan(&v); err != nil || v != "" {
			return err // another instance has just made it
		}
		_, err := tx.Exec(ctx, `
			DROP PUBLICATION IF EXISTS `+Publication+`;
			CREATE PUBLICATION `+Publication+` FOR TABLE shared.outbox WITH (publish = 'insert', publish_via_partition_root = true)`)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("make publication %s (or apply the migrations as the owner of shared.outbox): %w", Publication, err)
	}
	return r.publication(ctx)
}
