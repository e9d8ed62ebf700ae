package statefile

import (
	"path/filepath"

	"fairway/steering"
	"fairway/steering/store/kept"
)

// The files' names.
const (
	StateName   = "state.json"
	JournalName = "state.journal"
)

// leastJournal is up to which size the journal is never too long.
const leastJournal = 1 << 20

// File is the newest decisions on disk. Its zero value writes to no folder: set Dir.
type File struct {
	Dir string
	// Small is up to how many octets a state is written whole each time, so that the
	// copies of it are its newest ones; default 0.
	Small int64

	has     *steering.State // what is on disk; nil = nothing, or not known
	whole   int64           // octets of the state
	journal int64           // octets of the journal
}

// Read gives the newest state that is on disk; false when there is none. warn is told
// of what is damaged and stepped over.
func (f *File) Read(warn func(error)) (steering.State, bool, error) {
	// The journal comes first: a state that is written anew while this reads holds all
	// that was in it.
	var changes []steering.Delta
	torn := kept.ReadJournal(filepath.Join(f.Dir, JournalName), func(delta steering.Delta) bool {
		changes = append(changes, delta)
		return true
	})
	state, known, err := kept.ReadNewest[steering.State](f.Dir, StateName, warn)
	if err != nil || !known {
		return state, false, err
	}
	if torn != nil {
		warn(torn)
	}
	for _, delta := range changes {
		if next, err := delta.Apply(state); err == nil {
			state = next
		} // else it is of before the state was written, or after a state that is damaged
	}
	return state, true, nil
}

// Write puts a state on disk. Its records are kept, and nobody changes them.
func (f *File) Write(state steering.State) error {
	if f.has != nil && f.whole > f.Small {
		delta, ok := steering.Difference(f.has, &state)
		if ok && f.journal < max(f.whole, leastJournal) {
			return f.append(delta, state)
		}
	}
	return f.replace(state)
}

func (f *File) append(delta steering.Delta, state steering.State) error {
	if delta.Empty() && f.has.Mark().Equal(state.Mark()) {
		f.has = &state
		return nil
	}
	size, err := kept.Append(filepath.Join(f.Dir, JournalName), delta)
	if err != nil {
		f.has = nil // the journal may end in the middle of a record
		return err
	}
	f.has, f.journal = &state, f.journal+int64(size)
	return nil
}

// replace writes the whole state. The journal goes after that: until then what is in
// it, and in the state already, changes nothing.
func (f *File) replace(state steering.State) error {
	if err := kept.Replace(f.Dir, StateName, state); err != nil {
		return err
	}
	f.has, f.journal = nil, 0
	if err := kept.Remove(filepath.Join(f.Dir, JournalName)); err != nil {
		return err
	}
	f.has, f.whole = &state, kept.Size(filepath.Join(f.Dir, StateName))
	return nil
}

// Forget has the next state be written whole, whatever is on disk: another process may
// have written since.
func (f *File) Forget() { f.has = nil }

// Settle writes the whole state where there is a journal, so that the next process
// reads one file, and the one before stays as a copy.
func (f *File) Settle() error {
	if f.has == nil || f.journal == 0 {
		return nil
	}
	return f.replace(*f.has)
}
