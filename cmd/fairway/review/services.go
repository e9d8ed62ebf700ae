package review

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"fairway/policies"
	"fairway/steering"
)

// endpoints reports those that get no clients, whatever happens to the others.
func (r *reviewer) endpoints() {
	for _, s := range r.layout.Services {
		for _, e := range s.Service.Endpoints {
			finding := policies.Finding{Place: e.Place, Severity: policies.Warning, Kind: NeverPicked, Related: s.Service.Policy.Place}
			switch allowed, local := r.picked(s, e); {
			case !allowed:
				finding.Remedy = "let a rule's allow or deny leave it in, or take it out of the service"
				r.report(finding, "endpoint %s: no rule can pick it: allow and deny of every rule of policy %q that decides for a client leave it out",
					e.ID, s.Service.Policy.Name)
			case !local:
				finding.Remedy = fmt.Sprintf("give a region pool: %s, or make it the fallback of a pool that a region has", e.Pool)
				r.report(finding, "endpoint %s: no clients go to its pool %q: every region has another pool, and none falls back to it", e.ID, e.Pool)
			}
		}
	}
}

// picked tells whether some rule lets an endpoint through, and whether clients
// of such a rule go to its pool. A rule with a condition that decides for nobody
// counts: that is its own finding, or one about the databases.
func (r *reviewer) picked(s *steering.ServiceLayout, e *steering.Endpoint) (allowed, local bool) {
	for _, g := range s.Groups {
		if g.Barred.Fence(e.ID) != nil {
			continue
		}
		for rule := g.Rule; rule != nil; rule = rule.Fallback {
			if eligible(rule, e) {
				if allowed = true; r.local(g.Region, e) || rule != g.Rule {
					return true, true
				}
			}
		}
	}
	idle := slices.ContainsFunc(s.Service.Policy.Rules, func(rule *steering.Rule) bool {
		return rule.When != nil && eligible(rule, e) &&
			!slices.ContainsFunc(s.Groups, func(g steering.Group) bool { return g.Matched() == rule })
	})
	return allowed || idle, idle
}

func eligible(rule *steering.Rule, e *steering.Endpoint) bool {
	return (rule.Allow == nil || rule.Allow.Matches(e)) && (rule.Deny == nil || !rule.Deny.Matches(e))
}

// local tells whether a region's clients can come to an endpoint's pool: it is
// theirs, or takes over for theirs, or they have none.
func (r *reviewer) local(region string, e *steering.Endpoint) bool {
	pools, bound := r.reach[region]
	return !bound || e.Pool == "" || slices.Contains(pools, e.Pool)
}

// reachOf lists the pools that the clients of each region can come to, for the
// regions that have one.
func reachOf(revision *steering.Revision) map[string][]string {
	fallback := make(map[string]string, len(revision.Pools))
	for _, p := range revision.Pools {
		fallback[p.Name] = p.Fallback
	}
	reach := make(map[string][]string)
	for _, region := range revision.Regions {
		for name := region.Pool; name != "" && !slices.Contains(reach[region.Name], name); name = fallback[name] {
			reach[region.Name] = append(reach[region.Name], name)
		}
	}
	return reach
}

// weights reports the weights of a rule that divide nothing.
func (r *reviewer) weights(p *used) {
	for _, rule := range p.Rules {
		if p.regions[rule] == nil || rule.Split.Kind != steering.SplitWeighted || len(rule.Split.Weights) == 0 {
			continue
		}
		idle := make(map[string]string) // key → why it never counts
		wanted := 0
		for _, key := range slices.Sorted(maps.Keys(rule.Split.Weights)) {
			if rule.Split.Weights[key] == 0 {
				continue
			}
			wanted++
			if why := r.idle(p, rule, key); why != "" {
				idle[key] = why
			}
		}
		finding := policies.Finding{
			Place: rule.Split.Place, Severity: policies.Warning, Kind: NeverCounts, Related: rule.Place,
			Remedy: "name endpoints or providers that the rule leaves in, or take the weight out",
		}
		if len(idle) == wanted {
			r.report(finding, "policy %q: rule %q: its weights cannot be met, the best endpoint takes all: %s", p.Name, rule.Name, listed(idle))
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(idle)) {
			r.report(finding, "policy %q: rule %q: the weight of %q never counts: %s", p.Name, rule.Name, key, idle[key])
		}
	}
}

// idle says why a weight counts for no client of the rule; empty when it does.
func (r *reviewer) idle(p *used, rule *steering.Rule, key string) string {
	why := "no service of this policy has such an endpoint"
	for _, s := range p.services {
		for _, e := range s.Service.Endpoints {
			_, own := rule.Split.Weights[e.ID]
			switch {
			case e.ID != key && (own || e.Provider != key):
			case !eligible(rule, e):
				why = "the rule's allow or deny leaves it out"
			case !slices.ContainsFunc(p.regions[rule], func(region string) bool { return r.local(region, e) }):
				why = fmt.Sprintf("the rule's clients do not go to its pool %q", e.Pool)
			default:
				return ""
			}
		}
	}
	return why
}

func listed(idle map[string]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(idle)) {
		parts = append(parts, fmt.Sprintf("%q: %s", key, idle[key]))
	}
	return strings.Join(parts, "; ")
}
