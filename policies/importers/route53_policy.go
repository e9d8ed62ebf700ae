package importers

import (
	"slices"
	"strings"

	"fairway/policies"
)

// policy makes a policy of the kind of routing that the sets have.
func (r *route53) policy(name string, choices []*choice) string {
	first := choices[0].sets[0]
	p := &policy{name: r.names.unique("policy", strings.ReplaceAll(name, "*", "any"))}
	rest := &rule{name: "rest"}
	switch {
	case first.get("Weight").exists():
		for _, c := range choices {
			if w := c.sets[0].get("Weight").number(1); w != 1 {
				c.weight = decimal(w)
			}
		}
		rest.split = "weighted"
	case first.get("GeoLocation").exists():
		p.rules = r.geolocation(name, choices)
		if n := len(p.rules); n > 0 && p.rules[n-1].when == "" {
			rest = nil
		} else {
			r.note(first.at(), "%s: there is no default location: clients in no other one, who get no answer from Route 53, get the best endpoint here", name)
		}
	case first.get("Failover").exists():
		slices.SortStableFunc(choices, func(a, b *choice) int { // PRIMARY before SECONDARY
			return strings.Compare(a.sets[0].get("Failover").text(), b.sets[0].get("Failover").text())
		})
		for _, c := range choices {
			rest.prefer = append(rest.prefer, c.provider)
		}
	case first.get("MultiValueAnswer").exists():
		rest.split = "weighted"
		r.note(first.at(), "%s: MultiValueAnswer: clients are divided evenly, each gets the addresses of one set", name)
	default:
		rest.score = "0.9 * latency + 0.1 * availability"
		r.nearest(name, choices)
	}
	if rest != nil {
		p.rules = append(p.rules, rest)
	}
	r.draft.policies = append(r.draft.policies, p)
	return p.name
}

// nearest notes what stands in the place of Route 53's own idea of distance.
func (r *route53) nearest(name string, choices []*choice) {
	for _, c := range choices {
		set := c.sets[0]
		switch {
		case set.get("Region").exists():
			r.note(set.get("Region").at(), "%s: %q: AWS region %s is not carried over: the lowest latency that your vantages measure decides", name, c.id, set.get("Region").text())
		case set.get("CidrRoutingConfig").exists():
			r.note(set.at(), "%s: %q: CidrRoutingConfig is not carried over: declare a region with the collection's prefixes and a rule for it", name, c.id)
		case set.get("GeoProximityLocation").exists():
			r.note(set.at(), "%s: %q: GeoProximityLocation is not carried over: the lowest latency that your vantages measure decides", name, c.id)
		default:
			r.note(set.at(), "%s: %q: its routing policy is not known here: the lowest latency decides", name, c.id)
		}
	}
}

// location is a choice with the place that it is for.
type location struct {
	*choice
	level int // 0 subdivision, 1 country, 2 continent, 3 everywhere
	geos
	code string
}

// geolocation sends the clients of each place to its set, and when that fails to
// those of the larger places around it, as Route 53 does.
func (r *route53) geolocation(name string, choices []*choice) []*rule {
	var all []location
	for _, c := range choices {
		g := c.sets[0].get("GeoLocation")
		continent, country, sub := g.get("ContinentCode").text(), g.get("CountryCode").text(), g.get("SubdivisionCode").text()
		switch {
		case (sub != "" && !policies.IsSubdivision(country+"-"+sub)) || (country != "" && country != "*" && !policies.IsCountry(country)) ||
			(country == "" && !isContinent(continent)):
			r.note(g.at(), "%s: %q: its location is not known here and is left out", name, c.id)
		case sub != "":
			all = append(all, location{c, 0, geos{subdivisions: []string{country + "-" + sub}}, country + "-" + sub})
			r.note(g.at(), "%s: %q: %s-%s needs a City database under geo.databases", name, c.id, country, sub)
		case country == "*":
			all = append(all, location{c, 3, geos{}, ""})
		case country != "":
			all = append(all, location{c, 1, geos{countries: []string{country}}, country})
		default:
			all = append(all, location{c, 2, geos{continents: []string{continent}}, continent})
		}
	}
	slices.SortStableFunc(all, func(a, b location) int { return a.level - b.level })
	if levels := func(l int) bool { return slices.ContainsFunc(all, func(x location) bool { return x.level == l }) }; levels(2) && (levels(0) || levels(1)) {
		r.note(choices[0].sets[0].at(), "%s: when a country's set fails, its clients go to the default location, not to its continent's set", name)
	}
	var rules []*rule
	for i, l := range all {
		one := &rule{name: plainName(strings.ToLower(l.code)), when: condition(nil, l.geos), allow: []string{l.provider}}
		if l.level == 3 {
			one.name = "rest"
		}
		for _, wider := range all[i+1:] {
			// Whether a continent holds a country only the geo data know: with one
			// default location there is no doubt.
			if wider.level == 3 || (l.level == 0 && wider.level == 1 && strings.HasPrefix(l.code, wider.code+"-")) {
				one.allow = append(one.allow, wider.provider)
			}
		}
		one.prefer = one.allow
		rules = append(rules, one)
	}
	return rules
}
