package gather

// Waiting is how many callers wait for their turn.
func (b *Batch[In, Out]) Waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting)
}
