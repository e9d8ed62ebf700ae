package policytest

import (
	"fmt"
	"time"

	"fairway/policies"
	"fairway/steering"
)

// override reads one operator's order, made now.
func (p *parser) override(v value, now time.Time) (steering.Override, bool) {
	f := v.fields("drain force region service for reason author")
	drain, isDrain := f["drain"]
	force, isForce := f["force"]
	if isDrain == isForce {
		p.fault(v.at, "write drain: NAME or force: NAME", "an override is either a drain or a force")
		return steering.Override{}, false
	}
	o := steering.Override{
		ID: fmt.Sprintf("line-%d", v.at.Line), Reason: "test", Author: "test", Created: now, Expires: now.Add(24 * time.Hour),
	}
	target := drain
	if o.Kind = steering.Drain; isForce {
		o.Kind, target = steering.Force, force
	}
	name, ok := target.text()
	switch {
	case !ok:
	case p.stage.provider(name):
		o.Provider = name
	case p.stage.endpoint(name) != nil:
		o.Endpoint = p.stage.endpoint(name).ID
	default:
		target.fault(policies.Choices("providers and endpoints", p.targets(), name), "%q is neither a provider nor an endpoint", name)
	}
	if r, given := f["region"]; given {
		o.Region, _ = p.region(r)
	}
	if s, given := f["service"]; given {
		o.Service, _ = s.choice("declared services", p.serviceNames())
	}
	if d, given := f["for"]; given {
		if length, ok := d.duration(time.Second); ok {
			o.Expires = now.Add(length)
		}
	}
	if s, given := f["reason"]; given {
		o.Reason, _ = s.text()
	}
	if s, given := f["author"]; given {
		o.Author, _ = s.text()
	}
	return o, true
}

// targets are the providers and the endpoints by name.
func (p *parser) targets() []string {
	var names []string
	for _, provider := range p.stage.revision.Providers {
		names = append(names, provider.Name)
	}
	for _, s := range p.stage.revision.Services {
		for _, e := range s.Endpoints {
			names = append(names, e.ID)
		}
	}
	return names
}
