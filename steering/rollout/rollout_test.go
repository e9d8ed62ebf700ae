package rollout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"fairway/steering"
	"fairway/steering/store"
	"fairway/steering/store/filestore"
)

// fakeNode remembers what it was told to enforce and gives figures as it is told.
type fakeNode struct {
	mu       sync.Mutex
	enforced []string // "hash" or "hash+canary@share"
	refuse   error
	figures  []steering.Figures
	canary   bool // the newest question was about the canary's clients
	disk     string
}

func (n *fakeNode) Enforce(_ context.Context, serving store.Revision, canary *store.Revision, share float64) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.refuse != nil {
		return n.refuse
	}
	what := serving.Hash
	if canary != nil {
		what += fmt.Sprintf("+%s@%g", canary.Hash, share)
	}
	n.enforced = append(n.enforced, what)
	return nil
}

func (n *fakeNode) Figures(canary bool, since time.Time) []steering.Figures {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.canary = canary
	return n.figures
}

func (n *fakeNode) Disk() string { return n.disk }

func (n *fakeNode) now() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.enforced[len(n.enforced)-1]
}

func (n *fakeNode) see(availability float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.figures = []steering.Figures{
		{Service: "live", Region: "na", Availability: 1, P95: time.Second},
		{Service: "live", Region: "eu", Availability: availability},
	}
}

func (n *fakeNode) seeNothing() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.figures = nil
}

// condition knows one condition.
func condition(text string) (func(steering.Figures) bool, error) {
	if text != "availability < 0.99" {
		return nil, errors.New("unknown variable")
	}
	return func(f steering.Figures) bool { return f.Availability < 0.99 }, nil
}

// rig is a Rollout over a real store, with the files "disk" in force.
type rig struct {
	*testing.T
	*Rollout
	node  *fakeNode
	store *filestore.Store
	dir   string
}

func newRig(t *testing.T) *rig {
	r := &rig{T: t, node: &fakeNode{disk: "disk"}, dir: t.TempDir()}
	r.node.see(1)
	r.start()
	if err := r.Loaded(t.Context(), revision("disk", "file")); err != nil {
		t.Fatal(err)
	}
	return r
}

// start makes a Rollout of what the folder holds, as a node does at its start.
func (r *rig) start() {
	r.Helper()
	var err error
	if r.store, err = filestore.Open(r.dir, filestore.Options{Writer: true}); err != nil {
		r.Fatal(err)
	}
	serving, inForce, _, err := store.Serving(r.Context(), r.store)
	if err != nil {
		r.Fatal(err)
	}
	config := Config{Store: r.store, Node: r.node, Condition: condition, Serving: serving, InForce: inForce}
	if c := inForce.Canary; c != nil {
		canary, err := r.store.Revision(r.Context(), c.Revision)
		if err != nil {
			r.Fatal(err)
		}
		config.Canary = &canary
	}
	if r.Rollout, err = New(config); err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { r.store.Close() })
}

// restart begins anew from the store, as after kill -9.
func (r *rig) restart() {
	r.store.Close()
	r.start()
}

func revision(hash, author string) store.Revision {
	return store.Revision{Hash: hash, Author: author, Reason: "because", Files: []store.File{{Name: "a.yaml", Data: []byte(hash)}}}
}

func (r *rig) apply(q Request) Outcome {
	r.Helper()
	if q.Revision.Author == "" {
		q.Revision = revision(q.Revision.Hash, "ann")
	}
	o, err := r.Apply(r.Context(), q)
	if err != nil {
		r.Fatal(err)
	}
	return o
}

func hash(h string) store.Revision { return store.Revision{Hash: h} }

// want checks what doors answer by, what the store says, and how the last trial
// or watch ended.
func (r *rig) want(when, enforced string, number uint64, applied bool, ended store.EndedHow) {
	r.Helper()
	if got := r.node.now(); got != enforced {
		r.Errorf("%s: doors answer by %s, want %s", when, got, enforced)
	}
	serving, f, _, err := store.Serving(r.Context(), r.store)
	if err != nil {
		r.Fatal(err)
	}
	if f.Revision != number || f.Applied != applied || !strings.HasPrefix(enforced, serving.Hash) || (f.Canary != nil) != strings.Contains(enforced, "+") {
		r.Errorf("%s: stored revision %d (%s) applied %v canary %+v; want %d, %v", when, f.Revision, serving.Hash, f.Applied, f.Canary, number, applied)
	}
	how := store.EndedHow("")
	if f.Ended != nil {
		how = f.Ended.How
	}
	if how != ended {
		r.Errorf("%s: the last trial or watch ended %q, want %q", when, how, ended)
	}
	if s := r.Status(); s.InForce.Revision != f.Revision || s.Serving.Hash != serving.Hash || (s.Canary != nil) != (f.Canary != nil) {
		r.Errorf("%s: status says %+v", when, s)
	}
}

func TestApplyAndRollback(t *testing.T) {
	r := newRig(t)
	r.want("at first", "disk", 1, false, "")
	if o := r.apply(Request{Revision: hash("two"), Expect: "1"}); o.Revision.Number != 2 || o.Revision.Parent != 1 || o.Unchanged {
		t.Errorf("outcome %+v", o)
	}
	r.want("applied", "two", 2, true, "")
	if o := r.apply(Request{Revision: hash("two")}); !o.Unchanged || o.Revision.Number != 2 {
		t.Errorf("the same again: %+v", o)
	}
	r.apply(Request{Revision: hash("three")})
	r.restart()
	if s := r.Status(); s.Serving.Number != 3 || !s.InForce.Stands("disk") || s.InForce.Stands("changed") {
		t.Errorf("after a restart: %+v", s)
	}
	for i, want := range []string{"two", "disk"} { // each goes further back
		o, err := r.Rollback(t.Context(), 0, "bob", "oops")
		if err != nil || o.Revision.Author != "bob" || o.Revision.Restores != uint64(2-i) {
			t.Fatalf("rollback: %+v, %v", o, err)
		}
		r.want("rolled back", want, uint64(4+i), true, "")
	}
	if _, err := r.Rollback(t.Context(), 0, "bob", ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("back from the first one: %v", err)
	}
	if o, err := r.Rollback(t.Context(), 3, "bob", ""); err != nil || o.Revision.Hash != "three" {
		t.Errorf("to revision 3: %+v, %v", o, err)
	}
	if _, err := r.Rollback(t.Context(), 77, "bob", ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("to revision 77: %v", err)
	}
}

func TestExpect(t *testing.T) {
	r := newRig(t)
	r.apply(Request{Revision: hash("abcdef0123"), Expect: "1"})
	for _, stale := range []string{"1", "99", "abcdef9", "abc"} {
		q := Request{Revision: revision("late", "bob"), Expect: stale}
		if _, err := r.Apply(t.Context(), q); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "by ann") {
			t.Errorf("expect %s: %v, want a conflict that tells who was first", stale, err)
		}
	}
	r.want("after conflicts", "abcdef0123", 2, true, "")
	r.apply(Request{Revision: hash("next"), Expect: "ABCDEF"})
	r.want("by the hash", "next", 3, true, "")
}

func TestRequestsAreChecked(t *testing.T) {
	r := newRig(t)
	for name, q := range map[string]Request{
		"no author":                    {Revision: revision("x", " ")},
		"a share above 1":              {Revision: revision("x", "ann"), Share: 1.5},
		"a negative share":             {Revision: revision("x", "ann"), Share: -0.1},
		"a condition without a time":   {Revision: revision("x", "ann"), RevertIf: "availability < 0.99"},
		"a time without a condition":   {Revision: revision("x", "ann"), Watch: time.Minute},
		"a condition that is none":     {Revision: revision("x", "ann"), Watch: time.Minute, RevertIf: "availabilty"},
		"a promotion without a canary": {Revision: revision("x", "ann"), Watch: time.Minute, Promote: true},
		"a watch of a month":           {Revision: revision("x", "ann"), Watch: 30 * 24 * time.Hour, RevertIf: "availability < 0.99"},
		"a promotion without a time":   {Revision: revision("x", "ann"), Share: 0.1, Promote: true},
	} {
		if _, err := r.Apply(t.Context(), q); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	r.want("after refusals", "disk", 1, false, "")
}

func TestWhatCannotBeEnforcedIsNotInForce(t *testing.T) {
	r := newRig(t)
	r.node.refuse = errors.New("the zones have errors")
	if _, err := r.Apply(t.Context(), Request{Revision: revision("two", "ann")}); err == nil || !strings.Contains(err.Error(), "zones have errors") {
		t.Errorf("apply: %v", err)
	}
	r.node.refuse = nil
	r.want("after it", "disk", 1, false, "")
	r.apply(Request{Revision: hash("three")})
	r.want("and on", "three", 3, true, "")
}

func TestCanaryByHand(t *testing.T) {
	r := newRig(t)
	if _, err := r.Promote(t.Context(), "ann", ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("promote nothing: %v", err)
	}
	if _, err := r.Abort(t.Context(), "ann", ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("abort nothing: %v", err)
	}
	r.apply(Request{Revision: hash("two"), Share: 0.05})
	r.want("on trial", "disk+two@0.05", 1, false, "")
	if _, err := r.Apply(t.Context(), Request{Revision: revision("three", "bob")}); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "5 %") {
		t.Errorf("another apply: %v, want a conflict", err)
	}
	r.apply(Request{Revision: hash("two"), Share: 0.2})
	r.want("grown", "disk+two@0.2", 1, false, "")
	r.restart()
	if s := r.Status(); s.Canary == nil || s.Canary.Hash != "two" || s.InForce.Canary.Share != 0.2 {
		t.Errorf("after a restart: %+v", s)
	}
	if _, err := r.Abort(t.Context(), "bob", "no"); err != nil {
		t.Fatal(err)
	}
	r.want("aborted", "disk", 1, false, store.EndedAborted)

	r.apply(Request{Revision: hash("two"), Share: 0.05})
	if _, err := r.Promote(t.Context(), "bob", "yes"); err != nil {
		t.Fatal(err)
	}
	r.want("promoted", "two", 2, true, store.EndedPromoted)
	if o, err := r.Rollback(t.Context(), 0, "bob", ""); err != nil || o.Revision.Hash != "disk" {
		t.Errorf("rollback after the promotion: %+v, %v", o, err)
	}

	r.apply(Request{Revision: hash("three"), Share: 0.05})
	r.apply(Request{Revision: hash("three")}) // as a whole: that is a promotion
	r.want("applied as a whole", "three", 4, true, store.EndedPromoted)
	r.apply(Request{Revision: hash("four"), Share: 0.05})
	if _, err := r.Rollback(t.Context(), 0, "bob", ""); err != nil {
		t.Fatal(err)
	}
	r.want("a rollback ends the canary first", "three", 4, true, store.EndedAborted)
}

// Files that change on disk win over what was applied and end a canary; files
// that are in force already change only the record.
func TestFilesOnDisk(t *testing.T) {
	r := newRig(t)
	r.apply(Request{Revision: hash("two")})
	r.apply(Request{Revision: hash("three"), Share: 0.5})
	if err := r.Loaded(t.Context(), revision("two", "file")); err != nil {
		t.Fatal(err)
	}
	r.want("the applied files were written to disk", "two+three@0.5", 2, false, "")
	if err := r.Loaded(t.Context(), revision("disk2", "file")); err != nil {
		t.Fatal(err)
	}
	r.want("other files", "disk2", 4, false, store.EndedReplaced)
	if err := r.Again(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.want("again", "disk2", 4, false, store.EndedReplaced)
	if o, err := r.Rollback(t.Context(), 0, "ann", ""); err != nil || o.Revision.Hash != "two" {
		t.Errorf("rollback from changed files: %+v, %v", o, err)
	}
}

// inBubble runs f beside a running Rollout, with ten minutes passing in no time.
func inBubble(t *testing.T, f func(*rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		f(r)
	})
}

// run lets time pass with the Rollout running.
func (r *rig) run(d time.Duration) {
	ctx, cancel := context.WithCancel(r.Context())
	var done sync.WaitGroup
	done.Go(func() { r.Rollout.Run(ctx) })
	time.Sleep(d)
	cancel()
	done.Wait()
}

var watched = Request{Revision: hash("two"), Watch: 10 * time.Minute, RevertIf: "availability < 0.99"}

func TestRevertsByItself(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.apply(watched)
		r.run(time.Minute)
		r.node.see(0.5)
		r.run(2500 * time.Millisecond)
		r.want("two bad seconds", "two", 2, true, "")
		r.node.see(1)
		r.run(time.Second)
		r.node.see(0.5)
		r.run(2500 * time.Millisecond)
		r.want("two more", "two", 2, true, "")
		if s := r.Status(); s.Strikes != 2 || s.Worst == nil || s.Worst.Region != "eu" {
			r.Errorf("status while watching: %+v", s)
		}
		r.run(time.Second)
		r.want("three in a row", "disk", 3, true, store.EndedReverted)
		s := r.Status()
		if s.Serving.Author != "fairway" || s.Serving.Restores != 1 || !strings.Contains(s.InForce.Ended.Detail, "live in eu: availability 0.5") {
			r.Errorf("status after the revert: %+v, %+v", s.Serving, s.InForce.Ended)
		}
		r.run(time.Minute)
		r.want("and it stays", "disk", 3, true, store.EndedReverted)
	})
}

func TestWatchPasses(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.apply(watched)
		r.run(9 * time.Minute)
		if r.Status().InForce.Watch == nil {
			r.Error("the watch ended early")
		}
		r.run(time.Minute + time.Second)
		r.want("passed", "two", 2, true, store.EndedPassed)
		r.node.see(0)
		r.run(time.Minute)
		r.want("nobody watches any more", "two", 2, true, store.EndedPassed)
	})
}

func TestCanaryIsPromotedOrStays(t *testing.T) {
	inBubble(t, func(r *rig) {
		q := watched
		q.Share = 0.05
		r.apply(q)
		r.run(11 * time.Minute)
		if !r.node.canary {
			r.Error("the figures were not those of the canary's clients")
		}
		r.want("without --promote it stays", "disk+two@0.05", 1, false, store.EndedPassed)
		q.Promote = true
		r.apply(q)
		r.run(11 * time.Minute)
		r.want("promoted", "two", 2, true, store.EndedPromoted)
	})
}

func TestCanaryIsReverted(t *testing.T) {
	inBubble(t, func(r *rig) {
		q := watched
		q.Share, q.Promote = 0.05, true
		r.apply(q)
		r.node.see(0.98)
		r.run(5 * time.Second)
		r.want("reverted", "disk", 1, false, store.EndedReverted)
	})
}

// A watch outlives its process, and does not end before it has looked again.
func TestWatchSurvivesARestart(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.apply(watched)
		r.run(time.Minute)
		r.restart()
		r.node.see(0.5)
		r.run(4 * time.Second)
		r.want("reverted after a restart", "disk", 3, true, store.EndedReverted)

		q := watched
		q.Revision = hash("four")
		r.node.see(1)
		r.apply(q)
		r.store.Close()
		time.Sleep(time.Hour) // the node is away while the time of the watch ends
		r.start()
		r.node.seeNothing() // as long as nothing has been measured again
		r.run(4 * time.Second)
		r.node.see(0.5)
		r.run(4 * time.Second)
		r.want("reverted when the time was over already", "disk", 5, true, store.EndedReverted)
	})
}

// Where nothing is measured, nothing is proved.
func TestUnmeasured(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.node.seeNothing()
		q := watched
		q.Share, q.Promote = 0.05, true
		r.apply(q)
		r.run(11 * time.Minute)
		r.want("the canary stays", "disk+two@0.05", 1, false, store.EndedUnmeasured)
	})
}

func TestPromotedByHandIsStillWatched(t *testing.T) {
	inBubble(t, func(r *rig) {
		q := watched
		q.Share = 0.05
		r.apply(q)
		r.run(time.Minute)
		if _, err := r.Promote(r.Context(), "ann", ""); err != nil {
			r.Fatal(err)
		}
		r.node.see(0.5)
		r.run(4 * time.Second)
		r.want("reverted", "disk", 3, true, store.EndedReverted)
	})
}

// A disk that is full or read-only does not hold up a revert.
func TestRevertsWithoutTheStore(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.apply(watched)
		r.store.Close()
		r.node.see(0.5)
		r.run(5 * time.Second)
		if got := r.node.now(); got != "disk" {
			r.Errorf("doors answer by %s, want disk", got)
		}
		if s := r.Status(); s.Serving.Hash != "disk" || s.InForce.Watch != nil {
			r.Errorf("status %+v", s)
		}
		if _, err := r.Apply(r.Context(), Request{Revision: revision("three", "ann")}); err == nil || r.node.now() != "disk" {
			r.Errorf("an apply that cannot be stored: %v, doors answer by %s", err, r.node.now())
		}
		r.start() // the record is that of before
		if s := r.Status(); s.Serving.Hash != "two" || s.InForce.Watch == nil {
			r.Errorf("after the restart: %+v", s)
		}
	})
}

func TestRevertIsTriedAgain(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.apply(watched)
		r.node.see(0.5)
		r.node.refuse = errors.New("busy")
		r.run(5 * time.Second)
		if s := r.Status(); s.Serving.Hash != "two" || s.InForce.Watch == nil {
			r.Errorf("while it cannot be enforced: %+v", s)
		}
		r.node.refuse = nil
		r.run(2 * time.Second)
		if got := r.node.now(); got != "disk" || r.Status().Serving.Hash != "disk" {
			r.Errorf("doors answer by %s, want disk", got)
		}
	})
}
