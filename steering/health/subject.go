package health

import (
	"cmp"
	"math"
	"slices"
	"time"

	"fairway/steering"
)

// subject is an endpoint or an origin with all that is known of it.
type subject struct {
	name     steering.Subject
	at       int    // its row
	endpoint string // its id; empty = an origin
	provider string
	pool     string
	target   target
	limits   limits
	views    []view     // by vantage
	regions  []standing // by region
	deadline int64      // when the next thing goes stale; 0 = nothing can
	dirty    bool       // Judge will look at it
	all      bool       // … and at every region, whatever the views say
}

// standing is the verdict on a subject in one region.
type standing struct {
	health steering.Health
	told   *steering.Health // as it stands in the last table; never changed
	held   bool             // restored, and not yet replaced by measurements
	ballot ballot           // that the health was made of
	flap   flap
}

// lookAgain has every view and every region judged anew.
func (s *subject) lookAgain() {
	s.all = true
	for i := range s.views {
		s.views[i].dirty = true
	}
}

// row gives a subject's health by column. What did not change is what the last table
// has, so that who compares the two need not look into it.
func (s *subject) row() []*steering.Health {
	row := make([]*steering.Health, len(s.regions))
	for i := range s.regions {
		row[i] = s.regions[i].told
	}
	return row
}

// look looks at the views that are due.
func (j *Judge) look(s *subject) {
	nanos := j.now.UnixNano()
	s.deadline = 0
	for i := range s.views {
		v := &s.views[i]
		if v.looked = v.looked || v.due(nanos); v.due(nanos) {
			j.tallies[i].count(v, -1)
			v.judge(nanos, &s.limits)
			j.tallies[i].count(v, 1)
		}
		s.deadline = earlier(s.deadline, v.deadline)
	}
}

// judge looks at the regions that views just looked at measure. It tells whether the
// subject's row is another one now.
func (j *Judge) judge(s *subject, changed []Change) ([]Change, bool) {
	moved := s.all
	for i := range j.regions {
		r, st := &j.regions[i], &s.regions[i]
		if s.all || st.held || s.looked(r) {
			before := st.health.Verdict
			j.judgeRegion(s, r, st)
			j.hear(s, r, &st.health)
			if st.told == nil || *st.told != st.health {
				told := st.health
				st.told, moved = &told, true
			}
			if h := &st.health; h.Verdict != before {
				for _, name := range r.names {
					changed = append(changed, Change{
						Subject: s.name, Region: name, From: before, To: h.Verdict, At: j.now, Evidence: h.Evidence,
					})
				}
			}
		}
		if st.held {
			s.deadline = earlier(s.deadline, st.health.Newest.UnixNano()+int64(s.limits.stale)+1)
		}
		if st.health.Reason == steering.HealthFlapping {
			s.deadline = earlier(s.deadline, st.flap.until())
		}
	}
	for i := range s.views {
		s.views[i].looked = false
	}
	return changed, moved
}

// looked tells whether a view of a region's vantages has just been looked at.
func (s *subject) looked(r *region) bool {
	return slices.ContainsFunc(r.vantages, func(v int) bool { return s.views[v].looked }) || r.own != nil && s.looked(r.own)
}

// judgeRegion lets the vantages of a region vote and takes their figures.
func (j *Judge) judgeRegion(s *subject, r *region, st *standing) {
	if r.own != nil && j.suffices(s, r.own) {
		r = r.own
	}
	b := j.ballot(s, r)
	if st.held && b.decided() < b.quorum && s.stands(&st.health, j.now) {
		return
	}
	st.held = false
	h := steering.Health{
		Verdict: b.verdict(), Since: st.health.Since, Newest: st.health.Newest,
		Vantages: b.fresh, Quorum: b.quorum, MeasuredIn: r.measuredIn, Drift: s.drifted(r, &b),
	}
	if h.Verdict == steering.Healthy && s.limits.drift > 0 && h.Drift >= s.limits.drift {
		h.Verdict, h.Reason = steering.Degraded, steering.HealthDrift
	}
	st.flap.turn(st.health.Verdict, &h, j.now)
	if h.Verdict != st.health.Verdict || h.Since.IsZero() {
		h.Since = j.now
	}
	h.Follow(&st.health)
	if h.Verdict != steering.Unknown {
		j.figures.fill(&h, s, r, j.now)
	} else if newest := s.newest(r); newest != 0 {
		h.Newest = time.Unix(0, newest).UTC()
	}
	h.Near = s.near(r, &b)
	s.reason(r, &b, &h)
	if b == st.ballot && h.Verdict == steering.Healthy && b.down+b.degraded == 0 && h.Drift == st.health.Drift && st.health.Verdict == steering.Healthy && st.health.Evidence != "" {
		h.Evidence = st.health.Evidence // the same words again
	} else {
		h.Evidence = s.evidence(r, &b, &h) + b.ill
	}
	st.health, st.ballot = h, b
}

// suffices tells whether a part's own jury has enough to say of a subject.
func (j *Judge) suffices(s *subject, own *region) bool {
	decided := 0
	for _, i := range own.vantages {
		if v := &s.views[i]; v.fresh && !j.sick[i] && v.verdict != steering.Unknown {
			decided++
		}
	}
	return decided >= max(2, s.limits.quorum)
}

// near is how long it takes until a quorum may say down, where failures have begun
// in so many views that it takes less than from the start.
func (s *subject) near(r *region, b *ballot) time.Duration {
	if b.quorum == 0 || b.fresh < b.quorum || b.down >= b.quorum {
		return 0
	}
	var few [8]int
	checks := few[:0]
	for _, i := range r.vantages {
		if v := &s.views[i]; v.fresh {
			checks = append(checks, v.checks)
		}
	}
	slices.Sort(checks)
	n := checks[b.quorum-1]
	if n >= s.limits.fall {
		return 0
	}
	return time.Duration(n) * s.limits.every
}

// stands tells whether a restored verdict is still recent enough.
func (s *subject) stands(h *steering.Health, now time.Time) bool {
	return !h.Newest.IsZero() && !now.After(h.Newest.Add(s.limits.stale)) && !h.Newest.After(now.Add(maxAhead))
}

// newest is when the newest fresh measurement in a region ended; 0 for none.
func (s *subject) newest(r *region) int64 {
	newest := int64(0)
	for _, v := range r.vantages {
		newest = max(newest, s.views[v].newest)
	}
	return newest
}

// ballot is the vote of a region's vantages.
type ballot struct {
	fresh, healthy, degraded, down, quorum int
	sick                                   int // vantages whose word does not count now
	drifting                               int
	ill                                    string // what vantages say of themselves
	oneNetwork                             bool   // those that say down, or degraded, are all of one network, though there are others
}

func (j *Judge) ballot(s *subject, r *region) ballot {
	b := ballot{quorum: min(s.limits.quorum, len(r.vantages))}
	if r.borrowed { // what fails in one region only is not down for everybody else
		b.quorum = max(b.quorum, len(r.vantages)/2+1)
	}
	complaining, others := -1, false
	b.oneNetwork = true
	for _, i := range r.vantages {
		v, network := &s.views[i], j.networks[i]
		if r.isOwn {
			network = i
		}
		if j.sick[i] {
			b.sick++
			if why, says := j.ill[j.names[i]]; says {
				b.ill += "; vantage " + j.names[i] + " says that it is ill: " + why
			}
			continue
		}
		if v.fresh {
			b.fresh++
		}
		if v.fresh && v.drift.since != 0 {
			b.drifting++
		}
		switch {
		case v.verdict < steering.Degraded:
			others = others || v.verdict == steering.Healthy
		case complaining < 0:
			complaining = network
		case complaining != network:
			b.oneNetwork = false
		}
		switch v.verdict {
		case steering.Down:
			b.down++
		case steering.Degraded:
			b.degraded++
		case steering.Healthy:
			b.healthy++
		}
	}
	b.oneNetwork = b.oneNetwork && others && b.down+b.degraded > 1
	return b
}

func (b *ballot) decided() int { return b.healthy + b.degraded + b.down }

func (b *ballot) verdict() steering.Verdict {
	switch {
	case b.decided() == 0:
		return steering.Unknown
	case b.down >= b.quorum && !b.oneNetwork:
		return steering.Down
	case b.down+b.degraded >= b.quorum && !b.oneNetwork:
		return steering.Degraded
	case b.healthy > 0:
		return steering.Healthy
	}
	return steering.Unknown
}

// newestOK is how many ok measurements per vantage × address the figures of
// speed look at.
const newestOK = 5

// figures is scratch space for the numbers of one region.
type figures struct {
	latencies   []time.Duration
	throughputs []float64
}

// fill computes a region's numbers over the rings of its vantages.
func (f *figures) fill(h *steering.Health, s *subject, r *region, now time.Time) {
	f.latencies, f.throughputs = f.latencies[:0], f.throughputs[:0]
	oks := 0
	from := now.Add(-s.limits.window).UnixNano()
	for _, i := range r.vantages {
		v := &s.views[i]
		h.Samples += v.samples
		oks += v.oks
		for _, l := range v.latest {
			if l.at <= from {
				continue
			}
			f.latencies = append(f.latencies, l.latency)
			if l.throughput > 0 {
				f.throughputs = append(f.throughputs, l.throughput)
			}
		}
	}
	h.Newest = time.Unix(0, s.newest(r)).UTC()
	if h.Samples > 0 {
		h.Availability = float64(oks) / float64(h.Samples)
	}
	h.P95 = rank(f.latencies, 0.95)
	h.P50 = rank(f.latencies, 0.50)
	h.Throughput = rank(f.throughputs, 0.50)
}

// rank is the nearest-rank quantile of values, 0 of none; it moves them about.
func rank[T time.Duration | float64](values []T, q float64) T {
	if len(values) == 0 {
		return 0
	}
	return nth(values, int(math.Ceil(q*float64(len(values))))-1)
}

// nth is the value that would stand at n if the values were sorted, found without
// sorting them (Hoare's FIND, 1961): a region that all vantages measure has hundreds,
// and is looked at in every round.
func nth[T cmp.Ordered](values []T, n int) T {
	for low, high := 0, len(values)-1; low < high; {
		pivot := values[low+(high-low)/2]
		i, j := low, high
		for i <= j {
			for values[i] < pivot {
				i++
			}
			for values[j] > pivot {
				j--
			}
			if i <= j {
				values[i], values[j] = values[j], values[i]
				i++
				j--
			}
		}
		switch {
		case n <= j:
			high = j
		case n >= i:
			low = i
		default:
			return values[n]
		}
	}
	return values[n]
}
