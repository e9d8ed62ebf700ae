package steering

import (
	"errors"
	"slices"
	"time"
)

// Layout joins a revision with the network map: which rule each service
// follows in each cell. It is made when one of the two changes, by every node
// for itself, and never changes. What depends on the time is a layout's At.
type Layout struct {
	Revision *Revision
	Table    Table
	Services []*ServiceLayout // as Revision.Services
	byKey    map[string]int
	byHost   map[string]int
	base     *Layout // that of no time
	timed    []int   // the services that time changes
	minutes  bool    // some rule reads the time
}

// ServiceLayout is a service with its groups.
type ServiceLayout struct {
	Service *Service // as a schedule has it while one is open
	*grouped
	seed uint64
}

// grouped is groups and what finds them. Services that share a policy share it, so that
// what an answer reads of it is near for all of them.
type grouped struct {
	policy  *Policy
	Groups  []Group
	plain   []uint32 // cell → outcome, for whoever asks; nil when it depends on how
	ways    *ways    // nil when it does not
	divided [][]Part // outcomes beyond the groups: cells whose clients several groups share
}

// Group is the cells of one region in which the same rule matches and the same
// endpoints are barred: the unit that is decided together.
type Group struct {
	Region string
	Via    *Rule   // the rule of the service's policy that gives a share of its clients to Policy; nil = none
	Policy *Policy // whose rule decides; nil = the service's own
	Rule   *Rule
	Barred *Barred // nil = nothing is
}

// Matched is the rule of the service's own policy that matches.
func (g Group) Matched() *Rule {
	if g.Via != nil {
		return g.Via
	}
	return g.Rule
}

// Key names the group within its service, the same on every node and after a
// restart.
func (g Group) Key() string { return groupKey(g.Region, g.Name()) }

func groupKey(region, name string) string { return region + "/" + name }

// Name names the group within its service and region: as its rule, in the common
// case.
func (g Group) Name() string {
	name := g.Rule.Name
	if g.Via != nil {
		name = g.Via.Name + ":" + g.Policy.Name + ":" + name
	}
	if barred := g.Barred.Key(); barred != "" {
		name += "!" + barred
	}
	return name
}

// Part is a share of a cell's clients that one group decides.
type Part struct {
	Group int     // index into ServiceLayout.Groups
	Share float64 // 0..1
	seed  uint64
}

// NewLayout evaluates every policy's rules over the table's cells. It is the
// layout of no time: rules that read the time match nobody, and no schedule is
// open. See At.
func NewLayout(revision *Revision, table Table) (*Layout, error) {
	if revision == nil || table == nil {
		return nil, errors.New("layout: a revision and a table are needed")
	}
	l := &Layout{
		Revision: revision,
		Table:    table,
		byKey:    make(map[string]int, len(revision.Services)),
		byHost:   make(map[string]int, len(revision.Services)),
	}
	l.base = l
	b := newGrouper(table.Cells(), time.Time{})
	for i, service := range revision.Services {
		l.Services = append(l.Services, b.layout(service))
		l.byKey[service.Key] = i
		for _, host := range service.Hostnames {
			l.byHost[host] = i
		}
	}
	l.findTimed()
	return l, nil
}

// findTimed lists the services that time changes.
func (l *Layout) findTimed() {
	for i, service := range l.Revision.Services {
		forms := []*Service{service}
		for _, s := range l.Revision.Schedules {
			for _, form := range s.Services {
				if form.Key == service.Key {
					forms = append(forms, form)
				}
			}
		}
		reads := slices.ContainsFunc(forms, func(s *Service) bool {
			return slices.ContainsFunc(s.Policy.reachable(), func(r *Rule) bool { return r.Reads.Time })
		})
		l.minutes = l.minutes || reads
		if reads || len(forms) > 1 {
			l.timed = append(l.timed, i)
		}
	}
}

// Base returns the layout of no time: the same for all layouts of one revision
// and table. What does not depend on the time may be kept by it.
func (l *Layout) Base() *Layout { return l.base }

// At returns the layout at a time: this one where nothing would be different.
// Services that have not changed are shared.
func (l *Layout) At(now time.Time) *Layout {
	if len(l.timed) == 0 || now.IsZero() {
		return l
	}
	b := newGrouper(l.Table.Cells(), now.Truncate(time.Minute))
	next := l
	for _, i := range l.timed {
		made := b.layout(l.Revision.At(i, now))
		if l.Services[i].same(made) {
			continue
		}
		if next == l {
			copied := *l
			next = &copied
			next.Services = slices.Clone(l.Services)
		}
		next.Services[i] = made
	}
	return next
}

// Next returns when time may change the layout next; zero = never.
func (l *Layout) Next(now time.Time) time.Time {
	var next time.Time
	if l.minutes {
		next = now.Truncate(time.Minute).Add(time.Minute)
	}
	for _, s := range l.Revision.Schedules {
		if t := s.Window.Next(now); !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	return next
}

// At returns a service, by its index, as it is at a time. Schedules of one service do not
// overlap.
func (r *Revision) At(service int, now time.Time) *Service {
	plain := r.Services[service]
	for _, s := range r.Schedules {
		i := slices.IndexFunc(s.Services, func(form *Service) bool { return form.Key == plain.Key })
		if i >= 0 && s.Window.Open(now) {
			return s.Services[i]
		}
	}
	return plain
}

// ByKey returns the index of the service with this key, -1 for none.
func (l *Layout) ByKey(key string) int {
	if i, ok := l.byKey[key]; ok {
		return i
	}
	return -1
}

// ByHost returns the index of the service with this hostname, -1 for none. The
// name is fully qualified and lower case.
func (l *Layout) ByHost(host string) int {
	if i, ok := l.byHost[host]; ok {
		return i
	}
	return -1
}

// Parts tells which groups decide for the clients of a cell that ask as q does;
// together their shares are 1.
func (s *ServiceLayout) Parts(cell uint32, q Query) []Part {
	return s.parts(s.outcome(cell, &q))
}

func (s *grouped) parts(outcome uint32) []Part {
	if int(outcome) < len(s.Groups) {
		return []Part{{Group: int(outcome), Share: 1}}
	}
	return s.divided[int(outcome)-len(s.Groups)]
}

// Ways lists the ways of asking that the service's rules tell apart. There is at
// least one.
func (s *ServiceLayout) Ways() []Way {
	if s.ways == nil {
		return []Way{{}}
	}
	return s.ways.list
}

// PartsOf is Parts for clients that ask in a way of Ways.
func (s *ServiceLayout) PartsOf(cell uint32, w *Way) []Part {
	return s.parts(s.outcomes(w)[cell])
}

// outcomes gives the outcomes of a way.
func (s *grouped) outcomes(w *Way) []uint32 {
	if s.ways == nil {
		return s.plain
	}
	return s.ways.lists[w.outcomes]
}

// Matched is the rule of the service's policy that matches the clients of a cell
// that ask in a way of Ways.
func (s *ServiceLayout) Matched(cell uint32, w *Way) *Rule {
	outcome := int(s.outcomes(w)[cell])
	if outcome >= len(s.Groups) {
		outcome = s.divided[outcome-len(s.Groups)][0].Group
	}
	return s.Groups[outcome].Matched()
}

// ReadsPath tells whether rules of the service read the path that is asked for.
func (s *ServiceLayout) ReadsPath() bool { return s.ways != nil && len(s.ways.paths) > 0 }

// outcome is a group's index, or beyond them one of divided.
func (s *grouped) outcome(cell uint32, q *Query) uint32 {
	if s.ways == nil {
		return s.plain[cell]
	}
	return s.ways.of(q)[cell]
}

// same tells whether two layouts of a service decide alike for everybody.
func (s *ServiceLayout) same(o *ServiceLayout) bool {
	return s.Service == o.Service && slices.EqualFunc(s.Groups, o.Groups, func(a, b Group) bool {
		return a.Region == b.Region && a.Via == b.Via && a.Policy == b.Policy && a.Rule == b.Rule && a.Barred.Key() == b.Barred.Key()
	}) && slices.EqualFunc(s.divided, o.divided, slices.Equal[[]Part]) &&
		slices.Equal(s.plain, o.plain) && s.ways.same(o.ways)
}

func (w *ways) same(o *ways) bool {
	if w == nil || o == nil {
		return w == o
	}
	return slices.Equal(w.index, o.index) && slices.EqualFunc(w.lists, o.lists, slices.Equal[[]uint32])
}
