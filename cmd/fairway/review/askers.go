package review

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"fairway/steering"
)

// asker is what rules may read of a client beside its cell: how it asks, of which
// service, and when.
type asker struct {
	way     *steering.Way
	service *steering.Service
	now     time.Time // zero = no time, at which rules that read it match nobody
}

// maxServices bounds the services of a policy that are told apart, where its rules
// read services.
const maxServices = 8

// askersOf lists the clients that the rules of a policy can tell apart within a cell.
func (r *reviewer) askersOf(p *used) []asker {
	times := []time.Time{{}}
	for _, rule := range p.Rules {
		if rule.Reads.Time && !slices.ContainsFunc(times[1:], func(t time.Time) bool { return r.meets(rule, p, t) }) {
			if t, some := r.momentOf(rule, p); some {
				times = append(times, t)
			}
		}
	}
	var all []asker
	for _, s := range servicesOf(p) {
		for _, t := range times {
			for w := range p.ways {
				all = append(all, asker{&p.ways[w], s, t})
			}
		}
	}
	return all
}

// servicesOf picks services with different labels, those that a rule names before all.
func servicesOf(p *used) []*steering.Service {
	reads := slices.ContainsFunc(p.Rules, func(rule *steering.Rule) bool { return rule.Reads.Service })
	if !reads {
		return []*steering.Service{p.services[0].Service}
	}
	named := func(s *steering.Service) bool {
		return slices.ContainsFunc(p.Rules, func(rule *steering.Rule) bool {
			return rule.Reads.Service && (strings.Contains(rule.WhenText, `"`+s.Key+`"`) || strings.Contains(rule.WhenText, `'`+s.Key+`'`))
		})
	}
	var picked []*steering.Service
	known := make(map[string]bool)
	for _, wanted := range [2]bool{true, false} {
		for _, sl := range p.services {
			s := sl.Service
			labels := fmt.Sprint(s.Labels)
			if len(picked) == maxServices || named(s) != wanted || !wanted && known[labels] {
				continue
			}
			known[labels] = true
			picked = append(picked, s)
		}
	}
	return picked
}

// moments are the times at which rules are tried that read it: the hours of a Wednesday
// and of a Saturday, and the noons between. What matches at none of them is left alone.
func moments() []time.Time {
	var all []time.Time
	for day := range 7 {
		at := time.Date(2026, 6, 1+day, 0, 0, 0, 0, time.UTC) // a Monday
		for hour := range 24 {
			if weekday := at.Weekday(); hour == 12 || weekday == time.Wednesday || weekday == time.Saturday {
				all = append(all, at.Add(time.Duration(hour)*time.Hour))
			}
		}
	}
	return all
}

// momentOf finds a time at which a rule matches somebody.
func (r *reviewer) momentOf(rule *steering.Rule, p *used) (time.Time, bool) {
	found, known := r.moment[rule.WhenText]
	if known && !rule.Reads.Service {
		return found, !found.IsZero()
	}
	for _, t := range r.moments {
		if r.meets(rule, p, t) {
			found = t
			break
		}
	}
	r.moment[rule.WhenText] = found
	return found, !found.IsZero()
}

// meets tells whether a rule matches somebody at a time.
func (r *reviewer) meets(rule *steering.Rule, p *used, t time.Time) bool {
	facts := make([]steering.Facts, 0, len(p.ways))
	for _, s := range servicesOf(p) {
		for w := range p.ways {
			f := p.ways[w].Facts(rule)
			f.Service, f.Now = s, t
			facts = append(facts, f)
		}
		if !rule.Reads.Service {
			break
		}
	}
	if !rule.Reads.Door && !rule.Reads.Source && len(rule.Reads.Paths) == 0 && !rule.Reads.Service {
		facts = facts[:1]
	}
	for i := range facts {
		for _, cell := range p.sample {
			facts[i].Cell = &r.cells[cell]
			if rule.When(&facts[i]) {
				return true
			}
		}
	}
	return false
}

// matched runs a condition over the points, once for all rules with its text where it
// reads nothing but cells; and once for all askers that it does not tell apart.
func (r *reviewer) matched(p *used, rule *steering.Rule) bitset {
	if known := p.matches[rule]; known != nil {
		return known
	}
	shared := len(p.askers) == 1 && !rule.Reads.Service && !rule.Reads.Time
	if known := r.matches[rule.WhenText]; shared && known != nil {
		return known
	}
	asks := make([]steering.Facts, len(p.askers))
	like := make([]int, len(p.askers)) // the first asker whom the rule does not tell from this one
	for a := range p.askers {
		asks[a] = p.askers[a].facts(rule)
		like[a] = slices.IndexFunc(asks[:a+1], func(f steering.Facts) bool { return same(rule, &f, &asks[a]) })
	}
	m := newBitset(p.points())
	met := make([]bool, len(p.askers))
	for n, cell := range p.sample {
		for a := range asks {
			if like[a] == a {
				asks[a].Cell = &r.cells[cell]
				met[a] = rule.When == nil || (!rule.Reads.Time || !asks[a].Now.IsZero()) && rule.When(&asks[a])
			}
			if met[like[a]] {
				m.set(n*len(p.askers) + a)
			}
		}
	}
	if shared {
		r.matches[rule.WhenText] = m
	}
	p.matches[rule] = m
	return m
}

func (a *asker) facts(rule *steering.Rule) steering.Facts {
	f := a.way.Facts(rule)
	f.Service, f.Now = a.service, a.now
	return f
}

// same tells whether a rule cannot tell two askers apart.
func same(rule *steering.Rule, a, b *steering.Facts) bool {
	reads := &rule.Reads
	return a.Paths == b.Paths && (!reads.Door || a.Door == b.Door) && (!reads.Source || a.Source == b.Source) &&
		(!reads.Service || a.Service == b.Service) && (!reads.Time || a.Now.Equal(b.Now))
}

// decide finds which of the points each rule decides: those that it matches and no rule
// before it does.
func (r *reviewer) decide(p *used) {
	taken := newBitset(p.points())
	for _, rule := range p.Rules {
		decided := slices.Clone(r.matched(p, rule))
		for w := range decided {
			decided[w] &^= taken[w]
			taken[w] |= decided[w]
		}
		p.decided[rule] = decided
	}
}

// regionsOf lists where a rule decides, at some time.
func (r *reviewer) regionsOf(p *used, rule *steering.Rule) []string {
	if known := p.regions[rule]; known != nil {
		return known
	}
	var regions []string
	for n, cell := range p.sample {
		for a := range p.askers {
			if i := n*len(p.askers) + a; p.decided[rule].has(i) {
				if region := r.cells[cell].Region; !slices.Contains(regions, region) {
					regions = append(regions, region)
				}
			}
		}
	}
	return regions
}
