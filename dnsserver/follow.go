package dnsserver

import (
	"context"
	"os"
	"slices"
	"time"
)

// followEvery is how soon a changed file is noticed.
const followEvery = 2 * time.Second

// follow calls changed whenever one of the files has become another one, until
// ctx ends. A file that is written in steps is told of after each; whoever reads
// it keeps what was there before until it reads well.
func follow(ctx context.Context, files []string, changed func()) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for seen := lookAt(files); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := lookAt(files); !slices.EqualFunc(now, seen, sameFile) {
			seen = now
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
