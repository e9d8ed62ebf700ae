package steering

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"
)

// Delta is what changed from one state to the next, where both are for the same
// revisions: the splits of some groups and the verdicts on some subjects. It is
// what is sent and stored when a verdict changes, in place of the world.
type Delta struct {
	From     Mark                    `json:"from"`               // of the state that it changes
	State    State                   `json:"state"`              // the new one, without services and health; usage only where it is another one
	Groups   map[string]GroupRecords `json:"groups,omitempty"`   // by service: those that changed
	Services map[string]GroupRecords `json:"services,omitempty"` // by service: all groups, where some are gone
	Canary   *CanaryDelta            `json:"canary,omitempty"`
	Health   map[Subject][]*Health   `json:"health,omitempty"` // rows that changed, by column
}

// CanaryDelta is the same of the services of the revision on trial.
type CanaryDelta struct {
	Groups   map[string]GroupRecords `json:"groups,omitempty"`
	Services map[string]GroupRecords `json:"services,omitempty"`
}

// Mark tells states apart.
type Mark struct {
	Generation uint64    `json:"generation"`
	Published  time.Time `json:"published"`
}

// Mark is the state's.
func (s *State) Mark() Mark { return Mark{s.Generation, s.Published} }

// Equal tells whether two marks are of one state, or of two that differ in verdicts
// alone.
func (m Mark) Equal(o Mark) bool {
	return m.Generation == o.Generation && m.Published.Equal(o.Published)
}

// Difference is the delta from one state to another; false where it cannot be
// told as one, since a revision or the shape of the health table is another. What
// both states share is not looked at.
func Difference(from, to *State) (Delta, bool) {
	d := Delta{From: from.Mark(), State: *to}
	d.State.Services, d.State.Health, d.State.Canary = nil, HealthTable{}, nil
	if from.Version != to.Version || from.Revision != to.Revision || (from.Canary == nil) != (to.Canary == nil) || from.Usage != nil && to.Usage == nil {
		return d, false
	}
	if from.Usage == to.Usage {
		d.State.Usage = nil
	}
	var ok bool
	if d.Groups, d.Services, ok = changedRecords(from.Services, to.Services); !ok {
		return d, false
	}
	if d.Health, ok = to.Health.changedSince(from.Health); !ok {
		return d, false
	}
	if to.Canary == nil {
		return d, true
	}
	if from.Canary.Revision != to.Canary.Revision {
		return d, false
	}
	header := *to.Canary
	header.Services = nil
	d.State.Canary, d.Canary = &header, new(CanaryDelta)
	d.Canary.Groups, d.Canary.Services, ok = changedRecords(from.Canary.Services, to.Canary.Services)
	return d, ok
}

// changedRecords finds what is another record than before: service by service, and
// group by group in those that are not the very same.
func changedRecords(from, to map[string]GroupRecords) (groups, services map[string]GroupRecords, ok bool) {
	for key := range from {
		if _, still := to[key]; !still {
			return nil, nil, false
		}
	}
	for key, records := range to {
		was, known := from[key]
		if !known {
			return nil, nil, false
		}
		if records.Is(was) {
			continue
		}
		if slices.ContainsFunc(slices.Collect(maps.Keys(was)), func(group string) bool { _, still := records[group]; return !still }) {
			services = put(services, key, records)
			continue
		}
		changed := make(GroupRecords)
		for group, record := range records {
			if before, known := was[group]; !known || !record.is(&before) {
				changed[group] = record
			}
		}
		if len(changed) > 0 {
			groups = put(groups, key, changed)
		}
	}
	return groups, services, true
}

// Is tells whether two services' records are one and the same map, so that nothing
// in them can differ: nobody changes records.
func (r GroupRecords) Is(o GroupRecords) bool {
	return len(r) == len(o) && reflect.ValueOf(r).UnsafePointer() == reflect.ValueOf(o).UnsafePointer()
}

// is tells whether a record is a copy of another one.
func (r *SplitRecord) is(o *SplitRecord) bool {
	a := r.shared()
	return a.candidates != nil && a == o.shared() && r.Reason == o.Reason && r.Trouble == o.Trouble &&
		slices.Equal(r.Holds, o.Holds) && r.Memory.Equal(&o.Memory)
}

// Empty tells whether nothing but the header of the state may be another.
func (d *Delta) Empty() bool {
	return len(d.Groups)+len(d.Services)+len(d.Health) == 0 && d.State.Usage == nil && (d.Canary == nil || len(d.Canary.Groups)+len(d.Canary.Services) == 0)
}

var errNotNext = errors.New("the delta is for another state")

// Apply makes the next state. What did not change is shared with this one, which
// stays as it is.
func (d *Delta) Apply(s State) (State, error) {
	if !d.From.Equal(s.Mark()) || d.State.Revision != s.Revision || (d.State.Canary == nil) != (s.Canary == nil) || (d.Canary == nil) != (s.Canary == nil) {
		return State{}, errNotNext
	}
	next := d.State
	if next.Usage == nil {
		next.Usage = s.Usage
	}
	var err error
	if next.Services, err = withRecords(s.Services, d.Groups, d.Services); err != nil {
		return State{}, err
	}
	if next.Health, err = s.Health.withChanged(d.Health); err != nil {
		return State{}, err
	}
	if s.Canary != nil {
		trial := *d.State.Canary
		if trial.Services, err = withRecords(s.Canary.Services, d.Canary.Groups, d.Canary.Services); err != nil {
			return State{}, err
		}
		next.Canary = &trial
	}
	return next, nil
}

func withRecords(all, groups, services map[string]GroupRecords) (map[string]GroupRecords, error) {
	if len(groups)+len(services) == 0 {
		return all, nil
	}
	next := maps.Clone(all)
	for _, changed := range []map[string]GroupRecords{groups, services} {
		for key := range changed {
			if _, known := all[key]; !known {
				return nil, fmt.Errorf("%w: it has no service %q", errNotNext, key)
			}
		}
	}
	for key, changed := range groups {
		records := maps.Clone(all[key])
		maps.Copy(records, changed)
		next[key] = records
	}
	maps.Copy(next, services)
	return next, nil
}

// changedSince gives the rows of the table that differ from another table's of the
// same shape; false where the shapes differ.
func (t HealthTable) changedSince(o HealthTable) (map[Subject][]*Health, bool) {
	if t.index != o.index && !t.index.same(o.index) {
		return nil, false
	}
	var rows map[Subject][]*Health
	for i, row := range t.rows {
		before := o.rows[i]
		switch {
		case t.SameRow(o, i) || slices.EqualFunc(row, before, sameHealth):
		case row == nil:
			return nil, false
		default:
			rows = put(rows, t.index.names[i], row)
		}
	}
	return rows, true
}

// same tells whether two indexes number the same subjects and columns alike.
func (x *HealthIndex) same(o *HealthIndex) bool {
	return x != nil && o != nil && slices.Equal(x.names, o.names) && maps.Equal(x.columns, o.columns)
}

// withChanged puts rows in place of those that the table has.
func (t HealthTable) withChanged(rows map[Subject][]*Health) (HealthTable, error) {
	if len(rows) == 0 {
		return t, nil
	}
	numbered := make(map[int][]*Health, len(rows))
	for subject, row := range rows {
		at := t.Subject(subject)
		if at < 0 || len(row) != t.index.width {
			return HealthTable{}, fmt.Errorf("%w: it has no health of %q in %d columns", errNotNext, subject, len(row))
		}
		numbered[at] = row
	}
	return t.WithRows(t.index, numbered), nil
}

// Turned returns the table now with this one's rows wherever no verdict differs:
// the figures beside them are as they were. Tables of another shape are taken as a
// whole.
func (t HealthTable) Turned(now HealthTable) HealthTable {
	if t.index != now.index || t.index == nil {
		return now
	}
	rows := make(map[int][]*Health)
	for i := range now.rows {
		if !now.SameRow(t, i) && !slices.EqualFunc(now.rows[i], t.rows[i], func(a, b *Health) bool {
			return a == b || a.Verdict == b.Verdict && a.Since.Equal(b.Since) && a.Unturned == b.Unturned
		}) {
			rows[i] = now.rows[i]
		}
	}
	if len(rows) == 0 {
		return t
	}
	return t.WithRows(t.index, rows)
}
