package probes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"fairway/steering"
	"fairway/steering/crew"
)

// Config is what a Scheduler needs.
type Config struct {
	// Sink takes the measurements of one finished probe. It is called from many
	// goroutines and must not block for long: while it does, that target is not
	// probed from that vantage. Required.
	Sink func(ctx context.Context, batch []steering.Measurement)

	// Logger gets what operators should know about the probing itself. Default:
	// nothing is logged.
	Logger *slog.Logger

	// Seed feeds the jitter: two schedulers with one seed behave alike.
	Seed uint64

	// Sign adds a provider's token to a URL. Its errors are this node's own faults:
	// nothing is measured. Default: every URL is open.
	Sign SignFunc

	// Now is this machine's clock, for the time of a measurement. Default: time.Now.
	Now func() time.Time

	// Told is told when a vantage's condition has changed: of its first look at the
	// references, and whenever another number of them answers. It must return at once.
	// Default: nobody is told.
	Told func(vantage string, c steering.Condition)

	// MaxInFlight bounds connections and resolutions under way, over all probes.
	// Default 512. Each needs a file descriptor; when all are taken, probes start
	// late and the log says so.
	MaxInFlight int
}

// SignFunc adds the token of a provider, by name, to an absolute URL.
type SignFunc func(provider, url string) (string, error)

// Scheduler probes every target from every vantage, again and again.
type Scheduler struct {
	sink    func(context.Context, []steering.Measurement)
	logger  *slog.Logger
	seed    uint64
	measure measureFunc
	sign    SignFunc
	told    func(string, steering.Condition)
	budget  *budget

	withheld atomic.Int64

	mu      sync.Mutex
	loops   map[loopKey]*loop
	watches map[string]*watch // by vantage; none without references
	running crew.Crew         // loops and watches
}

// measureFunc probes one assignment once: all its addresses.
type measureFunc func(context.Context, *assignment) []steering.Measurement

// loopKey names a loop over all configurations.
type loopKey struct {
	subject steering.Subject
	vantage string
}

// New checks the configuration and returns a Scheduler that has nothing to
// probe yet.
func New(c Config) (*Scheduler, error) {
	var findings []error
	if c.Sink == nil {
		findings = append(findings, errors.New("probes: Config.Sink is missing; give the function that takes the measurements"))
	}
	if c.MaxInFlight < 0 {
		findings = append(findings, fmt.Errorf("probes: Config.MaxInFlight is %d; give a positive number, or 0 for 512", c.MaxInFlight))
	}
	if len(findings) > 0 {
		return nil, errors.Join(findings...)
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = 512
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Told == nil {
		c.Told = func(string, steering.Condition) {}
	}
	p := newProber(c.MaxInFlight, c.Logger)
	if c.Now != nil {
		p.now = c.Now
	}
	return &Scheduler{
		sink:    c.Sink,
		sign:    c.Sign,
		told:    c.Told,
		logger:  c.Logger,
		seed:    c.Seed,
		measure: p.probe,
		budget:  p.budget,
		loops:   make(map[loopKey]*loop),
	}, nil
}

// Aim is what a Scheduler probes.
type Aim struct {
	Vantages []steering.Vantage
	Targets  []Target
	Allow    []netip.Prefix          // addresses that are no public ones and may be probed
	Budget   steering.ProbeBudget    // but for InFlight, which is the Scheduler's MaxInFlight
	Subnets  map[string]netip.Prefix // a client network of each region, told to resolvers; nil = none
	// References are what vantages hold their own network against: what one measures
	// is delivered only while enough of them answer there.
	References References
}

// Set makes vantages × targets the whole of what is probed, before or during
// Run. New pairs start, dropped ones are cancelled, changed ones start anew,
// and the others are not disturbed: what only judges read (rise, fall, quorum,
// window) and the place in the file do not count as a change. Files of
// authorities are read again. Of several targets with one subject the first
// counts.
func (s *Scheduler) Set(aim Aim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.budget.set(aim.Budget, aim.Targets)
	s.setWatches(aim)
	wanted := s.assignments(aim)
	for key, l := range s.loops {
		if next := wanted[key]; next == nil || !next.equal(l.assignment) || l.watch != s.watches[key.vantage] {
			l.cancel()
			delete(s.loops, key)
		}
	}
	for key, a := range wanted {
		if s.loops[key] == nil {
			l := &loop{assignment: a, watch: s.watches[key.vantage]}
			s.loops[key] = l
			l.cancel = s.running.Go(func(ctx context.Context) { l.run(ctx, newPace(l.assignment, s.seed), s.measure, s.sink) })
		}
	}
}

// Run probes until ctx ends and returns nil when every probe has ended. A
// Scheduler runs once.
func (s *Scheduler) Run(ctx context.Context) error { return s.running.Run(ctx) }

// setWatches has every vantage look at the references. A watch that has not changed
// goes on. The caller holds mu.
func (s *Scheduler) setWatches(aim Aim) {
	before := s.watches
	s.watches = make(map[string]*watch)
	if aim.References.Need > 0 && len(aim.References.Targets) > 0 {
		referring := aim
		referring.Targets = aim.References.Targets
		places := s.assignments(referring)
		for _, v := range aim.Vantages {
			var of []*assignment
			for _, t := range aim.References.Targets {
				if a := places[loopKey{t.Subject, v.Name}]; a != nil {
					of = append(of, a)
				}
			}
			s.watches[v.Name] = newWatch(v.Name, of, aim.References.Need)
		}
	}
	for name, w := range s.watches {
		if was := before[name]; was != nil && was.equal(w) {
			s.watches[name] = was
			continue
		}
		w.measure, w.told, w.withheld = s.measure, s.told, &s.withheld
		w.cancel = s.running.Go(w.run)
	}
	for name, w := range before {
		if s.watches[name] != w {
			w.cancel()
			if s.watches[name] == nil {
				s.told(name, steering.Condition{})
			}
		}
	}
}

// Condition is what a vantage says of itself; zero where there are no references.
func (s *Scheduler) Condition(vantage string) steering.Condition {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.watches[vantage]; w != nil {
		return w.condition()
	}
	return steering.Condition{}
}

// Withheld is how many measurements were not delivered since Run began, because
// their vantage was ill.
func (s *Scheduler) Withheld() int64 { return s.withheld.Load() }

// Plan is how much probing a Scheduler has been set to do.
type Plan struct {
	Probes    int     `json:"probes"`     // targets × vantages
	PerMinute float64 `json:"per_minute"` // probes per minute in all, rechecks left out; each makes one connection per address
}

// Plan returns what the last Set amounts to.
func (s *Scheduler) Plan() Plan {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := Plan{Probes: len(s.loops)}
	for _, l := range s.loops {
		p.PerMinute += time.Minute.Seconds() / l.assignment.probe.Every.Seconds()
	}
	return p
}

// assignments pairs vantages and targets.
func (s *Scheduler) assignments(aim Aim) map[loopKey]*assignment {
	trusts := make(map[string]*trust)
	wanted := make(map[loopKey]*assignment, len(aim.Vantages)*len(aim.Targets))
	for _, t := range aim.Targets {
		measure := probeOf(t.Probe.Type)
		if measure == nil {
			s.logger.Error("target is not probed: this release does not know the probe's type",
				"subject", t.Subject, "probe", t.Probe.Name, "type", t.Probe.Type, "place", t.Probe.Place.String())
			continue
		}
		authorities := trusts[t.Probe.CAFile]
		if authorities == nil {
			authorities = readTrust(t.Probe.CAFile)
			trusts[t.Probe.CAFile] = authorities
			if authorities.err != nil {
				s.logger.Warn("probes fail until the file of authorities is mended and the configuration loaded again",
					"probe", t.Probe.Name, "place", t.Probe.Place.String(), "err", authorities.err)
			}
		}
		with := shared{trust: authorities, signer: s.sign, allow: aim.Allow, subnets: aim.Subnets}
		for _, v := range aim.Vantages {
			key := loopKey{t.Subject, v.Name}
			if wanted[key] == nil {
				wanted[key] = newAssignment(t, v, measure, with)
			}
		}
	}
	return wanted
}
