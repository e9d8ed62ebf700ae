package health

import (
	"cmp"
	"fmt"
	"slices"

	"fairway/steering"
)

// tally is how a vantage sees all that it measures.
type tally struct{ decided, down int }

func (t *tally) count(v *view, by int) {
	if v.verdict != steering.Unknown {
		t.decided += by
	}
	if v.verdict == steering.Down {
		t.down += by
	}
}

// A vantage that sees so large a part of so many subjects down is looked at.
const (
	sickPart  = 0.8
	sickLeast = 3
)

// findSick finds the vantages whose word does not count: they say so themselves, or
// they see nearly everything down, of several providers, and who else measures that
// does not. A cut-off vantage sees just this, and says nothing of CDNs.
func (j *Judge) findSick() {
	for i := range j.tallies {
		t := &j.tallies[i]
		_, sick := j.ill[j.names[i]]
		sick = sick || t.decided >= sickLeast && float64(t.down) >= sickPart*float64(t.decided) && j.contradicted(i)
		if sick != j.sick[i] {
			j.sick[i] = sick
			for _, s := range j.rows { // its regions are judged anew
				if s.views[i].fresh {
					s.views[i].looked = true
					if !s.dirty {
						j.touch(s)
						j.look(s)
					}
				}
			}
		}
	}
}

// contradicted tells whether most of what a vantage sees down is well for others: for
// those that measure the same regions where there are any, else for those elsewhere.
func (j *Judge) contradicted(vantage int) bool {
	peers := make([]bool, len(j.tallies))
	alone := true
	for i := range j.regions {
		if r := &j.regions[i]; !r.borrowed && slices.Contains(r.vantages, vantage) {
			for _, v := range r.vantages {
				peers[v] = peers[v] || v != vantage
				alone = alone && v == vantage
			}
		}
	}
	providers, down, contradicted := make(map[string]bool), 0, 0
	for _, s := range j.rows {
		if !s.views[vantage].fresh || s.views[vantage].verdict != steering.Down {
			continue
		}
		down++
		well, ill := 0, 0
		for i := range s.views {
			if i == vantage || !alone && !peers[i] || !s.views[i].fresh {
				continue
			}
			switch s.views[i].verdict {
			case steering.Healthy, steering.Degraded:
				well++
			case steering.Down:
				ill++
			}
		}
		if well > ill {
			contradicted++
			providers[cmp.Or(s.provider, string(s.name))] = true
		}
	}
	return len(providers) > 1 && float64(contradicted) >= sickPart*float64(down)
}

// Causes names what lies behind verdicts that fail together, as of the last Judge.
func (j *Judge) Causes() []steering.Cause {
	var causes []steering.Cause
	for i, sick := range j.sick {
		if why, says := j.ill[j.names[i]]; says {
			causes = append(causes, steering.Cause{Kind: steering.CauseVantage, Name: j.names[i], Evidence: "it says that it is ill: " + why + "; what it measures does not count"})
		} else if sick {
			causes = append(causes, steering.Cause{Kind: steering.CauseVantage, Name: j.names[i], Evidence: fmt.Sprintf(
				"it sees %d of %d subjects down that others see well: what it says does not count", j.tallies[i].down, j.tallies[i].decided)})
		}
	}
	providers, pools := j.sum(func(s *subject) string { return s.provider }), j.sum(func(s *subject) string { return s.pool })
	upElsewhere := func(provider, pool string) bool {
		return slices.ContainsFunc(j.rows, func(s *subject) bool { return s.provider == provider && s.pool != pool && s.up() })
	}
	for _, name := range sortedKeys(pools) {
		p := pools[name]
		if p.up == 0 && len(p.providers) > 1 && p.down > 1 && !slices.ContainsFunc(sortedKeys(p.providers), func(provider string) bool { return !upElsewhere(provider, name) }) {
			causes = append(causes, steering.Cause{Kind: steering.CausePool, Name: name, Evidence: fmt.Sprintf(
				"all %d verdicts on endpoints of %d providers with it are down, and other pools of theirs are up", p.down, len(p.providers))})
		}
	}
	for _, name := range sortedKeys(providers) {
		if p := providers[name]; p.up == 0 && p.down > 1 && len(providers) > 1 && anyUp(providers) {
			causes = append(causes, steering.Cause{Kind: steering.CauseProvider, Name: name, Evidence: fmt.Sprintf(
				"all %d verdicts on its endpoints are down, and other providers are up", p.down)})
		}
	}
	return causes
}

// together is how many verdicts on subjects that share something are which.
type together struct {
	up, down  int
	providers map[string]bool
}

func (j *Judge) sum(of func(*subject) string) map[string]*together {
	sums := make(map[string]*together)
	for _, s := range j.rows {
		name := of(s)
		if name == "" || s.endpoint == "" {
			continue
		}
		t := sums[name]
		if t == nil {
			t = &together{providers: make(map[string]bool)}
			sums[name] = t
		}
		t.providers[s.provider] = true
		for i := range s.regions {
			switch s.regions[i].health.Verdict {
			case steering.Down:
				t.down++
			case steering.Healthy, steering.Degraded:
				t.up++
			}
		}
	}
	return sums
}

func (s *subject) up() bool {
	return slices.ContainsFunc(s.regions, func(st standing) bool {
		return st.health.Verdict == steering.Healthy || st.health.Verdict == steering.Degraded
	})
}

func anyUp(all map[string]*together) bool {
	for _, t := range all {
		if t.up > 0 {
			return true
		}
	}
	return false
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// reason says in one word what made a verdict, and how much to trust it.
func (s *subject) reason(r *region, b *ballot, h *steering.Health) {
	agree := 0
	switch h.Verdict {
	case steering.Down:
		agree = b.down
	case steering.Degraded:
		agree = b.down + b.degraded
	case steering.Healthy:
		agree = b.healthy
	}
	switch {
	case h.Reason != "": // flapping or drift: these say what is so beside the votes
		agree = b.healthy
	case h.Verdict == steering.Healthy:
		h.Reason = steering.HealthOK
	case h.Verdict == steering.Unknown && b.sick > 0:
		h.Reason = steering.HealthSick
	case h.Verdict == steering.Unknown && b.fresh == 0:
		h.Reason = steering.HealthStale
	case h.Verdict == steering.Unknown:
		h.Reason = steering.HealthFew
	default:
		h.Reason = s.fault(r)
	}
	if len(r.vantages) > 0 {
		enough := min(1, float64(h.Samples)/float64(2*s.limits.fall*len(r.vantages)))
		h.Confidence = float64(int(100*enough*float64(agree)/float64(len(r.vantages))+0.5)) / 100
	}
}

// fault is what the vantages that complain see.
func (s *subject) fault(r *region) steering.HealthReason {
	reason := steering.HealthPatchy
	for _, i := range r.vantages {
		v := &s.views[i]
		if v.verdict < steering.Degraded {
			continue
		}
		if v.nameDown {
			return steering.HealthUnresolved
		}
		if down, _ := v.failing(); down > 0 {
			reason = steering.HealthFailing
		}
	}
	return reason
}
