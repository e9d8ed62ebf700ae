package review

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"fairway/policies"
	"fairway/steering"
)

// neverMatching reports the rules that decide no cell. One without a condition
// is spared: a rule for the rest does no harm when nothing is left.
func (r *reviewer) neverMatching(p *used) {
	for _, rule := range p.Rules {
		if rule.When == nil || p.regions[rule] != nil || rule.Reads.Time || r.untold(rule) {
			continue
		}
		if slices.ContainsFunc(p.Rules, func(other *steering.Rule) bool { return other.Fallback == rule }) {
			continue // it serves when that one cannot
		}
		finding := policies.Finding{
			Place: rule.WhenPlace, Severity: policies.Error, Kind: NeverMatches,
			Remedy: "look for parts that exclude each other, such as a region and a country that it does not hold",
		}
		takers, example := r.takers(p, rule)
		if len(takers) == 0 {
			r.report(finding, "policy %q: rule %q can never match: no client meets its condition with the regions and geo data loaded", p.Name, rule.Name)
			continue
		}
		finding.Related = takers[0].Place
		finding.Remedy = "put it before them, or let their conditions leave clients over"
		r.report(finding, "policy %q: rule %q can never match: earlier rules take all its clients, like %s: %s",
			p.Name, rule.Name, example, namesOf(takers))
	}
}

// takers are the rules that decide the cells which a rule matches in vain.
func (r *reviewer) takers(p *used, rule *steering.Rule) (takers []*steering.Rule, example string) {
	for _, s := range p.services {
		for i := range uint32(len(r.cells)) {
			for w := range p.ways {
				way := &p.ways[w]
				if !r.holds(rule, s.Service, i, way) {
					continue
				}
				if example == "" {
					if example = r.describe(i); len(p.ways) > 1 {
						example += wayText(way)
					}
				}
				if taker := s.Matched(i, way); !slices.Contains(takers, taker) {
					takers = append(takers, taker)
				}
			}
		}
		if !rule.Reads.Service {
			break
		}
	}
	return takers, example
}

func namesOf(rules []*steering.Rule) string {
	var names []string
	for _, rule := range rules {
		names = append(names, fmt.Sprintf("%q (%s)", rule.Name, rule.Place))
	}
	return strings.Join(names, ", ")
}

// untold tells whether somebody else is to blame that a rule matches nobody: the
// databases, which do not know what it reads, or a region that it names and that
// nobody is in. Package geo warns of both.
func (r *reviewer) untold(rule *steering.Rule) bool {
	for variable, told := range map[string]bool{
		"client.country": r.told.Country, "client.subdivision": r.told.Subdivision,
		"client.continent": r.told.Continent, "client.asn": r.told.ASN,
	} {
		if !told && strings.Contains(rule.WhenText, variable) {
			return true
		}
	}
	return slices.ContainsFunc(r.layout.Revision.Regions, func(region steering.Region) bool {
		return !r.peopled[region.Name] &&
			(strings.Contains(rule.WhenText, `"`+region.Name+`"`) || strings.Contains(rule.WhenText, `'`+region.Name+`'`))
	})
}

// overlaps reports pairs of rules of which neither is narrower: some clients
// are decided by the first though the second matches them as well, and each
// decides others alone. An overlap that a rule before both takes care of is
// settled and not reported.
func (r *reviewer) overlaps(p *used) {
	for j, later := range p.Rules {
		if later.When == nil || p.decided[later].empty() {
			continue
		}
		for _, earlier := range p.Rules[:j] {
			if earlier.When == nil || p.decided[earlier].empty() || alike(earlier, later) || r.exception(p, earlier, later) {
				continue
			}
			both := firstOf(p.decided[earlier], r.matched(p, later), true)
			aloneEarlier := firstOf(p.decided[earlier], r.matched(p, later), false)
			aloneLater := firstOf(p.decided[later], r.matched(p, earlier), false)
			if both < 0 || aloneEarlier < 0 || aloneLater < 0 {
				continue
			}
			r.report(policies.Finding{
				Place: later.Place, Related: earlier.Place, Severity: policies.Warning, Kind: Overlap,
				Remedy: fmt.Sprintf("%q also matches %s, %q also matches %s: neither is narrower\n"+
					"narrow one of them, or put a rule for the clients of both before them",
					earlier.Name, r.client(p, aloneEarlier), later.Name, r.client(p, aloneLater)),
			}, "policy %q: rule %q and rule %q (%s) both match, like %s; the earlier one decides",
				p.Name, later.Name, earlier.Name, earlier.Place, r.client(p, both))
		}
	}
}

// exception tells whether the earlier rule is for listed networks alone and the
// later one is not: who lists networks means them, wherever they are.
func (r *reviewer) exception(p *used, earlier, later *steering.Rule) bool {
	unlisted := func(name string) bool {
		region := r.layout.Revision.Region(name)
		return region == nil || len(region.Prefixes) == 0
	}
	return !slices.ContainsFunc(r.regionsOf(p, earlier), unlisted) && slices.ContainsFunc(r.regionsOf(p, later), unlisted)
}

// alike tells whether two rules do the same to whom they match.
func alike(a, b *steering.Rule) bool {
	return reflect.DeepEqual(stages(a), stages(b))
}

// stages is a rule without its name, its condition and its places; what a score
// computes is told by its text.
func stages(r *steering.Rule) steering.Rule {
	s := *r
	s.Name, s.When, s.Reads, s.WhenText, s.WhenPlace = "", nil, steering.Reading{}, "", steering.Place{}
	s.Score, s.ScorePlace = nil, steering.Place{}
	s.Split.Place, s.Place = steering.Place{}, steering.Place{}
	return s
}
