package postgres_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// A database tells what it lacks of this program's migrations, and what it has that this program does not know.
func TestASchemaBehindAndAheadAreToldApart(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	read := func() postgres.Schema {
		t.Helper()
		s, err := postgres.ReadSchema(t.Context(), env.DB)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := env.DB.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	fresh := read()
	if fresh.Version != fresh.Newest || fresh.Newest == 0 || fresh.Behind() != nil || fresh.Ahead() != nil {
		t.Fatalf("migrated: %+v", fresh)
	}
	exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9001, true)`)
	if s := read(); s.Behind() != nil || s.Ahead() == nil || !strings.Contains(s.Ahead().Error(), "9001") || s.Version != 9001 {
		t.Errorf("one more: %+v, %v", s, s.Ahead())
	}
	exec(`DELETE FROM goose_db_version WHERE version_id = 103`) // a gap below the newest counts, too
	if s := read(); !errors.Is(s.Behind(), postgres.ErrBehind) || !slices.Equal(s.Missing, []int64{103}) || !strings.Contains(s.Behind().Error(), "holdfast migrate") {
		t.Errorf("one less: %+v, %v", s, s.Behind())
	}
	exec(`DELETE FROM goose_db_version WHERE version_id = 9001`)
	exec(`UPDATE goose_db_version SET version_id = version_id - 100 WHERE version_id > 0`) // as the earlier series left it
	for what, err := range map[string]error{"start": read().Behind(), "migrate": postgres.Migrate(t.Context(), env.PostgresURL)} {
		if !errors.Is(err, postgres.ErrFormer) || !strings.Contains(err.Error(), "empty database") {
			t.Errorf("%s on a database of the earlier series: %v", what, err)
		}
	}
	if n := read().Version; n >= 100 {
		t.Errorf("a database of the earlier series was migrated to %d", n)
	}
	exec(`DROP TABLE goose_db_version`)
	if s := read(); !errors.Is(s.Behind(), postgres.ErrBehind) || s.Version != 0 {
		t.Errorf("none: %+v, %v", s, s.Behind())
	}
}
