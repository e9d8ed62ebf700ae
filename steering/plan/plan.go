package plan

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"fairway/steering"
	"fairway/steering/publish"
)

// Plan is what a changed configuration would do.
type Plan struct {
	At      time.Time `json:"at"`      // the moment that it was made from
	Before  string    `json:"before"`  // revision hash
	After   string    `json:"after"`   // revision hash
	Changed bool      `json:"changed"` // some setting or some client's answer
	Basis   Basis     `json:"basis"`   // what regions and services are weighed by

	Moved        float64             `json:"moved"`         // share of all clients that end up at another endpoint than without the change
	MovedAtOnce  float64             `json:"moved_at_once"` // the part that moves when the configuration takes over
	MovedAnyway  float64             `json:"moved_anyway"`  // the share that the old configuration is about to move: not counted in Moved
	Settled      bool                `json:"settled"`       // false: something still moves after SettlesAfter
	SettlesAfter float64             `json:"settles_after_seconds"`
	HeldBy       []steering.HoldCode `json:"held_by,omitempty"` // what slows it down

	PricePerGB Figure   `json:"price_per_gb,omitzero"`
	PerMonth   Figure   `json:"price_per_month,omitzero"` // for GBMonth
	GBMonth    float64  `json:"gb_month,omitempty"`       // volume of a month: Input.GBMonth, else what usage reports promise
	Currency   string   `json:"currency,omitempty"`       // of all prices, as the new configuration says
	WorseP95   []string `json:"worse_p95"`                // service/region

	Changes []Change `json:"changes"`
	Rows    []Row    `json:"rows"` // the largest moves first
	Notes   []string `json:"notes,omitempty"`
}

// Basis says which clients were asked.
type Basis string

// The bases.
const (
	ByQueries   Basis = "queries"   // the sample of real queries
	ByAddresses Basis = "addresses" // networks spread evenly over the region's address space
)

// Figure is one number on both sides. Both are 0 where it is not known.
type Figure struct {
	Before float64 `json:"before"`
	After  float64 `json:"after"`
}

// Delta is how much larger it becomes.
func (f Figure) Delta() float64 { return f.After - f.Before }

// Input is what a plan is made from.
type Input struct {
	Before, After *steering.Layout
	State         steering.State // what was decided under Before, and the health that was read
	Overrides     []steering.Override
	Now           time.Time
	Hour          time.Time          // for schedules and rules that read the time; zero = Now
	Traffic       []steering.Traffic // nil = none was sampled
	GBMonth       float64            // volume of a month for the cost; 0 = as usage reports promise
}

// How many clients are asked. The error of a share of p is √(p(1-p)/n): 0.3
// points at worst with 32,768.
const (
	clientsPerRegion = 32_768
	clientsInAll     = 32 << 20 // over all regions and services
	enoughNetworks   = 500      // sampled ones that a service and region needs to be judged by them
)

// Compare makes the plan.
func Compare(in Input) (*Plan, error) {
	if in.Before == nil || in.After == nil {
		return nil, errors.New("plan: both layouts are required")
	}
	if in.Hour.IsZero() {
		in.Hour = in.Now
	}
	in.Before, in.After = in.Before.At(in.Hour), in.After.At(in.Hour)
	now, _, err := steering.Restore(in.Before, in.State)
	if err != nil {
		return nil, fmt.Errorf("plan: the state to begin from: %w", err)
	}
	c := &comparison{Input: in, now: now}
	rows := max(1, len(in.After.Services)*(len(in.After.Revision.Regions)+1))
	c.strata = survey(in.Before.Table, in.After.Table, min(clientsPerRegion, max(64, clientsInAll/rows)))
	c.health = in.State.Health
	c.traffic = publish.TrafficOf(c.State, c.Now)
	foreseen := c.foresee()
	if c.old, err = settle(c.world(in.Before, c.health)); err != nil {
		return nil, err
	}
	if c.new, err = settle(c.world(in.After, foreseen)); err != nil {
		return nil, err
	}
	c.foreseen = foreseen
	return c.plan(), nil
}

// comparison is the work of one Compare.
type comparison struct {
	Input
	now      *steering.Snapshot // what doors answer from
	old, new course
	strata   []stratum
	health   steering.HealthTable // as measured
	foreseen steering.HealthTable // with rows for what is new
	traffic  publish.Traffic
	notes    []string
}

func (c *comparison) world(layout *steering.Layout, health steering.HealthTable) publish.World {
	state := c.State
	overrides := slices.DeleteFunc(slices.Clone(c.Overrides), func(o steering.Override) bool { return !o.Active(c.Now) })
	return publish.World{Layout: layout, Health: health, Overrides: overrides, Traffic: c.traffic, Signals: steering.NewSignalTable(state.Signals), Now: c.Now, State: &state}
}

// volume is how much all providers together carry in a month; 0 = not known.
func (c *comparison) volume() float64 {
	gb := c.GBMonth
	if gb == 0 && c.traffic.Carried != nil {
		for _, account := range c.traffic.Carried.Accounts {
			gb += account.Estimate(c.Now)
		}
	}
	return gb
}

func (c *comparison) plan() *Plan {
	p := &Plan{
		At: c.Now, Before: c.Before.Revision.Hash, After: c.After.Revision.Hash, Basis: ByAddresses,
		Settled: c.new.settled, SettlesAfter: c.new.after.Seconds(), HeldBy: c.new.holds,
		Changes: changes(c.Before.Revision, c.After.Revision), WorseP95: []string{}, Rows: []Row{},
	}
	if p.Changes == nil {
		p.Changes = []Change{}
	}
	if len(c.Traffic) > 0 {
		p.Basis = ByQueries
	}
	c.noteSchedules()
	p.Rows = c.rows()
	p.GBMonth, p.Currency = c.volume(), c.After.Revision.Currency
	p.sum(p.GBMonth)
	p.Notes = c.notes
	p.Changed = len(p.Changes) > 0 || slices.ContainsFunc(p.Rows, func(r Row) bool { return r.Moved > 0 || r.MovedAtOnce > 0 || r.TTL.Delta() != 0 })
	slices.SortStableFunc(p.Rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(b.Moved*b.Weight, a.Moved*a.Weight), cmp.Compare(b.Moved, a.Moved),
			cmp.Compare(a.Service, b.Service), cmp.Compare(a.Region, b.Region))
	})
	return p
}

// sum adds up the rows.
func (p *Plan) sum(gbMonth float64) {
	priced := 0.0
	for i := range p.Rows {
		r := &p.Rows[i]
		p.Moved += r.Weight * r.Moved
		p.MovedAtOnce += r.Weight * r.MovedAtOnce
		p.MovedAnyway += r.Weight * r.MovedAnyway
		if r.PricePerGB != (Figure{}) {
			priced += r.Weight
			p.PricePerGB.Before += r.Weight * r.PricePerGB.Before
			p.PricePerGB.After += r.Weight * r.PricePerGB.After
		}
		if r.slower() {
			p.WorseP95 = append(p.WorseP95, r.Service+"/"+r.Region)
		}
	}
	slices.Sort(p.WorseP95)
	if priced < 1-1e-9 { // a mean over a part would be compared with other means
		p.PricePerGB = Figure{}
	}
	p.PerMonth = Figure{p.PricePerGB.Before * gbMonth, p.PricePerGB.After * gbMonth}
}

// noteSchedules tells of the windows that the plan does not look into, and of
// those in which it is made.
func (c *comparison) noteSchedules() {
	for _, s := range c.After.Revision.Schedules {
		next := s.Window.Next(c.Hour)
		switch {
		case s.Window.Open(c.Hour):
			c.note("schedule %s is open until %s: this is what it decides", s.Name, next.In(s.Window.Zone).Format("2006-01-02 15:04 MST"))
		case !next.IsZero():
			c.note("schedule %s opens at %s and decides otherwise then; --at shows it", s.Name, next.In(s.Window.Zone).Format("2006-01-02 15:04 MST"))
		}
	}
}

// note adds what a reader must know once.
func (c *comparison) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(c.notes, text) {
		c.notes = append(c.notes, text)
	}
}
