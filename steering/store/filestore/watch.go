package filestore

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"fairway/steering/store"
	"fairway/steering/store/statefile"
)

// lookEvery is how often a Watch looks at the files.
const lookEvery = 200 * time.Millisecond

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context) <-chan store.Change {
	changes := make(chan store.Change)
	seen := s.look() // before the caller reads, so that nothing falls in between
	go func() {
		defer close(changes)
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		var pending store.Change
		for {
			send := changes
			if !pending.Any() {
				send = nil
			}
			select {
			case <-ctx.Done():
				return
			case <-s.done:
				return
			case send <- pending:
				pending = store.Change{}
			case <-tick.C:
				now := s.look()
				pending = pending.Or(now.since(seen))
				seen = now
			}
		}
	}()
	return changes
}

// sight is what the newest files look like from outside; nil = not there.
type sight struct {
	revision, inForce, overrides, state, journal os.FileInfo
	values                                       string // the version of each
}

func (s *Store) look() sight {
	stat := func(path string) os.FileInfo {
		info, err := os.Stat(path)
		if err != nil {
			return nil
		}
		return info
	}
	look := sight{
		inForce:   stat(filepath.Join(s.dir, inForceFile)),
		overrides: stat(filepath.Join(s.dir, overridesFile)),
		state:     stat(filepath.Join(s.dir, statefile.StateName)),
		journal:   stat(filepath.Join(s.dir, statefile.JournalName)),
	}
	look.values = s.valuesLook()
	if numbers, _ := s.revisionNumbers(); len(numbers) > 0 {
		look.revision = stat(s.revisionPath(numbers[0]))
	}
	return look
}

func (s sight) since(o sight) store.Change {
	return store.Change{
		Revision:  differ(s.revision, o.revision) || differ(s.inForce, o.inForce),
		Overrides: differ(s.overrides, o.overrides),
		State:     differ(s.state, o.state) || differ(s.journal, o.journal),
		Values:    s.values != o.values,
	}
}

// differ compares two sights of a file. A rename brings a new inode; size and
// time catch the file system that hands out the old one again.
func differ(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return (a == nil) != (b == nil)
	}
	return !os.SameFile(a, b) || a.Size() != b.Size() || !a.ModTime().Equal(b.ModTime())
}
