package postgres

import "context"

// step is how many rows InSteps has a statement take.
const step = 1000

// InSteps repeats a statement that takes the rows it has taken away from what it finds, as a DELETE does, until it finds fewer than
// it may take; how many these are is its last argument. Each time is a transaction of its own, so that no row is locked for long and
// nothing is done twice when the next one fails. It answers how many rows were taken.
func (db *DB) InSteps(ctx context.Context, sql string, args ...any) (taken int64, err error) {
	args = append(args, step)
	for {
		done, err := db.Exec(ctx, sql, args...)
		taken += done.RowsAffected()
		if err != nil || done.RowsAffected() < step {
			return taken, err
		}
	}
}
