package replica

import (
	"path/filepath"

	"fairway/steering"
	"fairway/steering/store/kept"
)

const journalFile = "state.journal"

// leastJournal is up to which size the journal is never too long.
const leastJournal = 1 << 20

// stateDisk is the newest decisions on disk: a state as of some time, whole, and a
// journal of what has changed since. A change of one verdict costs a line of the
// journal, not the world; when the journal is as long as the state, or the process
// ends, the state is written anew. One goroutine uses it at a time.
type stateDisk struct {
	dir     string
	has     *steering.State // what is on disk; nil = nothing, or not known
	whole   int64           // octets of the state
	journal int64           // octets of the journal
}

// read gives the newest state that is on disk; false when there is none.
func (d *stateDisk) read(warn func(error)) (steering.State, bool, error) {
	state, known, err := kept.ReadNewest[steering.State](d.dir, stateFile, warn)
	if err != nil || !known {
		return state, false, err
	}
	torn := kept.ReadJournal(filepath.Join(d.dir, journalFile), func(delta steering.Delta) bool {
		if next, err := delta.Apply(state); err == nil {
			state = next
		} // else it is of before the state was written, or after a state that is damaged
		return true
	})
	if torn != nil {
		warn(torn)
	}
	return state, true, nil
}

// write puts a state on disk.
func (d *stateDisk) write(state steering.State) error {
	if d.has != nil {
		delta, ok := steering.Difference(d.has, &state)
		if ok && d.journal < max(d.whole, leastJournal) {
			return d.append(delta, state)
		}
	}
	return d.replace(state)
}

func (d *stateDisk) append(delta steering.Delta, state steering.State) error {
	if delta.Empty() && d.has.Mark().Equal(state.Mark()) {
		d.has = &state
		return nil
	}
	size, err := kept.Append(filepath.Join(d.dir, journalFile), delta)
	if err != nil {
		d.has = nil // the journal may end in the middle of a record
		return err
	}
	d.has, d.journal = &state, d.journal+int64(size)
	return nil
}

// replace writes the whole state. The journal goes after that: until then what is in
// it, and in the state already, changes nothing.
func (d *stateDisk) replace(state steering.State) error {
	if err := kept.Replace(d.dir, stateFile, state); err != nil {
		return err
	}
	d.has, d.journal = nil, 0
	if err := kept.Remove(filepath.Join(d.dir, journalFile)); err != nil {
		return err
	}
	d.has, d.whole = &state, kept.Size(filepath.Join(d.dir, stateFile))
	return nil
}

// settle writes the whole state where there is a journal, so that the next process
// reads one file, and the one before stays as a copy.
func (d *stateDisk) settle() error {
	if d.has == nil || d.journal == 0 {
		return nil
	}
	return d.replace(*d.has)
}
