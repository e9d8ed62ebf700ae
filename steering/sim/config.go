package sim

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"time"

	"fairway/policies"
	"fairway/steering"
	"fairway/steering/geo"

	"go.yaml.in/yaml/v3"
)

// Candidate is a configuration of Fairway that takes part.
type Candidate struct {
	Name string // in results
	// Policies is a configuration's section policies. It declares the policy default,
	// or a single one with another name.
	Policies []byte
	// File is what findings call Policies; empty = Name.
	File string
	// ASN has Fairway steer each ASN by itself, not each region as a whole.
	ASN bool
	// RUM has it hear players' reports.
	RUM bool
	// Survey has its operator state what the latencies of each region usually are,
	// exactly, as that of B4 knows them.
	Survey bool
	// Announced has its operator say in a schedule when the event of the world is, and by
	// what it multiplies demand.
	Announced bool
}

// configuration is the world as an operator would describe it: what there is, without
// how to choose.
func configuration(w *World, c Candidate, policy string) string {
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	line("zones: [{name: sim.example, ns: [ns.other.example]}]")
	line("vantages:")
	for r := range w.R {
		for k := range w.Spec.Vantages {
			home := regionName(r)
			if c.ASN { // an operator knows in which network a vantage stands
				home = partName(r, w.vantages[r*w.Spec.Vantages+k]%w.A)
			}
			line("  %s: {region: %s}", vantageName(r, k), home)
		}
	}
	line("regions:")
	for r := range w.R {
		line("  %s: {prefixes: [%s]}", regionName(r), regionPrefix(r))
		for a := 0; c.ASN && a < w.A; a++ {
			line("  %s: {prefixes: [%s], within: %s}", partName(r, a), prefix(r, a), regionName(r))
		}
	}
	line("providers:")
	for cdn := range w.C {
		line("  %s:", cdnName(cdn))
		line("    headroom: %.4g%%", 100*(1-w.Spec.Capacity.Knee))
		if gb := w.commit(cdn); gb > 0 {
			line("    commit: {gb_month: %.0f, strictness: %.0f%%}", gb, 100*w.Spec.Price.Strictness)
		}
		line("    regions:")
		for r := range w.R {
			limit := ""
			if gbps := w.Stated[r*w.C+cdn]; gbps > 0 {
				limit = fmt.Sprintf(", cap_gbps: %.6g", max(gbps, 0.001))
			}
			if c.Survey {
				limit += fmt.Sprintf(", latency: %dus", int(1000*w.shape().mean(r, cdn)))
			}
			line("      %s: {price_per_gb: %.6g%s}", regionName(r), w.Price[r*w.C+cdn], limit)
		}
	}
	line("probes:")
	line("  page: {type: http, path: /, every: %v, timeout: %v}", w.Probes.Every, min(w.Probes.Every, 2*second))
	line("services:")
	line("  live:")
	line("    hostnames: [live.sim.example]")
	line("    ttl: %v", w.TTL)
	line("    ttl_min: %v", min(w.TTL, 5*second))
	line("    probe: page")
	line("    policy: %s", policy)
	line("    endpoints:")
	for cdn := range w.C {
		line("      - {provider: %s, addresses: [%s], url: \"http://%s.example\"}", cdnName(cdn), cdnAddress(cdn), cdnName(cdn))
	}
	if e := w.Flash.Known; c.Announced && w.Flash.Times > 0 {
		at := func(t time.Duration) string { return Epoch.Add(t).Format("2006-01-02T15:04:05") }
		line("schedules:")
		line("  event: {services: [live], from: \"%s\", to: \"%s\", demand: %g}", at(e.From), at(e.From+e.For), w.Flash.Times)
	}
	return b.String()
}

// commit is the volume of a month that a CDN is paid for in any case, in GB.
func (w *World) commit(cdn int) float64 {
	if cdn >= len(w.Spec.Price.Commits) {
		return 0
	}
	gbps := w.Spec.Demand.PeakGbps * w.Spec.Demand.mean()
	return w.Spec.Price.Commits[cdn] * gbps / 8 * steering.MonthLength(Epoch).Seconds()
}

const second = time.Second

func cdnName(c int) string        { return fmt.Sprintf("cdn%d", c+1) }
func regionName(r int) string     { return fmt.Sprintf("r%d", r+1) }
func partName(r, a int) string    { return fmt.Sprintf("r%d-as%d", r+1, a+1) }
func vantageName(r, k int) string { return fmt.Sprintf("v%d-%d", r+1, k+1) }
func cdnAddress(c int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(c + 1)}) }
func regionPrefix(r int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(r), 0, 0}), 16)
}

// prefix is where the viewers of an ASN are.
func prefix(r, a int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(r), byte(a), 0}), 24)
}

// Client is an address of a viewer of an ASN.
func (w *World) Client(g int) netip.Addr { return prefix(g/w.A, g%w.A).Addr().Next() }

// compile makes a layout of a candidate's policies and the world.
func compile(w *World, c Candidate, made *tables) (*steering.Layout, error) {
	name, err := c.policyName()
	if err != nil {
		return nil, err
	}
	file := c.File
	if file == "" {
		file = c.Name
	}
	built, findings := policies.Compile([]policies.File{
		{Name: file, Data: c.Policies}, {Name: "the world", Data: []byte(configuration(w, c, name))},
	})
	if built == nil {
		var all []string
		for _, f := range findings {
			if f.Severity == policies.Error {
				all = append(all, f.String())
			}
		}
		return nil, fmt.Errorf("the policy cannot be simulated:\n%s", strings.Join(all, "\n"))
	}
	table, err := made.table(shape{w.R, w.A, c.ASN}, geo.Config{Regions: built.Revision.Regions, Reads: built.Revision.Reads})
	if err != nil {
		return nil, err
	}
	return steering.NewLayout(built.Revision, table)
}

// tables are network maps that were made: worlds of one shape share theirs.
type tables struct {
	mu   sync.Mutex
	made map[shape]*geo.Table
}

// shape is what a map follows from where rules read nothing of clients but the region.
type shape struct {
	regions, groups int
	asn             bool
}

func (t *tables) table(of shape, config geo.Config) (*geo.Table, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	plain := reflect.ValueOf(config.Reads).IsZero()
	if have := t.made[of]; have != nil && plain {
		return have, nil
	}
	table, _, err := geo.Compile(config)
	if err != nil || !plain {
		return table, err
	}
	if t.made == nil {
		t.made = make(map[shape]*geo.Table)
	}
	t.made[of] = table
	return table, nil
}

// policyName is the policy that the simulated service follows.
func (c *Candidate) policyName() (string, error) {
	var file struct {
		Policies map[string]yaml.Node `yaml:"policies"`
	}
	if err := yaml.Unmarshal(c.Policies, &file); err != nil {
		return "", fmt.Errorf("%s: %w", c.Name, err)
	}
	if _, ok := file.Policies["default"]; ok || len(file.Policies) == 0 {
		return "default", nil
	}
	if len(file.Policies) > 1 {
		return "", fmt.Errorf("%s declares %d policies and none is called default: which one is to be simulated?", c.Name, len(file.Policies))
	}
	for name := range file.Policies {
		return name, nil
	}
	return "default", nil
}
