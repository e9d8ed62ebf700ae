package health

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"fairway/steering"
)

const (
	// maxAhead is how far a vantage's clock may be ahead of ours.
	maxAhead = time.Minute
	// maxEarly bounds the measurements set aside between two calls of Judge.
	maxEarly = 1 << 14
)

// Judge holds what is known of every subject. Make one with New; give it a
// revision with Configure.
type Judge struct {
	now      time.Time // of the last call of Judge
	revision *steering.Revision
	played   steering.PlayedTable
	heard    map[string]bool // regions that players told of since the start
	vantages map[string]int
	networks []int             // by vantage
	tallies  []tally           // by vantage
	sick     []bool            // by vantage
	ill      map[string]string // vantages that say so of themselves, and why
	names    []string          // vantages by index
	regions  []region
	index    *steering.HealthIndex
	subjects map[steering.Subject]*subject
	rows     []*subject // as in index
	dirty    []*subject
	early    []steering.Measurement // from the future, as far as we know
	restored steering.HealthTable
	table    steering.HealthTable
	figures  figures // scratch
}

// Change is a verdict that became another one.
type Change struct {
	Subject  steering.Subject
	Region   string
	From, To steering.Verdict
	At       time.Time
	Evidence string
}

// New returns a Judge that knows nothing.
func New() *Judge {
	return &Judge{heard: make(map[string]bool), subjects: make(map[steering.Subject]*subject), index: steering.NewHealthIndex(nil, nil)}
}

// Restore gives the last verdicts after a restart, before or after Configure;
// they take effect with the next Judge. A verdict that was reached since then
// is not touched.
func (j *Judge) Restore(t steering.HealthTable) { j.restored = t }

// SetIll names the vantages that say of themselves that they are ill, and why; it
// takes effect with the next Judge. Their word does not count until they are not
// named any more.
func (j *Judge) SetIll(why map[string]string) { j.ill = maps.Clone(why) }

// Observe takes in one measurement. Those of unknown subjects and vantages, and
// those too old to matter, are ignored.
func (j *Judge) Observe(m steering.Measurement) {
	if m.At.After(j.now.Add(maxAhead)) {
		if len(j.early) < maxEarly {
			j.early = append(j.early, m)
		}
		return
	}
	s := j.subjects[m.Subject]
	vantage, known := j.vantages[m.Vantage]
	if s == nil || !known || m.At.Before(j.now.Add(-max(s.limits.window, s.limits.stale))) {
		return
	}
	if s.views[vantage].observe(&m, &s.limits) {
		j.touch(s)
	}
}

// Judge returns the health of every subject in every region at now, and the
// verdicts that changed since the last call, by subject and region. Only
// subjects with new measurements, and those of which something went stale, are
// looked at.
func (j *Judge) Judge(now time.Time) (t steering.HealthTable, changed []Change) {
	j.tick(now)
	j.restore()
	var rows map[int][]*steering.Health
	for _, s := range j.dirty {
		j.look(s)
	}
	j.findSick()
	for _, s := range j.dirty {
		var moved bool
		if changed, moved = j.judge(s, changed); moved {
			if rows == nil {
				rows = make(map[int][]*steering.Health, len(j.dirty))
			}
			rows[s.at] = s.row()
		}
		s.dirty, s.all = false, false
	}
	clear(j.dirty)
	j.dirty = j.dirty[:0]
	if len(rows) > 0 || j.table.Index() != j.index {
		j.table = j.table.WithRows(j.index, rows)
	}
	slices.SortFunc(changed, func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Region, b.Region))
	})
	return j.table, changed
}

// NextDeadline returns when a verdict may change with time alone, because
// something goes stale; zero when nothing can. New measurements and a new
// revision need a Judge without waiting for it.
func (j *Judge) NextDeadline() time.Time {
	next := int64(0)
	for _, s := range j.rows {
		next = earlier(next, s.deadline)
	}
	if next == 0 {
		return time.Time{}
	}
	return time.Unix(0, next).UTC()
}

// tick moves the time on: early measurements are taken in or dropped, and
// subjects with something stale are marked. When our own clock was set back by
// more than maxAhead, everything is looked at again, so that what now lies in
// the future is forgotten rather than fresh for ever.
func (j *Judge) tick(now time.Time) {
	setBack := now.Before(j.now.Add(-maxAhead))
	j.now = now.UTC() // without the monotonic reading: vantages have wall clocks
	early := j.early
	j.early = nil
	for _, m := range early {
		if !m.At.After(now.Add(maxAhead)) {
			j.Observe(m)
		}
	}
	nanos := now.UnixNano()
	for _, s := range j.rows {
		if setBack {
			s.lookAgain()
		}
		if setBack || s.deadline != 0 && s.deadline <= nanos {
			j.touch(s)
		}
	}
}

// restore puts restored verdicts where none was reached yet.
func (j *Judge) restore() {
	if j.restored.IsZero() {
		return
	}
	for _, s := range j.rows {
		row := j.restored.Subject(s.name)
		if row < 0 {
			continue
		}
		for i := range s.regions {
			column := slices.IndexFunc(j.regions[i].names, func(name string) bool { return j.restored.Column(name) >= 0 })
			if column < 0 || s.regions[i].health.Verdict != steering.Unknown {
				continue
			}
			if h := j.restored.At(row, j.restored.Column(j.regions[i].names[column])); *h != (steering.Health{}) {
				s.regions[i] = standing{health: *h, held: h.Verdict != steering.Unknown}
			}
		}
		s.all = true
		j.touch(s)
	}
	j.restored = steering.HealthTable{}
}

// touch has the next Judge look at a subject.
func (j *Judge) touch(s *subject) {
	if !s.dirty {
		s.dirty = true
		j.dirty = append(j.dirty, s)
	}
}

// earlier returns the earlier of two deadlines, where 0 means none.
func earlier(a, b int64) int64 {
	if a == 0 || b == 0 {
		return a + b
	}
	return min(a, b)
}
