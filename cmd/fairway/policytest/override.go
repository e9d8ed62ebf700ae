package policytest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"fairway/policies"
	"fairway/steering"
)

// override reads one operator's order, made now.
func (p *parser) override(v value, now time.Time) (steering.Override, bool) {
	f := v.fields("drain force weight freeze to pool labels region service for reason author")
	o := steering.Override{
		ID: fmt.Sprintf("line-%d", v.at.Line), Reason: "test", Author: "test", Created: now, Expires: now.Add(24 * time.Hour),
	}
	var target value
	for _, kind := range steering.OverrideKinds() {
		if t, given := f[string(kind)]; given && o.Kind == "" {
			o.Kind, target = kind, t
		} else if given {
			o.Kind = ""
			break
		}
	}
	switch o.Kind {
	case "":
		p.fault(v.at, "write one of drain: NAME, force: NAME, weight: NAME and freeze: true", "an override is a drain, a force, a weight or a freeze")
		return o, false
	case steering.Freeze:
		if target.node.Value != "true" {
			target.fault("write freeze: true, with region, service and labels as wanted", "a freeze is not about a provider or an endpoint")
		}
	default:
		p.target(target, &o)
	}
	to, weighs := f["to"]
	switch {
	case weighs != (o.Kind == steering.Weigh):
		p.fault(v.at, "write {weight: NAME, to: 3}", "weight and to belong together")
	case weighs:
		o.Weight, _ = to.number(0, 1e6)
	}
	if t, given := f["pool"]; given {
		if o.Kind == steering.Freeze {
			t.fault("leave it out", "a freeze is not about a pool")
		}
		o.Pool, _ = t.choice("declared pools", p.poolNames())
	}
	if t, given := f["labels"]; given {
		if text, ok := t.text(); ok {
			o.Labels = text
			if err := steering.CheckLabels(text); err != nil {
				t.fault("write labels: team=sport*,tier=gold", "%v", err)
			}
		}
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

// target reads whom an override is about.
func (p *parser) target(v value, o *steering.Override) {
	name, ok := v.text()
	switch {
	case !ok:
	case p.stage.provider(name):
		o.Provider = name
	case p.stage.endpoint(name) != nil:
		o.Endpoint = p.stage.endpoint(name).ID
	case slices.Contains(p.poolNames(), strings.TrimPrefix(name, "pool ")):
		o.Pool = strings.TrimPrefix(name, "pool ")
	default:
		v.fault(policies.Choices("providers and endpoints", p.targets(), name), "%q is neither a provider nor an endpoint, nor a pool such as pool eu", name)
	}
}

func (p *parser) poolNames() []string {
	var names []string
	for _, pool := range p.stage.revision.Pools {
		names = append(names, pool.Name)
	}
	return names
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
