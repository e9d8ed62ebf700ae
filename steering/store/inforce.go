package store

import (
	"context"
	"time"
)

// InForce says which revision serves, why, and what is on trial.
type InForce struct {
	Version  uint64 // counts the changes; see Store.PutInForce
	Revision uint64 // its number; it serves everybody but the clients of the canary
	// Applied is true when an operator put it in force, over the files on disk
	// that then had the hash Disk; else the files on disk are what serves.
	Applied bool
	Disk    string
	// Vouched is the hash of the revision that a control node put in force: it took
	// away no more than half of the world, or an operator said that this is meant.
	Vouched string  `json:",omitempty"`
	Canary  *Canary `json:",omitempty"` // nil = nothing is on trial
	Watch   *Watch  `json:",omitempty"` // nil = nothing is watched
	Ended   *Ended  `json:",omitempty"` // how the last trial or watch ended; nil = there was none
}

// Canary is a revision on trial.
type Canary struct {
	Revision uint64  // its number
	Share    float64 // of the clients, 0..1
}

// Watch is a condition under which a revision is taken back by itself.
type Watch struct {
	Revision uint64 // the one watched: the canary's, or the one in force
	Began    time.Time
	Until    time.Time
	RevertIf string // an expression; empty = there is none, only the time counts
	Promote  bool   // a canary serves everybody when the time is over
}

// Ended tells how a trial or a watch ended.
type Ended struct {
	Revision uint64
	How      EndedHow
	Detail   string
	By       string // an author; "fairway" when it happened by itself
	At       time.Time
}

// EndedHow is the end of a trial or a watch in one word.
type EndedHow string

// The ends.
const (
	EndedPassed     EndedHow = "passed"     // the watch saw nothing to revert for
	EndedReverted   EndedHow = "reverted"   // the condition became true
	EndedPromoted   EndedHow = "promoted"   // the canary serves everybody
	EndedAborted    EndedHow = "aborted"    // an operator ended the canary
	EndedUnmeasured EndedHow = "unmeasured" // the time is over, and nothing was measured
	EndedReplaced   EndedHow = "replaced"   // another revision was put in force
)

// Stands tells whether an applied revision still wins over the files on disk:
// as long as they are those that it was put in force over.
func (f *InForce) Stands(disk string) bool { return f.Applied && f.Disk == disk }

// Serving returns the revision in force with what is said of it. Where that was
// never stored, or its revision cannot be read, the newest revision counts as
// the one in force, as loaded from disk. False when there is no revision at all.
func Serving(ctx context.Context, s Store) (Revision, InForce, bool, error) {
	f, known, err := s.InForce(ctx)
	if err != nil && ctx.Err() != nil {
		return Revision{}, f, false, err
	}
	if err == nil && known {
		if r, err := s.Revision(ctx, f.Revision); err == nil {
			return r, f, true, nil
		}
	}
	r, known, latestErr := s.LatestRevision(ctx)
	if latestErr != nil || !known {
		return r, f, false, latestErr
	}
	return r, InForce{Version: f.Version, Revision: r.Number, Disk: r.Hash}, true, nil
}
