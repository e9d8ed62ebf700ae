package imports

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fairway/steering"
	"fairway/steering/crew"
)

// Config is what an Importer needs.
type Config struct {
	// Observe takes measurements. Required.
	Observe func(context.Context, []steering.Measurement)
	// Tell takes all signals that are known, in place of those before. Required.
	Tell func(context.Context, *steering.SignalTable)
	// Logger gets what operators should know. Default: nothing is logged.
	Logger *slog.Logger
}

// Importer asks other systems. Make one with New; Set says whom. All methods may be
// called from any goroutine.
type Importer struct {
	config   Config
	most     int // octets of an answer
	revision atomic.Pointer[steering.Revision]

	mu      sync.Mutex
	tasks   map[string]*task
	running crew.Crew // tasks

	telling  sync.Mutex // held from changing what is known until it was told
	readings map[string][]steering.SignalReading
}

// Status is how an import fares.
type Status struct {
	Name         string
	Source       string // URL, without a query
	Vantage      string // as which its measurements count; empty = it brings none
	Asked        time.Time
	Answered     time.Time // when all that was asked for came the last time; zero = never
	Error        string    // why it did not the last time; empty = it did
	Failures     uint64    // turns that failed
	Series       int       // that came the last time
	Readings     int       // of signals, that hold now
	Measurements uint64
	Notes        []string // what came and is not used, or is missing
}

// New checks the configuration.
func New(c Config) (*Importer, error) {
	if c.Observe == nil || c.Tell == nil {
		return nil, errors.New("imports: nobody takes what is brought")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	i := &Importer{config: c, most: maxAnswer, tasks: make(map[string]*task), readings: make(map[string][]steering.SignalReading)}
	i.revision.Store(new(steering.Revision))
	return i, nil
}

// Remember takes signals of an earlier run, before Run: they hold until they are stale.
func (i *Importer) Remember(readings []steering.SignalReading) {
	i.telling.Lock()
	defer i.telling.Unlock()
	for _, r := range readings {
		i.readings[r.Signal] = append(i.readings[r.Signal], r)
	}
}

// Set says what is imported from now on. Imports that stay as they are go on.
func (i *Importer) Set(r *steering.Revision) {
	i.revision.Store(r)
	i.mu.Lock()
	defer i.mu.Unlock()
	wanted := make(map[string]bool)
	for at := range r.Imports {
		of := r.Imports[at]
		of.Place = steering.Place{}
		of.Signals = slices.Clone(of.Signals)
		for s := range of.Signals {
			of.Signals[s].Place = steering.Place{}
		}
		wanted[of.Name] = true
		if was := i.tasks[of.Name]; was != nil {
			if reflect.DeepEqual(was.of, of) {
				continue
			}
			was.stop()
		}
		t := newTask(i, of)
		i.tasks[of.Name] = t
		t.stop = i.running.Go(t.run)
	}
	for name, t := range i.tasks {
		if !wanted[name] {
			t.stop()
			delete(i.tasks, name)
		}
	}
	i.forget(r)
}

// Run asks until ctx ends. It may be called once.
func (i *Importer) Run(ctx context.Context) error { return i.running.Run(ctx) }

// Status tells how the imports fare, by name.
func (i *Importer) Status() []Status {
	i.mu.Lock()
	tasks := make([]*task, 0, len(i.tasks))
	for _, name := range slices.Sorted(maps.Keys(i.tasks)) {
		tasks = append(tasks, i.tasks[name])
	}
	i.mu.Unlock()
	all := make([]Status, 0, len(tasks))
	for _, t := range tasks {
		all = append(all, t.told())
	}
	return all
}

// forget drops what is known of signals that nobody imports any more.
func (i *Importer) forget(r *steering.Revision) {
	i.telling.Lock()
	defer i.telling.Unlock()
	still := make(map[string]bool)
	for at := range r.Imports {
		for s := range r.Imports[at].Signals {
			still[r.Imports[at].Signals[s].Name] = true
		}
	}
	maps.DeleteFunc(i.readings, func(signal string, _ []steering.SignalReading) bool { return !still[signal] })
}

// learn takes what a turn found of an import's signals, drops what is stale, and tells
// all that is known. It returns how many readings the import has.
func (i *Importer) learn(ctx context.Context, of *steering.Import, found map[string][]steering.SignalReading, now time.Time) (holds int) {
	i.telling.Lock()
	defer i.telling.Unlock()
	maps.Copy(i.readings, found)
	for s := range of.Signals {
		name := of.Signals[s].Name
		i.readings[name] = slices.DeleteFunc(slices.Clone(i.readings[name]), func(r steering.SignalReading) bool { return now.Sub(r.At) > of.Stale })
		holds += len(i.readings[name])
	}
	var all []steering.SignalReading
	for _, of := range i.readings {
		all = append(all, of...)
	}
	i.config.Tell(ctx, steering.NewSignalTable(all))
	return holds
}
