package main

import (
	"slices"
	"time"

	"fairway/steering"
	"fairway/steering/geo"
)

// redirectedTo begins every Location: the world has clients of Europe on one CDN.
const redirectedTo = "https://cdn-a.example.net/"

// snapshot is the world that every server answers for: www has four CDNs, one for
// each of four regions, and the others stand behind it in its steering manifests.
func snapshot() (*steering.Snapshot, error) {
	policy := &steering.Policy{Name: "bench", HashV4: 24, HashV6: 56, Rules: []*steering.Rule{{Name: "all"}}}
	service := &steering.Service{Key: "www", Hostnames: []string{"www.cdn.example."}, TTL: 30 * time.Second, Policy: policy}
	revision := &steering.Revision{Hash: "bench", Services: []*steering.Service{service}, Policies: []*steering.Policy{policy}}
	places := []struct{ cdn, continent string }{{"a", "EU"}, {"b", "NA"}, {"c", "AS"}, {"d", "SA"}}
	for _, p := range places {
		revision.Regions = append(revision.Regions, steering.Region{Name: p.cdn, Continents: []string{p.continent}})
		service.Endpoints = append(service.Endpoints, &steering.Endpoint{
			ID: "www/" + p.cdn, Service: "www", Provider: p.cdn, Pathway: string(p.cdn[0] - 'a' + 'A'), URL: "https://cdn-" + p.cdn + ".example.net", Weight: 1,
		})
	}
	table, _, err := geo.Compile(geo.Config{Regions: revision.Regions})
	if err != nil {
		return nil, err
	}
	layout, err := steering.NewLayout(revision, table)
	if err != nil {
		return nil, err
	}
	var splits []*steering.Split
	for _, g := range layout.Services[0].Groups {
		first := max(0, slices.IndexFunc(service.Endpoints, func(e *steering.Endpoint) bool { return e.Provider == g.Region }))
		candidates := []steering.Candidate{{Endpoint: service.Endpoints[first], Weight: 1, Reason: steering.Reason{Code: steering.ReasonBest}}}
		for i, e := range service.Endpoints {
			if i != first {
				candidates = append(candidates, steering.Candidate{Endpoint: e, Reason: steering.Reason{Code: steering.ReasonWorse}})
			}
		}
		split, err := steering.NewSplit(candidates, 30*time.Second, steering.Reason{Code: steering.ReasonBest}, nil)
		if err != nil {
			return nil, err
		}
		splits = append(splits, split)
	}
	return steering.NewSnapshot(1, time.Now(), layout, [][]*steering.Split{splits}, nil)
}
