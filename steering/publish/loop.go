package publish

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"fairway/steering"
	"fairway/steering/estimate"
	"fairway/steering/health"
)

// Config is what a Loop needs.
type Config struct {
	// Layout is the revision and network map to begin with. Required.
	Layout *steering.Layout
	// Canary is a revision on trial for CanaryShare (0..1) of the clients; nil =
	// none.
	Canary      *steering.Layout
	CanaryShare float64
	// Saved is the state of an earlier run, nil when there is none. Its
	// verdicts and shares stand until measurements say otherwise.
	Saved *steering.State
	// Follow is the snapshot of the loop that leads, where this one begins by standing
	// by; see Loop.Follow. nil = this one leads.
	Follow *steering.Snapshot
	// Overrides are those in the store.
	Overrides []steering.Override
	// Publish hands a snapshot to the doors. It must return at once. Required.
	Publish func(*steering.Snapshot)
	// Save stores the dynamic half; it may take its time, and is never called
	// twice at once. nil = nothing is stored.
	Save func(context.Context, steering.State) error
	// Handed returns what this node's doors have handed out since they began; see
	// steering.Handed. nil = this node has no doors.
	Handed func() []steering.Handed
	// Changed is told of verdicts that changed. It must return at once. nil = nobody is.
	Changed func([]health.Change)
	// Coalesce is the least time between two decision rounds, default 100 ms.
	// Larger saves work and delays every reaction by so much at most.
	Coalesce time.Duration
	// SaveEvery is the least time between two saves, default 1 s. Where a save takes
	// long, the time between is longer: see restAfter.
	SaveEvery time.Duration
	// RefreshEvery is how old the figures beside verdicts, and the books of what
	// providers carried, may be in what is saved; verdicts are always the newest. 0 =
	// all is as of the save. Where every save is sent to a fleet, these would be most
	// of what is sent.
	RefreshEvery time.Duration
	// Logger gets verdict changes and generations. nil = none.
	Logger *slog.Logger

	began time.Time // of the first generation; zero = now
}

// Loop turns inputs into generations; see the package comment.
type Loop struct {
	config Config
	log    *slog.Logger
	inlet  chan []steering.Measurement
	orders chan order
	saves  chan struct{}
	view   atomic.Pointer[View]

	// Owned by the goroutine of Run (and by New before it).
	judge     *health.Judge
	estimates estimates
	played    steering.PlayedTable
	signals   *steering.SignalTable
	causes    []steering.Cause
	overrides []steering.Override
	table     steering.HealthTable
	traffic   *traffic
	main      *track
	canary    *track // nil = none
	share     float64
	standby   bool               // another loop decides
	following Layouts            // of that one
	followed  *steering.Snapshot // of that one
	decided   bool               // while standing by: nothing was followed since it decided last
	restart   uint64             // the generation to go on from in the next round; 0 = the last one
}

// View is what the loop knew after its last round: immutable, and consistent
// in itself.
type View struct {
	Snapshot  *steering.Snapshot
	Health    steering.HealthTable
	Overrides []steering.Override
	PoolDown  map[string]string // pool → why
	Traffic   Traffic
	Causes    []steering.Cause // that lie behind several verdicts at once
	Stretch   float64          // by which the caps are passed since all of them together are too few; 1 = they hold
	Estimates *estimate.Table  // of what fetches cost; nil = no policy asks
	Signals   *steering.SignalTable
	Braked    []steering.Braked // mass-down brakes that hold, of the main layout
	Following bool              // the snapshot is another loop's
	At        time.Time
	main      *side // nil while following
	canary    *side // nil = none
	usage     *steering.UsageState
}

// order is a change by an operator, applied between rounds; done is closed
// when doors answer by it.
type order struct {
	apply func(now time.Time)
	done  chan struct{}
}

// New checks the configuration, makes the first generation and publishes it,
// so that doors can answer before Run has begun and before any measurement.
func New(config Config) (*Loop, error) {
	var missing []error
	if config.Layout == nil {
		missing = append(missing, errors.New("publish: a layout is required"))
	}
	if config.Publish == nil {
		missing = append(missing, errors.New("publish: a place to publish to is required"))
	}
	layouts := Layouts{Main: config.Layout, Canary: config.Canary, Share: config.CanaryShare}
	if err := layouts.check(); err != nil {
		missing = append(missing, err)
	}
	if missing != nil {
		return nil, errors.Join(missing...)
	}
	if config.Coalesce <= 0 {
		config.Coalesce = 100 * time.Millisecond
	}
	if config.SaveEvery <= 0 {
		config.SaveEvery = time.Second
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Loop{
		config: config, log: config.Logger,
		inlet:  make(chan []steering.Measurement, 1024),
		orders: make(chan order),
		saves:  make(chan struct{}, 1),
		judge:  health.New(),
	}
	generation := uint64(0)
	saved := steering.State{}
	if config.Saved != nil {
		saved = *config.Saved
		generation = saved.Generation + leap
	}
	l.overrides = config.Overrides
	l.judge.Configure(layouts.measured())
	l.estimates.configure(layouts.measured())
	l.judge.Restore(saved.Health)
	l.signals = steering.NewSignalTable(saved.Signals)
	l.traffic = restoredTraffic(saved.Usage)
	now := config.began
	if now.IsZero() {
		now = time.Now()
	}
	if config.Follow != nil {
		l.main = newTrack(config.Layout, emptySlots(config.Layout)) // until it leads, nothing reads it
		l.follow(Followed{Layouts: layouts, Snapshot: config.Follow, Overrides: config.Overrides})
		l.standing(now)
		return l, nil
	}
	l.resume(layouts, saved, now)
	l.round(now, generation)
	return l, nil
}

// leap is how far the numbering jumps at a restart. The newest generations of a
// killed process were never stored; their numbers must not be given to other
// answers, or a node that still has one of them would not take the new one. A
// loop makes ten generations a second at most and stores each second.
const leap = 1000

// Observe hands over a batch. It waits only when the loop is more than a
// thousand batches behind, and gives up when ctx ends. The batch is kept.
func (l *Loop) Observe(ctx context.Context, batch []steering.Measurement) error {
	select {
	case l.inlet <- batch:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// SetOverrides replaces the operators' overrides and returns when doors answer
// by them.
func (l *Loop) SetOverrides(ctx context.Context, overrides []steering.Override) error {
	return l.order(ctx, func(time.Time) {
		l.overrides = overrides
		l.markAll()
	})
}

// SetLayout takes up a new revision or network map for everybody and returns
// when doors answer by it. What is known of services, groups and endpoints that
// go on existing is kept.
func (l *Loop) SetLayout(ctx context.Context, layout *steering.Layout) error {
	return l.SetLayouts(ctx, Layouts{Main: layout})
}

// SetLayouts takes up a main layout and a canary, or ends a canary, and returns
// when doors answer by them. A revision goes on from what was decided for it, be
// it on trial or not, so that the clients of a canary keep what they have when it
// is promoted; a new one goes on from what was decided for everybody.
func (l *Loop) SetLayouts(ctx context.Context, next Layouts) error {
	if err := next.check(); err != nil {
		return err
	}
	return l.order(ctx, func(now time.Time) {
		l.judge.Configure(next.measured())
		l.estimates.configure(next.measured())
		main, canary := l.carry(next.Main.At(now)), (*track)(nil)
		if next.Canary != nil {
			canary = l.carry(next.Canary.At(now))
		}
		l.main, l.canary, l.share = main, canary, next.Share
		l.traffic.fresh = true // the new tracks have not seen it
	})
}

// carry makes the track of a layout. One that has not changed goes on as it is,
// but for its evidence.
func (l *Loop) carry(layout *steering.Layout) *track {
	from := l.main
	if l.canary != nil && l.canary.layout.Revision.Hash == layout.Revision.Hash {
		from = l.canary
	}
	if from.layout.Base() == layout.Base() {
		from.markAll()
		return from
	}
	return newTrack(layout, carriedSlots(layout, from.layout, from.slots)).after(from.moved)
}

// tracks are those that are decided.
func (l *Loop) tracks() []*track {
	if l.canary == nil {
		return []*track{l.main}
	}
	return []*track{l.main, l.canary}
}

// View returns the newest view. It is never nil.
func (l *Loop) View() *View { return l.view.Load() }

// Run works until ctx ends, saves a last time and returns.
func (l *Loop) Run(ctx context.Context) error {
	var saver sync.WaitGroup
	ended := make(chan struct{})
	if l.config.Save != nil {
		saver.Go(func() { l.saveLoop(ctx, ended) })
	}
	defer saver.Wait()
	defer close(ended)
	timer := time.NewTimer(l.config.Coalesce)
	defer timer.Stop()
	last := time.Now()
	due := last.Add(l.config.Coalesce)
	for {
		select {
		case <-ctx.Done():
			return nil
		case batch := <-l.inlet:
			l.observe(batch)
			due = soonest(due, last.Add(l.config.Coalesce))
		case o := <-l.orders:
			o.apply(time.Now())
			last = time.Now()
			due = l.round(last, 0)
			close(o.done)
		case <-timer.C:
			l.takeWaiting()
			due = l.round(time.Now(), 0)
			last = time.Now()
			due = later(due, last.Add(l.config.Coalesce))
		}
		timer.Reset(time.Until(due))
	}
}

// takeWaiting takes in what waits before a round: when rounds are long, the inlet
// must not be served by one batch for each of them.
func (l *Loop) takeWaiting() {
	for range len(l.inlet) {
		l.observe(<-l.inlet)
	}
}

func (l *Loop) observe(batch []steering.Measurement) {
	for _, m := range batch {
		l.judge.Observe(m)
		l.estimates.probe(&m)
	}
}

func (l *Loop) order(ctx context.Context, apply func(time.Time)) error {
	o := order{apply: apply, done: make(chan struct{})}
	select {
	case l.orders <- o:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-o.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *Loop) markAll() {
	for _, t := range l.tracks() {
		t.markAll()
	}
}

// idleRound is how long the loop sleeps at most: verdicts age.
const idleRound = time.Second

func soonest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
