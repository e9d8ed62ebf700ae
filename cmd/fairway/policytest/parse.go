package policytest

import (
	"path/filepath"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"fairway/policies"
	"fairway/steering"
)

// test is one test of a file.
type test struct {
	name   string
	place  steering.Place
	at     time.Time
	before *steering.State // what was decided earlier; nil = nothing was
	steps  []step          // the first is the test itself
}

// step is a moment: what the world becomes, and what clients must get then.
type step struct {
	after     time.Duration // since the step before
	measured  []measured    // the least specific first
	usage     []carriage
	signals   []told
	overrides []steering.Override
	expect    []*expectation
}

// noon is when tests happen that do not say.
var noon = time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC)

// parser reads one test file.
type parser struct {
	name     string
	root     *yaml.Node
	findings policies.Findings
	stage    *stage
}

func newParser(name string, data []byte) *parser {
	p := &parser{name: name}
	p.root, p.findings = policies.Parse(policies.File{Name: name, Data: data})
	return p
}

func (p *parser) fault(at steering.Place, remedy, format string, args ...any) {
	p.findings = append(p.findings, finding(at, remedy, format, args...))
}

// top reads the top level.
func (p *parser) top() map[string]value {
	if p.root == nil {
		return nil
	}
	return value{p: p, node: p.root}.fields("configuration tests")
}

// configuration is the path of what is tested: the file's own folder unless it
// says otherwise.
func (p *parser) configuration() string {
	quiet := parser{name: p.name, root: p.root} // tests reports what is wrong
	path := "."
	if v, ok := quiet.top()["configuration"]; ok {
		if s, ok := v.text(); ok {
			path = s
		}
	}
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(filepath.Dir(p.name), path)
}

// tests reads the tests and places their clients in the world.
func (p *parser) tests(w *world) []*test {
	p.stage = newStage(w)
	top := p.top()
	if v, ok := top["configuration"]; ok {
		v.text()
	}
	list, ok := top["tests"]
	if !ok {
		if len(p.findings) == 0 {
			p.fault(place(p.name, p.root), "add tests: a list of {name, measurements, expect}", "there is no test in this file")
		}
		return nil
	}
	var tests []*test
	seen := make(map[string]*test)
	for _, item := range list.items() {
		t := p.test(item)
		if twin := seen[t.name]; twin != nil && t.name != "" {
			p.fault(t.place, "give each its own name", "test %q is there twice, first at %s", t.name, twin.place)
		}
		seen[t.name] = t
		tests = append(tests, t)
	}
	if err := p.stage.build(); err != nil {
		p.fault(place(p.name, p.root), "`fairway check` tells more", "%v", err)
	}
	return tests
}

func (p *parser) test(v value) *test {
	f := v.fields("name at before measurements usage signals overrides expect steps")
	t := &test{place: v.at, at: noon}
	if name, ok := f["name"]; ok {
		t.name, _ = name.text()
	} else {
		p.fault(v.at, "add name: what the test is about", "the test has no name")
	}
	if at, ok := f["at"]; ok {
		if moment, ok := at.moment(); ok {
			t.at = moment
		}
	}
	if before, ok := f["before"]; ok {
		t.before = p.before(before, t.at)
	}
	now := t.at
	t.steps = []step{p.step(f, now)}
	if steps, ok := f["steps"]; ok {
		for _, item := range steps.items() {
			g := item.fields("after measurements usage signals overrides expect")
			after, ok := g["after"]
			if !ok {
				p.fault(item.at, "add after: 30s, the time since the step before", "the step has no time")
				continue
			}
			d, _ := after.duration(0)
			now = now.Add(d)
			s := p.step(g, now)
			s.after = d
			t.steps = append(t.steps, s)
		}
	}
	if !slices.ContainsFunc(t.steps, func(s step) bool { return len(s.expect) > 0 }) && f != nil {
		p.fault(v.at, "add expect: [{client: 192.0.2.1, first: NAME}]", "the test expects nothing")
	}
	return t
}

func (p *parser) step(f map[string]value, now time.Time) step {
	var s step
	if v, ok := f["measurements"]; ok {
		s.measured = p.measurements(v)
	}
	if v, ok := f["usage"]; ok {
		s.usage = p.usage(v)
	}
	if v, ok := f["signals"]; ok {
		s.signals = p.signals(v)
	}
	if v, ok := f["overrides"]; ok {
		for _, item := range v.items() {
			if o, ok := p.override(item, now); ok {
				s.overrides = append(s.overrides, o)
			}
		}
	}
	if v, ok := f["expect"]; ok {
		for _, item := range v.items() {
			s.expect = append(s.expect, p.expectation(item, now))
		}
	}
	return s
}

// service reads which service is meant; where there is one only it need not be
// said.
func (p *parser) service(f map[string]value, at steering.Place) *steering.Service {
	all := p.stage.revision.Services
	v, ok := f["service"]
	if !ok {
		if len(all) == 1 {
			return all[0]
		}
		p.fault(at, "add service: NAME; "+policies.Choices("declared services", p.serviceNames(), ""), "which service is meant is not said")
		return nil
	}
	name, ok := v.choice("declared services", p.serviceNames())
	if !ok {
		return nil
	}
	return p.stage.revision.Service(name)
}

func (p *parser) serviceNames() []string {
	var names []string
	for _, s := range p.stage.revision.Services {
		names = append(names, s.Key)
	}
	return names
}

// region reads the name of a region.
func (p *parser) region(v value) (string, bool) {
	return v.choice("declared regions", p.stage.revision.RegionNames())
}
