package sim

import (
	"fmt"
	"slices"
)

// Shipped is the policy that Fairway takes part with: score: auto, all else as
// shipped.
const Shipped = `policies:
  default:
    defaults: {score: auto}
`

// Builtin is what a service without a policy follows.
const Builtin = "policies:\n  default: {}\n"

// Ships are the candidates that every benchmark has: the shipped score: auto, with
// probes alone, with the survey that B4 follows, and with players' reports, and the
// built-in policy for comparison.
func Ships() []Candidate {
	return []Candidate{
		{Name: "fairway", Policies: []byte(Shipped), ASN: true},
		{Name: "fairway+survey", Policies: []byte(Shipped), ASN: true, Survey: true},
		{Name: "fairway+rum", Policies: []byte(Shipped), ASN: true, RUM: true},
		{Name: "builtin", Policies: []byte(Builtin)},
	}
}

// Field makes everybody who takes part in a world: candidates, baselines and oracles.
// only keeps those that it names, and what comparisons need; empty = all.
func Field(candidates []Candidate, only ...string) func(w *World) ([]Policy, error) {
	var made tables
	return func(w *World) ([]Policy, error) {
		var all []Policy
		wanted := func(name string) bool {
			return len(only) == 0 || slices.Contains(only, name) || name == Reference || name == Lagged || name == Instant
		}
		for _, c := range candidates {
			if !wanted(c.Name) {
				continue
			}
			f, err := newFairway(w, c, &made)
			if err != nil {
				return nil, err
			}
			all = append(all, f)
		}
		for _, p := range slices.Concat(newBaselines(), newOracles()) {
			if wanted(p.Name()) {
				all = append(all, p)
			}
		}
		for _, name := range only {
			if !slices.ContainsFunc(all, func(p Policy) bool { return p.Name() == name }) {
				return nil, fmt.Errorf("nobody is called %q", name)
			}
		}
		return all, nil
	}
}
