package nearest

import (
	"context"
	"time"

	"fairway/steering/store"
)

var everything = store.Change{Revision: true, Overrides: true, State: true, Values: true}

// Watch implements store.Store. It is also what changes from one source to another, so
// one watch at a time is enough, and all that should be.
func (s *Store) Watch(ctx context.Context) <-chan store.Change {
	ctx, stop := context.WithCancel(ctx)
	w := &watch{of: s, ctx: ctx, news: make(chan news), changes: make(chan store.Change)}
	w.listen(s.config.Sources[0].Watch(ctx), stop)
	go w.run()
	return w.changes
}

// watch follows the first source, and those after it as far as the ones before are not
// well.
type watch struct {
	of      *Store
	ctx     context.Context
	sources []listened // from the first on
	news    chan news
	changes chan store.Change
}

// listened is a source that is watched.
type listened struct {
	why   error     // it is not well; nil = it is
	since time.Time // that it is well, or not
	stop  context.CancelFunc
}

// news is that something changed in a source.
type news struct {
	source int
	change store.Change
}

func (w *watch) run() {
	defer close(w.changes)
	defer w.drop(0)
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var pending store.Change
	for {
		send := w.changes
		if !pending.Any() {
			send = nil
		}
		select {
		case <-w.ctx.Done():
			return
		case n := <-w.news:
			if n.source == w.of.Now() {
				pending = pending.Or(n.change)
			}
		case send <- pending:
			pending = store.Change{}
		case <-tick.C:
			if w.choose() {
				pending = everything
			}
		}
	}
}

// listen follows one source more.
func (w *watch) listen(changes <-chan store.Change, stop context.CancelFunc) {
	source := len(w.sources)
	w.sources = append(w.sources, listened{since: time.Now(), stop: stop})
	go func() {
		defer stop() // of the first source: of all, which are closed together
		for change := range changes {
			select {
			case <-w.ctx.Done():
				return
			case w.news <- news{source, change}:
			}
		}
	}()
}

// drop follows none of the sources from one on.
func (w *watch) drop(from int) {
	for _, l := range w.sources[from:] {
		l.stop()
	}
	w.sources = w.sources[:from]
}

// choose looks how the sources are, and tells whether another one is read now.
func (w *watch) choose() bool {
	for i := range w.sources {
		l := &w.sources[i]
		why := w.of.config.Sources[i].Behind()
		if (why == nil) != (l.why == nil) {
			l.since = time.Now()
		}
		l.why = why
	}
	was := w.of.Now()
	want, found := w.best(was)
	if !found {
		w.further()
		return false
	}
	w.drop(want + 1)
	if want == was {
		return false
	}
	w.of.now.Store(int32(want))
	w.of.config.Tell(want, w.sources[0].why)
	return true
}

// best is the first source that is well; one that was left, when it has been well for
// long enough, or the one that is read is not.
func (w *watch) best(now int) (source int, found bool) {
	for i, l := range w.sources {
		if l.why == nil && (i >= now || time.Since(l.since) >= returnAfter || w.sources[now].why != nil) {
			return i, true
		}
	}
	return 0, false
}

// further has the next source followed, when those that are have not been well for a
// while.
func (w *watch) further() {
	next := len(w.sources)
	if next == len(w.of.config.Sources) {
		return
	}
	for _, l := range w.sources {
		if time.Since(l.since) < leaveAfter {
			return
		}
	}
	ctx, stop := context.WithCancel(w.ctx)
	w.listen(w.of.config.Sources[next].Watch(ctx), stop)
}
