package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-checkout/holdfast/migrations"
)

// Schema is how far the schema of a database and this program belong together.
type Schema struct {
	Version int64   `json:"version" validate:"required"` // newest migration that the database has
	Newest  int64   `json:"newest" validate:"required"`  // newest migration that this program knows
	Missing []int64 `json:"missing,omitempty"`           // migrations that this program needs and the database lacks
	Unknown []int64 `json:"unknown,omitempty"`           // migrations that the database has and this program does not know
} //	@name	Schema

// ErrBehind says that a database lacks migrations that this program was built for.
var ErrBehind = errors.New("the database's schema is older than this program")

// ErrFormer says that a database was made by the migrations of an earlier series, which this program cannot carry on from.
var ErrFormer = errors.New("the database was made before the migrations began again at 0101, and cannot be migrated")

// former is an error if a version belongs to an earlier series: it says what to do.
func former(version int64) error {
	if version <= 0 || version > lastFormer {
		return nil
	}
	return fmt.Errorf("%w (it is at version %d): use an empty database; after `holdfast dev` or `make run`, delete the folder .stack", ErrFormer, version)
}

// lastFormer bounds the numbers of the earlier series.
const lastFormer = 100

// ReadSchema compares the migrations that a database has with those that this program knows.
func ReadSchema(ctx context.Context, db *DB) (Schema, error) {
	known, err := embedded()
	if err != nil {
		return Schema{}, err
	}
	s := Schema{Newest: known[len(known)-1]}
	var there bool
	if err := db.QueryRow(ctx, `SELECT to_regclass('goose_db_version') IS NOT NULL`).Scan(&there); err != nil {
		return s, fmt.Errorf("look for the schema: %w", err)
	}
	var has []int64
	if there {
		err := db.QueryRow(ctx, `
			SELECT coalesce(array_agg(DISTINCT version_id ORDER BY version_id), '{}') FROM goose_db_version
			WHERE is_applied AND version_id > 0`).Scan(&has)
		if err != nil {
			return s, fmt.Errorf("read the schema's version: %w", err)
		}
	}
	if len(has) > 0 {
		s.Version = has[len(has)-1]
	}
	s.Missing, s.Unknown = without(known, has), without(has, known)
	return s, nil
}

// Behind is an error while the database lacks something that this program needs: it says what to do.
func (s Schema) Behind() error {
	if err := former(s.Version); err != nil {
		return err
	}
	switch {
	case s.Version == 0:
		return fmt.Errorf("%w: it has no schema yet: run `holdfast migrate` first", ErrBehind)
	case len(s.Missing) > 0:
		return fmt.Errorf("%w: it is at version %d and lacks %s: run `holdfast migrate` of this version first", ErrBehind, s.Version, numbers(s.Missing))
	}
	return nil
}

// Ahead is an error while the database has what this program does not know of: a newer version has migrated it.
func (s Schema) Ahead() error {
	if len(s.Unknown) == 0 {
		return nil
	}
	return fmt.Errorf("the database's schema is newer than this program, which knows version %d and not %s: finish the rollout", s.Newest, numbers(s.Unknown))
}

// embedded gives the numbers of the migrations that this program carries, in order.
func embedded() ([]int64, error) {
	names, err := fs.Glob(migrations.Files, "*.sql")
	if err != nil || len(names) == 0 {
		return nil, errors.Join(err, errors.New("this program carries no migrations"))
	}
	known := make([]int64, 0, len(names))
	for _, name := range names {
		number, _, _ := strings.Cut(name, "_")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("migration %s: %w", name, err)
		}
		known = append(known, n)
	}
	slices.Sort(known)
	return known, nil
}

// without gives what is in all and not in some.
func without(all, some []int64) []int64 {
	var left []int64
	for _, n := range all {
		if !slices.Contains(some, n) {
			left = append(left, n)
		}
	}
	return left
}

// numbers writes migrations as their files are named.
func numbers(versions []int64) string {
	var text []string
	for _, v := range versions {
		text = append(text, fmt.Sprintf("%04d", v))
	}
	return strings.Join(text, ", ")
}
