package sandbox

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/google/uuid"
)

// identity reads which account a ledger is, from a file beside it, and makes one for a ledger that has none yet. It stays when the
// address or the API key change. The ledger's lock keeps other processes away.
func identity(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if err == nil {
		id, err := uuid.Parse(strings.TrimSpace(string(raw)))
		if err != nil {
			return "", fmt.Errorf("%s holds no identity of a ledger: %w", path, err)
		}
		return id.String(), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	id := uuid.NewString()
	fresh, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	_, err = fmt.Fprintln(fresh, id)
	if err = errors.Join(err, fresh.Sync(), fresh.Close()); err != nil {
		return "", err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return "", err
	}
	return id, syncFolder(path)
}

// getAccount says which ledger this is.
func (s *Server) getAccount(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]string{"id": s.id})
}

// ofThisLedger refuses requests that are meant for another ledger, which may have been at this address before.
func (s *Server) ofThisLedger(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if meant := r.Header.Get("Ledger"); meant != "" && meant != s.id {
			refuse(w, http.StatusMisdirectedRequest, "another_ledger", "the request is meant for another ledger")
			return
		}
		next(w, r)
	}
}
