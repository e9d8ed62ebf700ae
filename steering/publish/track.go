package publish

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"time"

	"fairway/steering"
	"fairway/steering/estimate"
	"fairway/steering/usage"
)

// Layouts is what a Loop decides for.
type Layouts struct {
	// Main is for everybody. Required.
	Main *steering.Layout
	// Canary is a revision on trial, for a Share (0..1) of the clients; nil = none.
	Canary *steering.Layout
	Share  float64
}

func (l *Layouts) check() error {
	if l.Canary != nil && !(l.Share >= 0 && l.Share <= 1) {
		return fmt.Errorf("publish: a canary's share of %v is not between 0 and 1", l.Share)
	}
	return nil
}

// measured is the revision that is judged: everything that either layout needs.
func (l *Layouts) measured() *steering.Revision {
	if l.Canary == nil {
		return l.Main.Revision
	}
	return steering.Together(l.Main.Revision, l.Canary.Revision)
}

// track is one layout with what was decided for it. The main one and the
// canary's are decided alike, from the same health and overrides.
type track struct {
	layout   *steering.Layout
	slots    [][]*slot           // service × group
	splits   [][]*steering.Split // that serve: those of the slots, or what caps make of them; a service's slice is made anew when one of them changes
	services []due
	poolDown map[string]string // pool → why

	census census                      // of the health table
	losses []loss                      // that are young enough for a brake
	braked []steering.Braked           // after the last round
	held   map[brakeOf]steering.Braked // the same, as decisions look them up
	moved  map[string]time.Time        // as steering.State.Moved
	groups map[*steering.Policy]int    // of policies that bound what moves in all

	health steering.HealthTable       // as last decided
	rows   [][]int                    // service × endpoint → row of the table
	users  [][]int                    // row → services
	spots  map[*steering.Group][]spot // by the first group of a service: those with one policy share their groups

	estimates *estimate.Table // of what fetches cost; nil = none
	auto      []bool          // per service: its policy asks for them
	trying    [][]trying      // service × group, where it does
	signals   *steering.SignalTable
	reads     []bool // per service: its policy reads signals

	limits   *limits         // nil = nothing is capped
	spills   [][]spilled     // service × group: what caps have made of it
	full     *fullness       // after the last fit
	near     *fullness       // before it: who is wanted for nearly all that he may carry
	traded   []bool          // per service: its policy reads prices, commits or load
	carried  *usage.Standing // by the providers, as last looked at
	flows    usage.Flows
	demand   demand            // of the regions
	coming   map[int]*expected // by service: a crowd that its schedule expects
	rises    map[string]*rise  // by region: whether one comes that nobody expects
	parts    [][]float64       // service × group: part of its region's traffic
	stretch  float64           // by which the caps had to be stretched; 1 = they hold
	correct  corrections
	keys     map[*steering.Group][]string // of groups, by the first of a service, where something serves
	serves   bool                         // something is capped, or corrected: splits are not those of the slots
	unserved bool                         // what serves follows from other traffic, or none

	detail bool // candidates' reasons tell their figures
	afresh bool // splits that give the same answers as before are made anew all the same
}

// due says which groups of a service must be decided, and when others will be.
type due struct {
	all     bool
	columns []uint64 // a bit for each column of the health table that changed
	any     bool     // one of them is set
	fetches []uint64 // a bit for each column of the estimates that changed; nil = none did
	next    time.Time
}

func newTrack(layout *steering.Layout, slots [][]*slot) *track {
	t := &track{
		layout: layout, slots: slots, splits: make([][]*steering.Split, len(slots)), services: make([]due, len(slots)),
		limits: newLimits(layout.Revision), traded: make([]bool, len(slots)), auto: make([]bool, len(slots)), trying: make([][]trying, len(slots)),
		reads: make([]bool, len(slots)), spills: make([][]spilled, len(slots)), stretch: 1,
		moved: make(map[string]time.Time),
	}
	t.follow()
	t.markAll()
	return t
}

// follow notes what the policies of the layout want watched.
func (t *track) follow() {
	t.groups = make(map[*steering.Policy]int)
	t.serves = t.limits != nil
	trading := make(map[*steering.Rule]bool)
	for i, sl := range t.layout.Services {
		t.auto[i] = slices.ContainsFunc(sl.Groups, func(g steering.Group) bool { return g.Rule.ScoresItself() })
		t.reads[i] = slices.ContainsFunc(sl.Groups, func(g steering.Group) bool { return g.Rule.ReadsSignals() })
		t.traded[i] = slices.ContainsFunc(sl.Groups, func(g steering.Group) bool {
			does, known := trading[g.Rule]
			if !known {
				does = trades(g.Rule)
				trading[g.Rule] = does
			}
			return does
		})
		for _, g := range sl.Groups {
			policy := cmp.Or(g.Policy, sl.Service.Policy)
			if policy.Switch.MaxShiftAll > 0 {
				t.groups[policy]++
			}
			t.serves = t.serves || policy.Correct > 0 || g.Rule.ScoresItself() && policy.Auto.Explore > 0
		}
	}
	t.keys = make(map[*steering.Group][]string)
	for _, sl := range t.layout.Services {
		if !t.serves || len(sl.Groups) == 0 || t.keys[&sl.Groups[0]] != nil {
			continue
		}
		keys := make([]string, len(sl.Groups))
		for g := range sl.Groups {
			keys[g] = sl.Groups[g].Key()
		}
		t.keys[&sl.Groups[0]] = keys
	}
}

// after has the track go on from what an earlier one has moved.
func (t *track) after(moved map[string]time.Time) *track {
	maps.Copy(t.moved, moved)
	return t
}

// relay takes up what the time changes of the layout: rules that read it, and
// schedules. It returns when it may change next; zero = never.
func (t *track) relay(now time.Time, log *slog.Logger) time.Time {
	old, next := t.layout, t.layout.At(now)
	if next == old {
		return old.Next(now)
	}
	t.layout, t.slots = next, slices.Clone(t.slots)
	t.rows = nil // groups are other ones: relate finds them again
	for i, sl := range next.Services {
		if sl == old.Services[i] {
			continue
		}
		if was := old.Services[i].Service; was != sl.Service {
			log.Info("schedule", "service", sl.Service.Key, "from", scheduleWord(was), "to", scheduleWord(sl.Service))
		}
		home := groupHomes(sl.Groups, old.Services[i].Groups)
		relaid := make([]*slot, len(home))
		for g, from := range home {
			if from >= 0 {
				relaid[g] = t.slots[i][from]
			}
		}
		t.slots[i], t.splits[i], t.trying[i], t.spills[i] = relaid, nil, nil, nil
	}
	t.follow()
	t.parts = nil
	t.parts = t.partsOf(t.flows)
	return next.Next(now)
}

// scheduleWord names what a service follows.
func scheduleWord(s *steering.Service) string {
	if s.Schedule == "" {
		return "none"
	}
	return s.Schedule
}

func (t *track) markAll() {
	for i := range t.services {
		t.services[i].all = true
	}
}

// trades tells whether a rule reads what traffic changes.
func trades(r *steering.Rule) bool {
	return r.Fallback != nil && trades(r.Fallback) || r.Cost != (steering.CostSpec{}) || tradeWords.MatchString(r.ScoreText)
}

var tradeWords = regexp.MustCompile(`\b(load|pace|pull|cost|price_per_gb)\b`)

// see takes in what was carried and handed out.
func (t *track) see(traffic Traffic, d demand, now time.Time) {
	t.carried, t.flows, t.demand = traffic.Carried, traffic.Flows, d
	t.expect(now)
	t.crowds(now)
	t.unserved = true
	for i, traded := range t.traded {
		t.services[i].all = t.services[i].all || traded
	}
}

// judged takes in a new table: whose evidence changed, and what pools are down.
func (t *track) judged(table steering.HealthTable, log *slog.Logger) {
	switch {
	case table.Index() != t.health.Index() || t.rows == nil:
		t.relate(table)
		t.markAll()
	case table.Same(t.health):
		return
	default:
		for row, users := range t.users {
			if len(users) > 0 && !table.SameRow(t.health, row) {
				t.mark(row, users, table)
			}
		}
	}
	t.health = table
	down := poolsDown(t.layout.Revision, table)
	if !maps.Equal(down, t.poolDown) {
		for pool, why := range down {
			if _, was := t.poolDown[pool]; !was {
				log.Warn("pool down", "pool", pool, "why", why)
			}
		}
		t.markAll()
	}
	t.poolDown = down
}

// relate finds endpoints and regions in a table of another shape.
func (t *track) relate(table steering.HealthTable) {
	width := 0
	if table.Index() != nil {
		width = table.Index().Columns()
	}
	t.rows, t.users = make([][]int, len(t.layout.Services)), make([][]int, table.Rows())
	t.spots = make(map[*steering.Group][]spot)
	regions := make(map[string]*steering.Region)
	for i := range t.layout.Revision.Regions {
		regions[t.layout.Revision.Regions[i].Name] = &t.layout.Revision.Regions[i]
	}
	for i, sl := range t.layout.Services {
		t.rows[i] = rowsOf(sl.Service, table)
		for _, row := range t.rows[i] {
			if row >= 0 {
				t.users[row] = append(t.users[row], i)
			}
		}
		t.services[i].columns = make([]uint64, (width+63)/64)
		if len(sl.Groups) == 0 || t.spots[&sl.Groups[0]] != nil {
			continue
		}
		spots := make([]spot, len(sl.Groups))
		for g, group := range sl.Groups {
			spots[g] = spot{group, regions[group.Region], table.Column(group.Region), t.estimates.Column(group.Region)}
		}
		t.spots[&sl.Groups[0]] = spots
	}
	t.losses = nil
	for row := range table.Rows() {
		for column := range width {
			if h := table.At(row, column); h.Verdict == steering.Down && !h.Unturned {
				t.lost(row, column, h.Since)
			}
		}
	}
	t.census = newCensus(t.layout, t.rows, table)
}

// mark marks the groups that see what changed in a row.
func (t *track) mark(row int, users []int, table steering.HealthTable) {
	for column := range table.Index().Columns() {
		is, was := table.At(row, column), t.health.At(row, column)
		if is == was || *is == *was {
			continue
		}
		if is.Verdict == steering.Down && was.Verdict != steering.Down && !is.Unturned {
			t.lost(row, column, is.Since)
		}
		t.census.turned(row, was, is)
		for _, i := range users {
			t.services[i].mark(column)
		}
	}
}

// mark has the groups of a column decided.
func (s *due) mark(column int) {
	s.columns[column/64] |= 1 << (column % 64)
	s.any = true
}

// sees tells whether the health in a column changed.
func (s *due) sees(column int) bool {
	return s.any && column >= 0 && s.columns[column/64]&(1<<(column%64)) != 0
}

// costs tells whether what fetches cost changed in a column of the estimates.
func (s *due) costs(column int) bool {
	return s.fetches != nil && column >= 0 && s.fetches[column/64]&(1<<(column%64)) != 0
}
