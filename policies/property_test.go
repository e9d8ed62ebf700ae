package policies_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"

	"fairway/policies"
	"fairway/steering"
	"fairway/steering/publish"
)

// TestRandomWorlds draws configurations that use all stages, and worlds in which
// endpoints fail, come back and are drained, and asks every client, in every way
// of asking:
//
//   - nobody is sent to an endpoint that is down, drained or fenced off while the
//     rule or one of its fallbacks has one that is up (without the mass-down brake,
//     which does not believe such worlds);
//   - whatever happens, what a fence bars or the rule denies is no candidate;
//   - the order of YAML keys makes no difference, and neither does fmt.
func TestRandomWorlds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := drawConfiguration(t)
		text := written(t, tree)
		c := compiled(t, text)
		sameMeaning(t, "the order of keys", c, shuffled(t, text))
		formatted, findings := policies.Format(policies.File{Name: "f.yaml", Data: text})
		if findings.Errors() > 0 {
			t.Fatalf("fmt refuses what compiles: %v\n%s", findings, text)
		}
		sameMeaning(t, "fmt", c, formatted)
		play(t, c.Revision, text)
	})
}

// play lets a world change a few times, each decision going on from the one before.
func play(t *rapid.T, r *steering.Revision, text []byte) {
	layout, err := steering.NewLayout(r, countries{})
	if err != nil {
		t.Fatal(err)
	}
	w := publish.World{Now: time.Date(2026, 3, 14, rapid.IntRange(0, 23).Draw(t, "hour"), 0, 0, 0, time.UTC)}
	for range 3 {
		w.Now = w.Now.Add(time.Duration(rapid.IntRange(1, 3000).Draw(t, "seconds")) * time.Second)
		w.Layout = layout.At(w.Now)
		w.Health, w.Overrides = drawHealth(t, r, w.Now), drawOverrides(t, w.Now)
		view, err := publish.Still(w)
		if err != nil {
			t.Fatal(err)
		}
		for i, sl := range w.Layout.Services {
			for cell := range (countries{}).Cells() {
				for _, q := range questions {
					q.Service, q.Client = i, addressIn(cell)
					d := view.Snapshot.Decide(q)
					if fault := wrong(&w, sl.Service, &d, q); fault != "" {
						t.Fatalf("%s\nat %v, cell %+v, asked %+v, decided %v by %v\noverrides %+v\n%s", fault, w.Now, d.Cell, q, d.Split.Candidates, d.Split.Reason, w.Overrides, text)
					}
				}
			}
		}
		state := view.State()
		w.State = &state
	}
}

var questions = []steering.Query{
	{}, {Source: steering.SourceResolver}, {Door: steering.DoorRedirect, Path: "/vod/a"}, {Door: steering.DoorDecide, Path: "/live/a"},
}

// wrong says what a decision breaks; empty = nothing.
func wrong(w *publish.World, s *steering.Service, d *steering.Decision, q steering.Query) string {
	rule := matching(s.Policy, s, d.Cell, q, w.Now)
	if len(rule.Split.Policies) > 0 {
		if d.Group.Via != rule {
			return "another rule than " + rule.Name + " gives the client away"
		}
		rule = matching(d.Group.Policy, s, d.Cell, q, w.Now)
	}
	if d.Group.Rule != rule {
		return fmt.Sprintf("rule %s decides, but %s is the first that matches", d.Group.Rule.Name, rule.Name)
	}
	lawful, up := make(map[*steering.Endpoint]bool), make(map[*steering.Endpoint]bool)
	for r := rule; r != nil && len(up) == 0; r = r.Fallback {
		for _, e := range s.Endpoints {
			if barred(e, d.Cell) || r.Allow != nil && !r.Allow.Matches(e) || r.Deny != nil && r.Deny.Matches(e) {
				continue
			}
			lawful[e] = true
			if !drained(w, s, e, d.Cell.Region) && w.Health.Get(e.Subject(), d.Cell.Region).Verdict != steering.Down {
				up[e] = true
			}
		}
	}
	for i := range d.Split.Candidates {
		c := &d.Split.Candidates[i]
		switch {
		case !lawful[c.Endpoint]:
			return c.Endpoint.ID + " is a candidate, though rule or fence forbid it"
		case c.Weight > 0 && len(up) > 0 && !up[c.Endpoint]:
			return fmt.Sprintf("%s has %v of the clients, though it is down or drained and %d others are up", c.Endpoint.ID, c.Weight, len(up))
		}
	}
	if _, any := d.First(); !any && len(up) > 0 {
		return fmt.Sprintf("nothing is handed out, though %d are up", len(up))
	}
	return ""
}

func matching(p *steering.Policy, s *steering.Service, cell *steering.Cell, q steering.Query, now time.Time) *steering.Rule {
	return p.Rules[slices.IndexFunc(p.Rules, func(r *steering.Rule) bool { return r.Matches(cell, s, q, now) })]
}

// barred knows the fences by their names: see drawFences.
func barred(e *steering.Endpoint, cell *steering.Cell) bool {
	return slices.ContainsFunc(e.Fences, func(f *steering.Fence) bool {
		if f.Code == steering.ReasonBlocked {
			return cell.Country == "DE"
		}
		return !strings.Contains(f.Text, `"`+cell.Country+`"`)
	})
}

func drained(w *publish.World, s *steering.Service, e *steering.Endpoint, region string) bool {
	return slices.ContainsFunc(w.Overrides, func(o steering.Override) bool { return o.Kind == steering.Drain && o.Applies(s, e, region) })
}

// countries is a network map in which 10.N/16 is the N-th cell.
type countries struct{}

var cells = []steering.Cell{
	{Region: steering.DefaultRegion},
	{Region: "eu", Attributes: steering.Attributes{Country: "DE"}},
	{Region: "eu", Attributes: steering.Attributes{Country: "FR"}},
	{Region: "na", Attributes: steering.Attributes{Country: "US"}},
	{Region: steering.DefaultRegion, Attributes: steering.Attributes{Country: "JP"}},
}

func (countries) Cells() []steering.Cell { return cells }

func (countries) Locate(a netip.Addr) (uint32, int) { return uint32(a.As4()[1]), 16 }

func addressIn(cell int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(cell), 7, 1}) }

func drawHealth(t *rapid.T, r *steering.Revision, now time.Time) steering.HealthTable {
	rows := make(map[steering.Subject]map[string]steering.Health)
	for _, s := range r.Services {
		for _, e := range s.Endpoints {
			row := make(map[string]steering.Health)
			for _, region := range r.RegionNames() {
				verdict := rapid.SampledFrom([]steering.Verdict{steering.Healthy, steering.Healthy, steering.Degraded, steering.Down, steering.Unknown}).Draw(t, "verdict")
				h := steering.Health{Verdict: verdict, Since: now.Add(-time.Minute)}
				if verdict != steering.Unknown {
					h.Samples, h.Newest, h.Availability = 20, now, 1
					h.P50 = time.Duration(rapid.IntRange(1, 200).Draw(t, "p50")) * time.Millisecond
				}
				row[region] = h
			}
			rows[e.Subject()] = row
		}
	}
	return steering.HealthTable{}.With(rows)
}

func drawOverrides(t *rapid.T, now time.Time) []steering.Override {
	var all []steering.Override
	for _, provider := range providers {
		kind := rapid.SampledFrom([]steering.OverrideKind{"", "", "", steering.Drain, steering.Force}).Draw(t, "override")
		if kind != "" {
			all = append(all, steering.Override{
				ID: provider, Kind: kind, Provider: provider, Region: rapid.SampledFrom([]string{"", "eu"}).Draw(t, "region"),
				Reason: "r", Author: "a", Created: now, Expires: now.Add(time.Hour),
			})
		}
	}
	return all
}

var providers = []string{"alpha", "bravo", "charlie"}

// drawConfiguration draws a configuration that compiles.
func drawConfiguration(t *rapid.T) map[string]any {
	bit := func(what string) bool { return rapid.Bool().Draw(t, what) }
	top := map[string]any{
		"regions":  map[string]any{"eu": map[string]any{"countries": []any{"DE", "FR"}}, "na": map[string]any{"countries": []any{"US"}}},
		"pools":    map[string]any{"one": map[string]any{"origins": "https://one.example", "fallback": "two"}, "two": map[string]any{"origins": "https://two.example"}},
		"probes":   map[string]any{"page": map[string]any{"type": "https", "path": "/x"}},
		"vantages": map[string]any{"a": map[string]any{"region": "eu"}, "b": map[string]any{"region": "eu"}, "c": map[string]any{}},
		"policies": map[string]any{
			"main": drawPolicy(t, true), "plain": drawPolicy(t, false), "other": drawPolicy(t, false),
		},
	}
	accounts := make(map[string]any)
	for _, p := range providers {
		accounts[p] = drawFences(t, map[string]any{})
	}
	top["providers"] = accounts
	var endpoints []any
	for _, p := range providers {
		for _, pool := range []string{"one", "two"} {
			if pool == "one" || bit("second pool") {
				endpoints = append(endpoints, drawFences(t, map[string]any{"provider": p, "pool": pool, "url": "https://" + p + "." + pool + ".example"}))
			}
		}
	}
	top["services"] = map[string]any{"live": drawFences(t, map[string]any{
		"endpoints": endpoints, "probe": "page", "policy": "main", "labels": map[string]any{"tier": "gold", "kind": "live"},
	})}
	if bit("schedule") {
		top["schedules"] = map[string]any{"day": map[string]any{
			"services": "live", "policy": "plain", "weekly": map[string]any{"days": []any{"sat", "sun"}, "from": "08:00", "to": "20:00"},
		}}
	}
	return top
}

func drawFences(t *rapid.T, in map[string]any) map[string]any {
	if rapid.IntRange(0, 5).Draw(t, "geofence") == 0 {
		in["geofence"] = `client.country in ["DE", "US"]`
	}
	if rapid.IntRange(0, 7).Draw(t, "blocked") == 0 {
		in["blocked"] = map[string]any{"when": `client.country == "DE"`, "reason": "an order"}
	}
	return in
}

// drawPolicy draws a policy; only some may give shares to others.
func drawPolicy(t *rapid.T, shares bool) map[string]any {
	conditions := []string{
		`client.region == "eu"`, `client.country in ["US", "JP"]`, `client.source == "resolver"`, `query.door == "redirect"`,
		`query.path.startsWith("/vod/")`, `service.labels.tier == "gold" && client.country != "FR"`, `now.getHours("UTC") >= 12`,
	}
	var rules []any
	n := rapid.IntRange(0, 3).Draw(t, "rules")
	for i := range n {
		r := drawStages(t, shares)
		r["name"] = fmt.Sprintf("r%d", i)
		r["when"] = rapid.SampledFrom(conditions).Draw(t, "when")
		if _, divided := r["split"].(map[string]any)["policies"]; !divided {
			switch rapid.IntRange(0, 4).Draw(t, "fallback") {
			case 0:
				r["fallback"] = map[string]any{"pool": "two"}
			case 1:
				r["fallback"] = map[string]any{"rule": "rest"}
			}
		}
		rules = append(rules, r)
	}
	rest := drawStages(t, false)
	rest["name"] = "rest"
	return map[string]any{
		"rules":       append(rules, rest),
		"on_all_down": rapid.SampledFrom([]string{"all", "last", "none", "fallback:two"}).Draw(t, "on_all_down"),
		"degraded":    rapid.SampledFrom([]string{"avoid", "allow"}).Draw(t, "degraded"),
		"switch":      map[string]any{"margin": "10%", "dwell": "60s", "max_shift": "20%/min", "ramp": []any{"10%", "50%"}, "ramp_step": "30s", "brake": "off"},
	}
}

func drawStages(t *rapid.T, shares bool) map[string]any {
	r := map[string]any{}
	some := func(what string) []any {
		var list []any
		for _, p := range providers {
			if rapid.Bool().Draw(t, what) {
				list = append(list, p)
			}
		}
		return list
	}
	if list := some("allow"); len(list) > 0 && rapid.IntRange(0, 3).Draw(t, "allows") == 0 {
		r["allow"] = map[string]any{"providers": list}
	}
	if list := some("deny"); len(list) > 0 && rapid.IntRange(0, 3).Draw(t, "denies") == 0 {
		r["deny"] = map[string]any{"providers": list, "pools": []any{"one"}}
	}
	if list := some("prefer"); len(list) > 0 {
		r["prefer"] = list
	}
	splits := []map[string]any{{"within": "20%"}, {"weights": map[string]any{"alpha": 3, "bravo": 1, "charlie": 1}}, {"within": "0%"}}
	if shares {
		splits = append(splits, map[string]any{"policies": map[string]any{"plain": "70%", "other": "30%"}})
	}
	r["split"] = rapid.SampledFrom(splits).Draw(t, "split")
	return r
}

func written(t *rapid.T, tree map[string]any) []byte {
	text, err := yaml.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func compiled(t *rapid.T, text []byte) *policies.Configuration {
	c, findings := policies.Compile([]policies.File{{Name: "f.yaml", Data: text}})
	if c == nil {
		t.Fatalf("a drawn configuration does not compile: %v\n%s", findings, text)
	}
	return c
}

// shuffled writes the keys of every mapping in another order.
func shuffled(t *rapid.T, text []byte) []byte {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	var visit func(n *yaml.Node)
	visit = func(n *yaml.Node) {
		if n.Kind == yaml.MappingNode {
			order := rapid.Permutation(pairs(n)).Draw(t, "order")
			next := make([]*yaml.Node, 0, len(n.Content))
			for _, i := range order {
				next = append(next, n.Content[i], n.Content[i+1])
			}
			n.Content = next
		}
		for _, child := range n.Content {
			visit(child)
		}
	}
	visit(&doc)
	out, err := yaml.Marshal(&doc)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// pairs lists where the keys of a mapping stand.
func pairs(n *yaml.Node) (at []int) {
	for i := 0; i < len(n.Content); i += 2 {
		at = append(at, i)
	}
	return at
}

// sameMeaning compares what a configuration and a text mean, but for places, and the order of
// endpoints and rules, which does mean something and is the same in both.
func sameMeaning(t *rapid.T, what string, c *policies.Configuration, text []byte) {
	options := []cmp.Option{
		cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{}), cmpopts.IgnoreTypes(steering.Place{}),
		cmpopts.IgnoreFields(steering.Rule{}, "When", "Score"), cmpopts.IgnoreFields(steering.Fence{}, "Bars"), cmpopts.IgnoreFields(steering.PathTest{}, "Match"),
		cmpopts.IgnoreFields(steering.Revision{}, "Hash"),
		cmp.Comparer(func(x, y *time.Location) bool { return x.String() == y.String() }),
	}
	if diff := cmp.Diff(c.Revision, compiled(t, text).Revision, options...); diff != "" {
		t.Fatalf("%s makes a difference (-before +after):\n%s\nbefore\n%s\nafter\n%s", what, diff, c.Files[0].Data, text)
	}
}
