package rollout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fairway/steering"
	"fairway/steering/store"
)

// Store is the part of a store.Store that a Rollout needs.
type Store interface {
	PutRevision(ctx context.Context, r store.Revision) (uint64, error)
	Revision(ctx context.Context, number uint64) (store.Revision, error)
	Revisions(ctx context.Context) ([]store.Revision, error)
	PutInForce(ctx context.Context, f store.InForce) (uint64, error)
}

// Node is what puts revisions in force.
type Node interface {
	// Enforce puts one revision in force for everybody and, when canary is not
	// nil, another one for a share of the clients. It returns when doors answer by
	// them; after an error they answer as before.
	Enforce(ctx context.Context, serving store.Revision, canary *store.Revision, share float64) error
	// Figures tells what the clients of the canary, or those of the revision in
	// force, get by measurements made after a time.
	Figures(canary bool, since time.Time) []steering.Figures
	// Disk is the hash of the files on disk now; empty when they cannot be read.
	Disk() string
}

// Config is what a Rollout is made of. All of it is required but the logger.
type Config struct {
	Store Store
	Node  Node
	// Condition compiles a condition to revert for.
	Condition func(text string) (func(steering.Figures) bool, error)
	Logger    *slog.Logger
	// Serving is the revision in force, with what the store says of it: see
	// store.Serving. Both are zero when nothing is stored. Canary is the revision
	// of InForce.Canary; nil when there is none, or it cannot be put on trial.
	Serving store.Revision
	InForce store.InForce
	Canary  *store.Revision
	// Disk is the files on disk, when it is them that serve already; nil = Serving
	// does.
	Disk *store.Revision
	// Standby says that another node leads: nothing is recorded, and nothing may be
	// changed, before Lead.
	Standby bool
}

// Rollout holds what is in force. Make one with New.
type Rollout struct {
	Config
	status atomic.Pointer[Status]

	mu        sync.Mutex      // one change at a time, which its caller cannot end half-way; guards all below and Config's last part
	before    *store.Revision // that served before the newest apply, for when the store fails
	watched   func(steering.Figures) bool
	strikes   int               // evaluations in a row in which the condition held
	seen      bool              // something was evaluated
	worst     *steering.Figures // at the newest evaluation
	notBefore time.Time         // a watch does not end before, so that a restart does not skip it
}

// Errors that callers tell apart.
var (
	ErrConflict = store.ErrConflict
	ErrNotFound = store.ErrNotFound
	ErrInvalid  = errors.New("invalid")
)

// strikesToRevert is how many evaluations in a row must find the condition true:
// one bad second is no reason to move everybody.
const strikesToRevert = 3

// evaluateEvery is the time from one evaluation to the next.
const evaluateEvery = time.Second

// restartGrace is how long a watch goes on at least after a restart.
const restartGrace = 10 * time.Second

// byItself is the author of what no operator did.
const byItself = "fairway"

// New takes up what is in force. A watch goes on where it was.
func New(config Config) (*Rollout, error) {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Rollout{Config: config}
	if r.Standby {
		r.tell()
		return r, nil
	}
	if r.InForce.Canary != nil && r.Canary == nil {
		next := r.InForce
		next.Ended = ended(next.Canary.Revision, store.EndedReplaced, byItself, "it could not be put on trial again after a restart")
		next.Canary, next.Watch = nil, nil
		r.record(context.Background(), next)
	}
	if r.Disk != nil {
		r.loaded(context.Background(), *r.Disk)
	}
	if w := r.InForce.Watch; w != nil {
		var err error
		if r.watched, err = r.compile(w.RevertIf); err != nil {
			return nil, fmt.Errorf("the watch of revision %d: %w", w.Revision, err)
		}
		r.notBefore = time.Now().Add(restartGrace)
		r.Logger.Warn("a watch goes on", "revision", w.Revision, "until", w.Until, "revert_if", w.RevertIf)
	}
	r.tell()
	return r, nil
}

// Promote puts the canary in force for everybody. A watch goes on over it.
func (r *Rollout) Promote(ctx context.Context, author, reason string) (Outcome, error) {
	ctx = context.WithoutCancel(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Standby {
		return Outcome{}, errStandby
	}
	if r.Canary == nil {
		return Outcome{}, ErrNoCanary
	}
	watch := r.InForce.Watch
	if watch != nil {
		still := *watch
		still.Promote = false
		if watch = &still; still.RevertIf == "" {
			watch = nil
		}
	}
	return r.promote(ctx, author, reason, watch)
}

// ErrNoCanary is what an order for a trial gets when there is none.
var ErrNoCanary = fmt.Errorf("%w: no revision is on trial", ErrNotFound)

func (r *Rollout) promote(ctx context.Context, author, reason string, watch *store.Watch) (Outcome, error) {
	made := *r.Canary
	next := r.InForce
	next.Revision, next.Applied, next.Disk, next.Canary, next.Watch = made.Number, true, r.Node.Disk(), nil, watch
	next.Ended = ended(made.Number, store.EndedPromoted, author, reason)
	before := r.Serving
	if err := r.put(ctx, next, made, nil); err != nil {
		return Outcome{}, err
	}
	r.before = &before
	r.Logger.Warn("the canary was promoted: it serves everybody", "revision", made.Number, "author", author, "reason", reason)
	return Outcome{Revision: bare(made)}, nil
}

// replaced notes that a trial or a watch ended with something else coming in
// force.
func (r *Rollout) replaced(next *store.InForce) {
	if r.Canary != nil {
		next.Ended = ended(r.Canary.Number, store.EndedReplaced, byItself, "another revision came in force")
		r.Logger.Warn("the canary ends: another revision comes in force", "revision", r.Canary.Number)
	} else if w := r.InForce.Watch; w != nil {
		next.Ended = ended(w.Revision, store.EndedReplaced, byItself, "another revision came in force")
	}
}

func ended(revision uint64, how store.EndedHow, by, detail string) *store.Ended {
	return &store.Ended{Revision: revision, How: how, By: by, Detail: detail, At: time.Now().UTC()}
}

// put stores what is to be in force and then puts it in force: what serves is
// what a restart serves. When it cannot be put in force, the record goes back.
func (r *Rollout) put(ctx context.Context, next store.InForce, serving store.Revision, canary *store.Revision) error {
	next.Vouched = serving.Hash
	version, err := r.Store.PutInForce(ctx, next)
	if err != nil {
		return fmt.Errorf("nothing changed, since it could not be stored: %w", err)
	}
	next.Version = version
	if err := r.enforce(ctx, serving, canary, shareOf(next)); err != nil {
		r.InForce.Version = version
		r.record(ctx, r.InForce)
		return fmt.Errorf("nothing changed: %w", err)
	}
	r.adopt(next, serving, canary)
	return nil
}

// record stores what is in force already.
func (r *Rollout) record(ctx context.Context, next store.InForce) {
	next.Vouched = r.Serving.Hash
	version, err := r.Store.PutInForce(ctx, next)
	if err != nil {
		r.Logger.Error("what is in force is not stored: a restart would begin from before", "revision", next.Revision, "err", err)
	} else {
		next.Version = version
	}
	r.adopt(next, r.Serving, r.Canary)
}

// enforceTimeout bounds how long doors may take to answer by another revision.
const enforceTimeout = 30 * time.Second

func (r *Rollout) enforce(ctx context.Context, serving store.Revision, canary *store.Revision, share float64) error {
	ctx, cancel := context.WithTimeout(ctx, enforceTimeout)
	defer cancel()
	return r.Node.Enforce(ctx, serving, canary, share)
}

// adopt remembers what is in force.
func (r *Rollout) adopt(next store.InForce, serving store.Revision, canary *store.Revision) {
	before := r.InForce.Watch
	r.InForce, r.Serving, r.Canary = next, serving, canary
	if next.Watch == nil || before == nil || *next.Watch != *before {
		r.strikes, r.seen, r.worst, r.watched, r.notBefore = 0, false, nil, nil, time.Time{}
		if next.Watch != nil {
			r.watched, _ = r.compile(next.Watch.RevertIf) // it was compiled before it was stored
		}
	}
	r.tell()
}

func shareOf(f store.InForce) float64 {
	if f.Canary == nil {
		return 0
	}
	return f.Canary.Share
}

// bare is a revision without its files.
func bare(r store.Revision) store.Revision {
	r.Files = nil
	return r
}

func orElse(text, otherwise string) string {
	if strings.TrimSpace(text) == "" {
		return otherwise
	}
	return text
}

func percent(share float64) string { return strconv.FormatFloat(100*share, 'g', 4, 64) + " %" }
