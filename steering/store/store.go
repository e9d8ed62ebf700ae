package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"fairway/steering"
)

// Store keeps what must outlive a process.
type Store interface {
	// PutRevision keeps a revision and returns its number, one more than the
	// last; Number in the argument does not matter. When the newest revision has
	// the same hash, author, reason and parent, its number is returned and nothing is
	// stored. At least the ten newest are kept, and those that the stored InForce
	// names: the one in force, its parent and the canary.
	PutRevision(ctx context.Context, r Revision) (number uint64, err error)
	// LatestRevision returns the newest revision that can be read; false when
	// there is none. It need not be the one in force: see Serving.
	LatestRevision(ctx context.Context) (Revision, bool, error)
	// Revisions lists the revisions that can be read, newest first, without their
	// files.
	Revisions(ctx context.Context) ([]Revision, error)
	// Revision returns the one with this number; ErrNotFound when there is none.
	Revision(ctx context.Context, number uint64) (Revision, error)

	// PutInForce replaces what is in force, if the stored one still has the
	// Version of the argument (0 where none is stored); else ErrConflict. The new
	// version is returned.
	PutInForce(ctx context.Context, f InForce) (version uint64, err error)
	// InForce returns what is in force; false when that was never stored.
	InForce(ctx context.Context) (InForce, bool, error)

	// Overrides returns every override, also expired ones, by Created and then
	// ID.
	Overrides(ctx context.Context) ([]steering.Override, error)
	// PutOverride adds an override, or replaces the one with the same ID. One
	// without an ID, or that is not valid, is refused.
	PutOverride(ctx context.Context, o steering.Override) error
	// DeleteOverride removes an override; ErrNotFound when there is none. by is who
	// wants it so; empty when its time is over.
	DeleteOverride(ctx context.Context, id, by string) error
	// OverrideLog returns the newest changes of overrides, the oldest first: who did
	// what, also what failed; the last KeptLog at least.
	OverrideLog(ctx context.Context) ([]steering.OverrideEvent, error)

	// PutState replaces the state; ErrStale when the stored one has a higher
	// generation.
	PutState(ctx context.Context, s steering.State) error
	// State returns the newest state that can be read; false when there is none. The
	// records in it may be shared: nobody changes them.
	State(ctx context.Context) (steering.State, bool, error)

	// Values returns the small values of a folder by name; see Value.
	Values(ctx context.Context, folder string) (map[string]Value, error)
	// PutValue replaces a value, if the stored one still has the Version of the
	// argument (0 where none is stored); else ErrConflict. Without Data it is removed.
	// The new version is returned.
	PutValue(ctx context.Context, folder, name string, v Value) (version uint64, err error)

	// Watch tells what changed after the call, by whichever process; of
	// revisions, also which is in force. Changes
	// that were not yet received are joined into one, and one may be told of
	// although a read gives the same as before. The channel is closed when ctx
	// ends or the store is closed.
	Watch(ctx context.Context) <-chan Change

	// Close lets go of the data; later calls return ErrClosed.
	Close() error
}

// KeptLog is how many changes of overrides are kept at least.
const KeptLog = 200

// Deletion names the removal of an override by somebody, or by nobody.
func Deletion(by string) string {
	if by == "" {
		return "expire"
	}
	return "delete"
}

// Revision is a configuration that compiled, as its files were.
type Revision struct {
	Number   uint64
	Hash     string // as steering.Revision.Hash
	Author   string
	Reason   string
	Created  time.Time
	Parent   uint64 // the revision that a rollback from this one goes back to; 0 = none
	Restores uint64 // the revision whose files these are again, after a rollback; 0 = none
	Files    []File
}

// File is one configuration file, verbatim.
type File struct {
	Name string // as the node that loaded it was told, and as findings show it
	Data []byte
}

// Value is something small that another part keeps here, such as the keys of a
// zone, under a folder and a name: the store does not look into it. What is secret
// must be sealed before it is given away.
type Value struct {
	Version uint64 // counts its changes
	Data    []byte // at most MaxValue octets; empty = there is none
}

// MaxValue is how large a value may be.
const MaxValue = 256 << 10

// CheckValue returns why a value cannot be stored under a folder and a name, if so.
func CheckValue(folder, name string, v Value) error {
	for _, part := range []string{folder, name} {
		if part == "" || len(part) > 255 || strings.Trim(part, ".") == "" || strings.ContainsFunc(part, notInName) {
			return fmt.Errorf("value %q/%q: folder and name are a-z, 0-9, %%, . _ and -", folder, name)
		}
	}
	if len(v.Data) > MaxValue {
		return fmt.Errorf("value %s/%s has %d octets, more than %d", folder, name, len(v.Data), MaxValue)
	}
	return nil
}

func notInName(r rune) bool {
	return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || strings.ContainsRune("%._-", r))
}

// Change says what may be new.
type Change struct {
	Revision, Overrides, State, Values bool
}

// Any tells whether anything may be new.
func (c Change) Any() bool { return c != Change{} }

// Or joins two changes.
func (c Change) Or(o Change) Change {
	return Change{c.Revision || o.Revision, c.Overrides || o.Overrides, c.State || o.State, c.Values || o.Values}
}

// Errors that callers tell apart.
var (
	ErrNotFound = errors.New("not found")
	ErrStale    = errors.New("a newer generation is stored")
	ErrConflict = errors.New("another change came first")
	ErrReadOnly = errors.New("the store was opened for reading only")
	ErrDeposed  = errors.New("another control node leads")
	ErrClosed   = errors.New("the store is closed")
)
