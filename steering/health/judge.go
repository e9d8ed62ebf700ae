package health

import (
	"cmp"
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
	vantages map[string]int
	names    []string // vantages by index
	regions  []region
	subjects map[steering.Subject]*subject
	dirty    []*subject
	early    []steering.Measurement // from the future, as far as we know
	restored map[steering.Subject]map[string]steering.Health
	gone     []steering.Subject // rows to remove
	table    steering.HealthTable
	figures  figures // scratch
	looked   []bool  // scratch: views just judged
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
	return &Judge{subjects: make(map[steering.Subject]*subject)}
}

// Restore gives the last verdicts after a restart, before or after Configure;
// they take effect with the next Judge. A verdict that was reached since then
// is not touched.
func (j *Judge) Restore(t map[steering.Subject]map[string]steering.Health) { j.restored = t }

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
	rows := make(map[steering.Subject]map[string]steering.Health, len(j.gone)+len(j.dirty))
	for _, name := range j.gone {
		rows[name] = nil
	}
	for _, s := range j.dirty {
		var moved bool
		if changed, moved = j.judge(s, changed); moved {
			rows[s.name] = s.row(j.regions)
		}
		s.dirty, s.all = false, false
	}
	clear(j.dirty)
	j.dirty, j.gone = j.dirty[:0], nil
	if len(rows) > 0 {
		j.table = j.table.With(rows)
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
	for _, s := range j.subjects {
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
	for _, s := range j.subjects {
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
	for name, row := range j.restored {
		s := j.subjects[name]
		if s == nil {
			continue
		}
		for i := range s.regions {
			h, known := row[j.regions[i].name]
			if known && s.regions[i].health.Verdict == steering.Unknown {
				s.regions[i] = standing{health: h, held: h.Verdict != steering.Unknown}
			}
		}
		s.all = true
		j.touch(s)
	}
	j.restored = nil
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
