package policytest

import (
	"cmp"
	"math"
	"slices"
	"time"

	"fairway/steering"
)

// before reads what was decided earlier, as a node would find it in its store.
func (p *parser) before(v value, now time.Time) *steering.State {
	state := &steering.State{
		Version: steering.StateVersion, Generation: 1, Revision: p.stage.revision.Hash,
		Services: make(map[string]steering.GroupRecords),
	}
	for _, item := range v.items() {
		f := item.fields("service region shares ago")
		service := p.service(f, item.at)
		list, ok := f["shares"]
		if !ok {
			p.fault(item.at, "add shares: {NAME: 100%}", "what was decided is not said")
		}
		if service == nil || !ok {
			continue
		}
		ago := time.Hour
		if a, given := f["ago"]; given {
			ago, _ = a.duration(0)
		}
		record, ok := p.record(list, service, now.Add(-ago))
		if !ok {
			continue
		}
		regions := p.stage.revision.RegionNames()
		if r, given := f["region"]; given {
			name, _ := p.region(r)
			regions = []string{name}
		}
		if state.Services[service.Key] == nil {
			state.Services[service.Key] = make(steering.GroupRecords)
		}
		for _, region := range regions {
			for _, group := range groupsIn(region, service.Policy) {
				state.Services[service.Key][group.Key()] = record
			}
		}
	}
	return state
}

// groupsIn lists what the rules of a policy decide in a region, and those of the
// policies that it gives shares to.
func groupsIn(region string, policy *steering.Policy) []steering.Group {
	var groups []steering.Group
	for _, rule := range policy.Rules {
		groups = append(groups, steering.Group{Region: region, Rule: rule})
		for _, share := range rule.Split.Policies {
			for _, r := range share.Policy.Rules {
				groups = append(groups, steering.Group{Region: region, Via: rule, Policy: share.Policy, Rule: r})
			}
		}
	}
	return groups
}

// record makes a stored decision out of shares.
func (p *parser) record(list value, service *steering.Service, chosen time.Time) (steering.SplitRecord, bool) {
	record := steering.SplitRecord{
		TTL: service.TTL, Reason: steering.Reason{Code: steering.ReasonBest, Detail: "before the test"},
		Memory: steering.Memory{Measured: true, Chosen: chosen, Target: make(map[string]float64)},
	}
	sum := 0.0
	for _, e := range list.entries() {
		n, ok := p.named(e, e.key, service)
		share, isShare := e.percent()
		if !ok || !isShare || share == 0 {
			continue
		}
		endpoints := n.endpoints(service)
		if len(endpoints) > 1 {
			p.fault(e.at, "name the endpoints", "%q has %d endpoints here", e.key, len(endpoints))
			continue
		}
		sum += share
		id := endpoints[0].ID
		record.Memory.Target[id] += share
		record.Candidates = append(record.Candidates, steering.CandidateRecord{Endpoint: id, Weight: share, Verdict: steering.Healthy})
	}
	if len(p.findings) == 0 && math.Abs(sum-1) > 1e-6 {
		list.fault("let the shares sum to 100%", "the shares sum to %s", percent(sum))
		return record, false
	}
	slices.SortStableFunc(record.Candidates, func(a, b steering.CandidateRecord) int { return cmp.Compare(b.Weight, a.Weight) })
	return record, true
}
