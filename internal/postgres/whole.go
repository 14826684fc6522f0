package postgres

import (
	"cmp"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// wholeRows are the rows of a statement that is a transaction, which ends with them.
type wholeRows struct {
	pgx.Rows
	end func(error) error
	err error // of the end
}

func (r *wholeRows) Next() bool {
	if r.Rows.Next() {
		return true
	}
	r.Close()
	return false
}

func (r *wholeRows) Close() {
	r.Rows.Close()
	if err := r.end(r.Rows.Err()); err != nil {
		r.err = err
	}
}

func (r *wholeRows) Err() error {
	if err := r.Rows.Err(); err != nil {
		return err
	}
	return r.err
}

// wholeRow is the one row of such a statement, or why there is none.
type wholeRow struct {
	rows pgx.Rows
	err  error
}

func (r wholeRow) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}

// wholeResults are the results of a batch that is a transaction.
type wholeResults struct {
	pgx.BatchResults
	end func(error) error
	err error // of the end
}

func (r *wholeResults) Close() error {
	err := r.BatchResults.Close()
	if failed := r.end(err); failed != nil {
		r.err = failed
	}
	return cmp.Or(err, r.err)
}

// noRows are those of a question that could not be asked.
type noRows struct {
	pgx.Rows
	err error
}

func (r noRows) Close()                        {}
func (r noRows) Err() error                    { return r.err }
func (r noRows) Next() bool                    { return false }
func (r noRows) CommandTag() pgconn.CommandTag { return pgconn.CommandTag{} }

// noResults are those of a batch that could not be sent.
type noResults struct {
	pgx.BatchResults
	err error
}

func (r noResults) Exec() (pgconn.CommandTag, error) { return pgconn.CommandTag{}, r.err }
func (r noResults) Query() (pgx.Rows, error)         { return noRows{err: r.err}, r.err }
func (r noResults) QueryRow() pgx.Row                { return wholeRow{err: r.err} }
func (r noResults) Close() error                     { return r.err }
