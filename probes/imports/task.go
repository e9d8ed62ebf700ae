package imports

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"fairway/steering"
)

// task asks for one import, again and again.
type task struct {
	*Importer
	of     steering.Import
	log    *slog.Logger
	stop   func() // guarded by Importer.mu
	memory memory // owned by run

	mu     sync.Mutex
	status Status
}

// memory is what the next turn must know of the last ones.
type memory struct {
	seen   map[string]time.Time // by target: the newest point that was taken
	counts map[string]count     // by target: what cloudprober had counted then
}

// yield is what one turn brought.
type yield struct {
	series       int
	signals      map[string][]steering.SignalReading // by signal: of those that were answered
	measurements []steering.Measurement
	notes        []string
}

func (y *yield) note(format string, args ...any) {
	y.notes = append(y.notes, fmt.Sprintf(format, args...))
}

func newTask(i *Importer, of steering.Import) *task {
	t := &task{Importer: i, of: of, log: i.config.Logger.With("import", of.Name), memory: newMemory()}
	t.status = Status{Name: of.Name, Source: withoutQuery(of.URL)}
	if of.Measurements != nil {
		t.status.Vantage = of.Measurements.Vantage
	}
	return t
}

func newMemory() memory {
	return memory{seen: make(map[string]time.Time), counts: make(map[string]count)}
}

// run asks until ctx ends. Turns do not overlap: one that takes long delays the next.
func (t *task) run(ctx context.Context) {
	next := time.Now().Add(rand.N(min(t.of.Every, time.Second))) // imports do not all ask at once
	for {
		timer := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		began := time.Now()
		t.turn(ctx, began)
		if next = next.Add(t.of.Every); next.Before(began) {
			next = began.Add(t.of.Every)
		}
	}
}

// turn asks once, and hands on what came.
func (t *task) turn(ctx context.Context, now time.Time) {
	y, err := t.ask(ctx, now)
	if ctx.Err() != nil {
		return
	}
	if len(y.measurements) > 0 {
		t.config.Observe(ctx, y.measurements)
	}
	holds := 0
	if len(t.of.Signals) > 0 {
		holds = t.learn(ctx, &t.of, y.signals, now)
	}
	t.note(y, holds, err, now)
}

// ask asks for everything that the import brings. What fails leaves the rest alone.
func (t *task) ask(ctx context.Context, now time.Time) (*yield, error) {
	y := &yield{signals: make(map[string][]steering.SignalReading)}
	a, err := newAsker(&t.of, t.most, t.revision.Load().Probing.Allows)
	if err != nil {
		return y, err
	}
	defer a.close()
	var problems []error
	for s := range t.of.Signals {
		if err := t.askSignal(ctx, a, &t.of.Signals[s], y, now); err != nil {
			problems = append(problems, fmt.Errorf("signal %s: %w", t.of.Signals[s].Name, err))
		}
	}
	if t.of.Measurements != nil {
		problems = append(problems, t.askProber(ctx, a, y, now))
	}
	return y, errors.Join(problems...)
}

// note keeps how the turn fared, and logs what is new of it.
func (t *task) note(y *yield, holds int, err error, now time.Time) {
	t.mu.Lock()
	was := t.status
	s := &t.status
	s.Asked, s.Error, s.Notes = now, "", y.notes
	s.Series, s.Readings, s.Measurements = y.series, holds, s.Measurements+uint64(len(y.measurements))
	if err != nil {
		s.Error, s.Failures = err.Error(), s.Failures+1
	} else {
		s.Answered = now
	}
	is := t.status
	t.mu.Unlock()
	switch {
	case is.Error != "" && was.Error == "":
		t.log.Error("an import fails: what it brought holds until it is stale, and no verdict changes by it", "source", is.Source, "err", err)
	case is.Error == "" && was.Error != "":
		t.log.Info("an import works again", "source", is.Source)
	}
	for _, n := range is.Notes {
		if !slices.Contains(was.Notes, n) {
			t.log.Warn("not all of an import is used", "source", is.Source, "why", n)
		}
	}
}

// told is how the import fares.
func (t *task) told() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.status
	s.Notes = slices.Clone(s.Notes)
	return s
}
