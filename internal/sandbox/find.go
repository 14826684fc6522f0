package sandbox

import "net/http"

// find says which of many charges and refunds stand in the ledger, by their ids.
func (s *Server) find(w http.ResponseWriter, r *http.Request) {
	var in struct {
		IDs []string `json:"ids"`
	}
	if !decode(w, r, &in) {
		return
	}
	there, err := s.books.find(in.IDs)
	if err != nil {
		s.refuseFor(w, r, err)
		return
	}
	answer(w, http.StatusOK, map[string][]string{"ids": there})
}

func (b *books) find(ids []string) ([]string, error) {
	b.mu.Lock()
	there := []string{}
	for _, id := range ids {
		if e := b.byID[id]; e != nil && e.Status == Succeeded || b.made[id] != nil {
			there = append(there, id)
		}
	}
	last := int64(len(b.entries))
	b.mu.Unlock()
	return there, b.journal.flush(last)
}
