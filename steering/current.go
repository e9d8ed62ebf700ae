package steering

import "sync/atomic"

// Current is the read end of the newest snapshot.
type Current struct{ snapshot atomic.Pointer[Snapshot] }

// NewCurrent returns a read end, holding first (nil = none yet), and the one
// write end.
func NewCurrent(first *Snapshot) (*Current, func(*Snapshot)) {
	c := new(Current)
	c.snapshot.Store(first)
	return c, c.snapshot.Store
}

// Load returns the newest snapshot, nil before the first one.
func (c *Current) Load() *Snapshot { return c.snapshot.Load() }
