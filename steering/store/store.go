package store

import (
	"context"
	"errors"
	"time"

	"fairway/steering"
)

// Store keeps what must outlive a process.
type Store interface {
	// PutRevision keeps a revision and returns its number, one more than the
	// last; Number in the argument does not matter. When the newest revision has
	// the same hash, its number is returned and nothing is stored. At least the
	// ten newest are kept.
	PutRevision(ctx context.Context, r Revision) (number uint64, err error)
	// LatestRevision returns the newest revision that can be read; false when
	// there is none.
	LatestRevision(ctx context.Context) (Revision, bool, error)

	// Overrides returns every override, also expired ones, by Created and then
	// ID.
	Overrides(ctx context.Context) ([]steering.Override, error)
	// PutOverride adds an override, or replaces the one with the same ID. One
	// without an ID, or that is not valid, is refused.
	PutOverride(ctx context.Context, o steering.Override) error
	// DeleteOverride removes an override; ErrNotFound when there is none.
	DeleteOverride(ctx context.Context, id string) error

	// PutState replaces the state; ErrStale when the stored one has a higher
	// generation.
	PutState(ctx context.Context, s steering.State) error
	// State returns the newest state that can be read; false when there is none.
	State(ctx context.Context) (steering.State, bool, error)

	// Watch tells what changed after the call, by whichever process. Changes
	// that were not yet received are joined into one, and one may be told of
	// although a read gives the same as before. The channel is closed when ctx
	// ends or the store is closed.
	Watch(ctx context.Context) <-chan Change

	// Close lets go of the data; later calls return ErrClosed.
	Close() error
}

// Revision is a configuration that compiled, as its files were.
type Revision struct {
	Number  uint64
	Hash    string // as steering.Revision.Hash
	Author  string
	Reason  string
	Created time.Time
	Files   []File
}

// File is one configuration file, verbatim.
type File struct {
	Name string // as the node that loaded it was told, and as findings show it
	Data []byte
}

// Change says what may be new.
type Change struct {
	Revision, Overrides, State bool
}

// Any tells whether anything may be new.
func (c Change) Any() bool { return c.Revision || c.Overrides || c.State }

// Or joins two changes.
func (c Change) Or(o Change) Change {
	return Change{c.Revision || o.Revision, c.Overrides || o.Overrides, c.State || o.State}
}

// Errors that callers tell apart.
var (
	ErrNotFound = errors.New("not found")
	ErrStale    = errors.New("a newer generation is stored")
	ErrReadOnly = errors.New("the store was opened for reading only")
	ErrClosed   = errors.New("the store is closed")
)
