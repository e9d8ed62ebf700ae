package api

import (
	"context"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"fairway/policies"
	"fairway/steering"
)

// Revisions is what a control node can do with configurations. The errors are
// those of Control, and ErrConflict when another change came first; an *Error
// with Findings tells what is wrong with files.
type Revisions interface {
	// Apply checks files as a reload does and puts them in force, or on trial.
	Apply(ctx context.Context, q ApplyRequest, watch time.Duration) (Applied, error)
	// Revisions lists those that are kept.
	Revisions(ctx context.Context) (RevisionList, error)
	// Revision returns one with its files.
	Revision(ctx context.Context, number uint64) (Revision, error)
	// Rollback puts an earlier revision in force again; 0 = what was before.
	Rollback(ctx context.Context, number uint64, by By) (Applied, error)
	// Promote has the canary serve everybody, Abort nobody.
	Promote(ctx context.Context, by By) (Applied, error)
	Abort(ctx context.Context, by By) (Applied, error)
}

// By says who changes something, and why. An author is required.
type By struct {
	Author string `json:"author"`
	Reason string `json:"reason,omitempty"`
}

// ApplyRequest is the body of POST /api/v1/revisions.
type ApplyRequest struct {
	By
	Files []File `json:"files"`
	// Expect is the number, or the beginning of the hash, of the revision in force
	// that the change was made for; empty = whatever is.
	Expect   string  `json:"expect,omitempty"`
	Canary   float64 `json:"canary,omitempty"`    // share of the clients at first, 0..1; 0 = all
	Watch    string  `json:"watch,omitempty"`     // such as "10m"; empty = not watched
	RevertIf string  `json:"revert_if,omitempty"` // when to take it back while watched: see policies.RevertIf
	// ConfirmShrink says that less than half of the services, hostnames or endpoints
	// are meant to be left.
	ConfirmShrink bool `json:"confirm_shrink,omitempty"`
	Promote       bool `json:"promote,omitempty"` // the canary serves everybody when the watch has passed
	DryRun        bool `json:"dry_run,omitempty"` // check only
}

// File is one configuration file, verbatim: base64 in JSON.
type File struct {
	Name string `json:"name"` // of a revision: relative to the configuration's folder, with forward slashes
	Data []byte `json:"data"`
}

// RevisionInfo is a revision without its files.
type RevisionInfo struct {
	Number   uint64        `json:"number,omitempty"` // in the node's store; 0 = not stored
	Hash     string        `json:"hash"`
	Author   string        `json:"author,omitempty"`
	Reason   string        `json:"reason,omitempty"`
	Created  time.Time     `json:"created"`
	Parent   uint64        `json:"parent,omitempty"`   // what a rollback goes back to; 0 = nothing
	Restores uint64        `json:"restores,omitempty"` // the earlier revision whose files these are again
	State    RevisionState `json:"state,omitempty"`
}

// RevisionState says whom a revision serves.
type RevisionState string

// The states; a revision without one serves nobody.
const (
	StateInForce RevisionState = "in force"
	StateCanary  RevisionState = "canary"
)

// Revision is a revision with its files: all that it takes to compile it
// elsewhere.
type Revision struct {
	RevisionInfo
	Files []File `json:"files"`
}

// RevisionList is the body of GET /api/v1/revisions, newest first.
type RevisionList struct {
	Revisions []RevisionInfo `json:"revisions"`
	Rollout   Rollout        `json:"rollout"`
}

// Applied is what a change came to.
type Applied struct {
	Revision  RevisionInfo      `json:"revision"`            // now in force or on trial; without a number after a dry run
	Unchanged bool              `json:"unchanged,omitempty"` // it was in force already
	DryRun    bool              `json:"dry_run,omitempty"`
	Findings  policies.Findings `json:"findings"` // warnings
	Rollout   Rollout           `json:"rollout"`
}

// Rollout is what is in force, on trial and watched.
type Rollout struct {
	InForce RevisionInfo `json:"in_force"`
	// Source is "applied" while an operator's revision wins over the files on
	// disk, else "file".
	Source string         `json:"source"`
	Canary *CanaryRollout `json:"canary,omitempty"`
	Watch  *WatchRollout  `json:"watch,omitempty"`
	Ended  *EndedRollout  `json:"ended,omitempty"` // how the last trial or watch ended
}

// The sources of a configuration.
const (
	SourceFile    = "file"
	SourceApplied = "applied"
)

// CanaryRollout is a revision on trial.
type CanaryRollout struct {
	Revision RevisionInfo `json:"revision"`
	Share    float64      `json:"share"` // of the clients, 0..1
}

// WatchRollout is a watch that is under way.
type WatchRollout struct {
	Revision uint64          `json:"revision"`
	Began    time.Time       `json:"began"`
	Until    time.Time       `json:"until"`
	RevertIf string          `json:"revert_if,omitempty"`
	Promote  bool            `json:"promote,omitempty"`
	Strikes  int             `json:"strikes"`         // times in a row that the condition held
	Worst    *WatchedFigures `json:"worst,omitempty"` // at the newest evaluation
}

// WatchedFigures is what the clients of one service in one region get.
type WatchedFigures struct {
	Service      string  `json:"service"`
	Region       string  `json:"region"`
	Availability float64 `json:"availability"`
	P50Ms        float64 `json:"p50_ms"`
	P95Ms        float64 `json:"p95_ms"`
	Down         int     `json:"down"`
}

// NewWatchedFigures gives figures as the API tells them; nil for none.
func NewWatchedFigures(f *steering.Figures) *WatchedFigures {
	if f == nil {
		return nil
	}
	return &WatchedFigures{f.Service, f.Region, f.Availability, milliseconds(f.P50), milliseconds(f.P95), f.Down}
}

// EndedRollout tells how a trial or a watch ended.
type EndedRollout struct {
	Revision uint64    `json:"revision"`
	How      string    `json:"how"` // passed, reverted, promoted, aborted, unmeasured, replaced
	Detail   string    `json:"detail,omitempty"`
	By       string    `json:"by"`
	At       time.Time `json:"at"`
}

// maxFiles bounds how many files make a configuration over the API.
const maxFiles = 1000

// check refuses a request that no configuration could make good, and returns how
// long to watch.
func (q *ApplyRequest) check() (time.Duration, error) {
	if err := q.By.check(); err != nil {
		return 0, err
	}
	if len(q.Files) == 0 || len(q.Files) > maxFiles {
		return 0, invalid(fmt.Sprintf("send 1 to %d files, each with name and data", maxFiles), "there are %d files", len(q.Files))
	}
	var names []string
	for _, f := range q.Files {
		ext := path.Ext(f.Name)
		if f.Name == "" || path.IsAbs(f.Name) || path.Clean(f.Name) != f.Name || strings.HasPrefix(f.Name, "..") ||
			strings.ContainsAny(f.Name, "\\\x00\n") || ext != ".yaml" && ext != ".yml" && !policies.IsZone(f.Name) {
			return 0, invalid("name files relative to the configuration's folder, such as fairway.yaml or zones/video.example.zone", "%q is no name of a configuration file", f.Name)
		}
		if slices.Contains(names, f.Name) {
			return 0, invalid("send each file once", "file %s is there twice", f.Name)
		}
		names = append(names, f.Name)
	}
	if !(q.Canary >= 0 && q.Canary <= 1) || math.IsNaN(q.Canary) {
		return 0, invalid("a share of the clients is between 0 and 1, such as 0.05", "canary %v is no share", q.Canary)
	}
	if q.Watch == "" {
		return 0, nil
	}
	watch, err := time.ParseDuration(q.Watch)
	if err != nil || watch <= 0 {
		return 0, invalid("write it like 10m", "watch %q is no time", q.Watch)
	}
	return watch, nil
}

func (b *By) check() error {
	if strings.TrimSpace(b.Author) == "" {
		return invalid("say who changes it: author", "there is no author")
	}
	return nil
}
