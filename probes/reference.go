package probes

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"fairway/steering"
)

// References is what vantages hold their own network against.
type References struct {
	Targets []Target
	Need    int // so many must answer; 0 = there are none
}

// ReferencesOf makes references of what a revision says. Any answer over HTTP will
// do: it is not the reference that is judged.
func ReferencesOf(r steering.References) References {
	refs := References{Need: r.Need}
	for _, text := range r.Targets {
		u, err := url.Parse(text)
		if err != nil {
			continue // the configuration's check refuses it
		}
		p := &steering.Probe{
			Name: "references", Type: steering.ProbeType(u.Scheme), Path: u.RequestURI(),
			Every: orElse(r.Every, 10*time.Second), Timeout: orElse(r.Timeout, 2*time.Second),
			Status: []steering.StatusRange{{From: 100, To: 599}}, MaxBytes: 1,
		}
		refs.Targets = append(refs.Targets, Target{
			Subject: steering.Subject("reference " + text), Probe: p, Host: hostOf(u), Port: portOf(p, u), Secure: u.Scheme == "https", Path: pathOf(p),
		})
	}
	return refs
}

// watch tells of one vantage whether its own network works. Before a failure that
// is new counts, the references are asked again: a cut seen by probes first must not
// be taken for the CDNs' fault.
type watch struct {
	vantage string
	places  []*assignment
	need    int
	measure measureFunc
	told    func(vantage string, c steering.Condition)

	asked    chan struct{} // somebody waits for a check that begins later
	known    chan struct{} // closed when the first check has ended
	once     sync.Once
	withheld *atomic.Int64
	cancel   context.CancelFunc

	mu    sync.Mutex
	now   steering.Condition
	began time.Time     // of the newest check that has ended
	ended chan struct{} // closed when the next check ends
}

// checkApart is the least time between two checks of one vantage's references:
// they belong to others.
const checkApart = time.Second

func newWatch(vantage string, places []*assignment, need int) *watch {
	return &watch{
		vantage: vantage, places: places, need: need,
		asked: make(chan struct{}, 1), known: make(chan struct{}), ended: make(chan struct{}),
	}
}

// equal tells whether two watches look at the same in the same way.
func (w *watch) equal(o *watch) bool {
	return w.need == o.need && slices.EqualFunc(w.places, o.places, (*assignment).equal)
}

// run checks the references at their pace, and sooner when asked to.
func (w *watch) run(ctx context.Context) {
	every := w.places[0].probe.Every
	for {
		w.check(ctx)
		if ctx.Err() != nil {
			return
		}
		pause := every
		if w.condition().Ill {
			pause = min(every, checkApart) // what it misses while it is ill, nobody else sees
		}
		apart := time.NewTimer(checkApart)
		regular := time.NewTimer(max(pause, checkApart))
		select {
		case <-ctx.Done():
		case <-regular.C:
		case <-w.asked:
			select {
			case <-ctx.Done():
			case <-apart.C:
			}
		}
		apart.Stop()
		regular.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// check asks every reference once.
func (w *watch) check(ctx context.Context) {
	began := time.Now()
	answers := make([][]steering.Measurement, len(w.places))
	var asking sync.WaitGroup
	for i, a := range w.places {
		asking.Go(func() { answers[i] = w.measure(ctx, a) })
	}
	asking.Wait()
	if ctx.Err() != nil {
		return
	}
	c := steering.Condition{Of: len(w.places), Need: w.need}
	for i, answer := range answers {
		switch at := slices.IndexFunc(answer, func(m steering.Measurement) bool { return m.OK() }); {
		case at >= 0:
			c.Fine++
		case c.Why != "":
		case len(answer) > 0:
			c.Why = fmt.Sprintf("%s: %s", w.places[i].name(), answer[0].Detail)
		default: // this machine could not even ask: no route, no address, no descriptor
			c.Why = fmt.Sprintf("%s: it cannot be asked from here", w.places[i].name())
		}
	}
	c.Ill = c.Fine < c.Need
	w.mu.Lock()
	was := w.now
	if c.Since = was.Since; c.Ill != was.Ill || was.Of == 0 {
		c.Since = time.Now()
	}
	w.now, w.began = c, began
	close(w.ended)
	w.ended = make(chan struct{})
	w.mu.Unlock()
	w.once.Do(func() { close(w.known) })
	if c.Ill != was.Ill || c.Fine != was.Fine || c.Of != was.Of {
		w.told(w.vantage, c)
	}
}

func (w *watch) condition() steering.Condition {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// sift gives of a batch what counts: all of it, or nothing while the vantage is ill.
// A failure that is new waits for a check that began after it was seen.
func (w *watch) sift(ctx context.Context, batch []steering.Measurement, new bool) []steering.Measurement {
	if w == nil || len(batch) == 0 {
		return batch
	}
	select {
	case <-w.known:
	case <-ctx.Done():
		return nil
	}
	if new {
		w.confirm(ctx, time.Now())
	}
	if ctx.Err() != nil {
		return nil
	}
	if w.condition().Ill {
		w.withheld.Add(int64(len(batch)))
		return nil
	}
	return batch
}

// confirm waits until a check has ended that began after a time.
func (w *watch) confirm(ctx context.Context, since time.Time) {
	for {
		w.mu.Lock()
		done, ended := w.began.After(since), w.ended
		w.mu.Unlock()
		if done {
			return
		}
		select {
		case w.asked <- struct{}{}:
		default:
		}
		select {
		case <-ctx.Done():
			return
		case <-ended:
		}
	}
}

// name is what a reference is called.
func (a *assignment) name() string {
	return strings.TrimPrefix(string(a.subject), "reference ")
}
