package api

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"fairway/steering"
)

// Overrides is the body of GET and the answer of DELETE /api/v1/overrides.
type Overrides struct {
	Overrides []steering.Override `json:"overrides"`
}

// OverrideLog is the answer of GET /api/v1/overrides/log.
type OverrideLog struct {
	Events []steering.OverrideEvent `json:"events"` // the oldest first
}

// OverrideRequest is the body of POST /api/v1/overrides.
type OverrideRequest struct {
	Kind    steering.OverrideKind `json:"kind"`
	Target  string                `json:"target,omitempty"`  // a provider's name or an endpoint's id; needed where there is no pool, not for a freeze
	Pool    string                `json:"pool,omitempty"`    // only endpoints of this pool
	Region  string                `json:"region,omitempty"`  // empty = every region
	Service string                `json:"service,omitempty"` // empty = every service
	Labels  string                `json:"labels,omitempty"`  // only services with these labels, as KEY=GLOB,KEY=GLOB
	Weight  float64               `json:"weight,omitempty"`  // for kind weight
	Reason  string                `json:"reason"`
	Author  string                `json:"author"`
	// ForSeconds is how long it holds, by the node's clock, so that a wrong clock
	// at the caller does no harm.
	ForSeconds float64 `json:"for_seconds"`
}

// Bounds of what is written into an override. Ten years is "for ever" said
// with an expiry; the texts go into logs and onto terminals.
const (
	maxOverride = 10 * 365 * 24 * time.Hour
	maxReason   = 500
	maxAuthor   = 100
)

// override checks a request against what the node knows and makes an override
// of it. All that is wrong is said at once.
func (r *OverrideRequest) override(status *Status, now time.Time) (steering.Override, error) {
	o := steering.Override{
		Kind: r.Kind, Pool: r.Pool, Region: r.Region, Service: r.Service, Labels: r.Labels, Weight: r.Weight,
		Reason: strings.TrimSpace(r.Reason), Author: strings.TrimSpace(r.Author), Created: now,
	}
	var wrong, remedies []string
	find := func(remedy, format string, args ...any) {
		wrong = append(wrong, fmt.Sprintf(format, args...))
		if remedy != "" && !slices.Contains(remedies, remedy) {
			remedies = append(remedies, remedy)
		}
	}

	providers, endpoints := status.targets()
	switch {
	case r.Target == "" && (r.Pool != "" || r.Kind == steering.Freeze):
	case r.Target == "":
		find(known("providers", providers), "a target is required: a provider or an endpoint; or a pool")
	case slices.Contains(providers, r.Target):
		o.Provider = r.Target
	case slices.Contains(endpoints, r.Target):
		o.Endpoint = r.Target
	default:
		find(known("providers", providers)+"; "+known("endpoints", endpoints), "%q is neither a provider nor an endpoint", r.Target)
	}
	if r.Region != "" && !slices.Contains(status.Regions, r.Region) {
		find(known("regions", status.Regions), "there is no region %q", r.Region)
	}
	if pools := status.poolNames(); r.Pool != "" && !slices.Contains(pools, r.Pool) {
		find(known("pools", pools), "there is no pool %q", r.Pool)
	}
	if services := status.serviceKeys(); r.Service != "" && !slices.Contains(services, r.Service) {
		find(known("services", services), "there is no service %q", r.Service)
	}
	if r.ForSeconds > 0 && r.ForSeconds <= maxOverride.Seconds() {
		o.Expires = now.Add(time.Duration(r.ForSeconds * float64(time.Second)))
	} else {
		find("say how long it should hold, such as 3600; lift it earlier with fairway lift", "for_seconds is %v", r.ForSeconds)
	}
	if !slices.Contains(steering.OverrideKinds(), o.Kind) {
		find("", "kind %q is none of drain, force, weight, freeze", cut(string(o.Kind), 40))
	}
	if !printable(o.Labels, maxReason) {
		find("", "labels are one line of text")
	}
	if o.Reason == "" || o.Author == "" {
		find("", "a reason and an author are required")
	}
	if !printable(o.Reason, maxReason) || !printable(o.Author, maxAuthor) {
		find("", "reason and author are one line of text each, at most %d and %d bytes", maxReason, maxAuthor)
	}
	if wrong != nil {
		return o, invalid(strings.Join(remedies, "; "), "override: %s", strings.Join(wrong, "; "))
	}
	if err := o.Validate(); err != nil {
		return o, invalid("", "%v", err)
	}
	if !status.concerns(&o) {
		return o, invalid("a service or an endpoint must meet all of what narrows an override", "override: nothing is meant: "+
			"no endpoint, or no service, is all of what target, pool, service and labels say")
	}
	return o, nil
}

// concerns tells whether an override is about anything that there is. One that is
// not would be in force, and its author would think that something had happened.
func (s *Status) concerns(o *steering.Override) bool {
	for i := range s.Services {
		service := &steering.Service{Key: s.Services[i].Key, Labels: s.Services[i].Labels}
		if o.Kind == steering.Freeze && o.CoversService(service) {
			return true
		}
		for _, e := range s.Services[i].Endpoints {
			if o.Kind != steering.Freeze && o.Applies(service, &steering.Endpoint{ID: e.ID, Provider: e.Provider, Pool: e.Pool}, o.Region) {
				return true
			}
		}
	}
	return false
}

// targets returns what an override can name.
func (s *Status) targets() (providers, endpoints []string) {
	for _, service := range s.Services {
		for _, e := range service.Endpoints {
			endpoints = append(endpoints, e.ID)
			if !slices.Contains(providers, e.Provider) {
				providers = append(providers, e.Provider)
			}
		}
	}
	return providers, endpoints
}

func (s *Status) poolNames() []string {
	names := make([]string, 0, len(s.Pools))
	for _, pool := range s.Pools {
		names = append(names, pool.Name)
	}
	return names
}

func (s *Status) serviceKeys() []string {
	keys := make([]string, 0, len(s.Services))
	for _, service := range s.Services {
		keys = append(keys, service.Key)
	}
	return keys
}

func printable(text string, most int) bool {
	return len(text) <= most && !strings.ContainsFunc(text, func(r rune) bool {
		return !unicode.IsPrint(r) || r == unicode.ReplacementChar
	})
}

// OverrideMatch picks overrides. Empty fields pick any; at least ID or Target
// is set when it comes from a request.
type OverrideMatch struct {
	ID      string
	Target  string // exactly this provider or this endpoint
	Pool    string
	Region  string // exactly this region: an override for all regions is another
	Service string
	Labels  string
	Kind    steering.OverrideKind
	By      string // who lifts it, for the log; it picks nothing
}

// Matches tells whether the override is picked.
func (m OverrideMatch) Matches(o *steering.Override) bool {
	return (m.ID == "" || m.ID == o.ID) &&
		(m.Target == "" || m.Target == o.Provider || m.Target == o.Endpoint) &&
		(m.Pool == "" || m.Pool == o.Pool) &&
		(m.Labels == "" || m.Labels == o.Labels) &&
		(m.Region == "" || m.Region == o.Region) &&
		(m.Service == "" || m.Service == o.Service) &&
		(m.Kind == "" || m.Kind == o.Kind)
}

// String says it in words, for messages.
func (m OverrideMatch) String() string {
	kind := string(m.Kind)
	if kind == "" {
		kind = "override"
	}
	text := kind
	if m.Target != "" {
		text += " of " + m.Target
	}
	if m.Pool != "" {
		text += " of pool " + m.Pool
	}
	if m.ID != "" {
		text = kind + " with id " + m.ID
	}
	if m.Region != "" {
		text += " in " + m.Region
	}
	if m.Service != "" {
		text += " for " + m.Service
	}
	if m.Labels != "" {
		text += " for services with " + m.Labels
	}
	return text
}
