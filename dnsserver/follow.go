package dnsserver

import (
	"context"
	"os"
	"slices"
	"time"
)

// followEvery is how soon a changed file is noticed.
const followEvery = 2 * time.Second

// followed is files as they were when they were last read.
type followed struct {
	names []string
	seen  []os.FileInfo
}

// look remembers what the files are now. It comes before reading them: what changes
// in between is then read twice and not missed.
func look(names ...string) followed { return followed{names, lookAt(names)} }

// follow calls changed whenever one of the files has become another one, until
// ctx ends. A file that is written in steps is told of after each; whoever reads
// it keeps what was there before until it reads well.
func (f *followed) follow(ctx context.Context, changed func()) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := lookAt(f.names); !slices.EqualFunc(now, f.seen, sameFile) {
			f.seen = now
			changed()
		}
	}
}

// lookAt gives what files are now; nil for one that cannot be seen.
func lookAt(files []string) []os.FileInfo {
	all := make([]os.FileInfo, len(files))
	for i, name := range files {
		if info, err := os.Stat(name); err == nil {
			all[i] = info
		}
	}
	return all
}

// sameFile tells whether a file is the one that it was, also if another of the
// same size has been put in its place.
func sameFile(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size() && a.Mode() == b.Mode()
}
