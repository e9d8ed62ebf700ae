package sim

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"
)

// Spec is what a world is drawn from. All of it are choices, fitted to no trace;
// docs/STEERING-QUALITY.md says what becomes of the results when they are wrong.
type Spec struct {
	Regions  int           `yaml:"regions"`
	Groups   int           `yaml:"groups"`   // ASNs of each region
	CDNs     int           `yaml:"cdns"`     //
	Vantages int           `yaml:"vantages"` // of each region, each in another ASN
	Step     time.Duration `yaml:"step"`
	TTL      time.Duration `yaml:"ttl"` // of the answers of every policy

	Latency  Latency `yaml:"latency"`
	Demand   Demand  `yaml:"demand"`
	Degraded Fault   `yaml:"degraded"`       // of a CDN in a region
	Local    Fault   `yaml:"local_degraded"` // of a CDN in an ASN
	Outage   Fault   `yaml:"outage"`         // of a CDN in a region
	Global   Fault   `yaml:"global_outage"`  // of a CDN
	Scripted Script  `yaml:"scripted"`
	Cache    Cache   `yaml:"cache"`
	Capacity Load    `yaml:"capacity"`
	Flash    Flash   `yaml:"flash"`
	Probes   Probes  `yaml:"probes"`
	RUM      RUM     `yaml:"rum"`
	Usage    Usage   `yaml:"usage"`
	Reach    Reach   `yaml:"actuation"`
	Price    Price   `yaml:"price"`

	// ErrorMs is what a failed fetch costs, in the milliseconds of a slow one.
	ErrorMs float64 `yaml:"error_ms"`
	// Dark is when the control plane is dead: from, for; zero = never.
	Dark Window `yaml:"control_dark"`
}

// Window is a span of a run.
type Window struct {
	From time.Duration `yaml:"from"`
	For  time.Duration `yaml:"for"`
}

func (w Window) open(at time.Duration) bool { return at >= w.From && at < w.From+w.For }

// Range is what a figure is drawn from, all values alike.
type Range struct {
	Low  float64 `yaml:"low"`
	High float64 `yaml:"high"`
}

// Latency is in milliseconds: base × CDN in the region × CDN in the ASN × two
// processes that wander × the evening.
type Latency struct {
	BaseMs      []float64     `yaml:"base_ms"`      // by region; they repeat
	RegionSigma float64       `yaml:"region_sigma"` // of the logarithm
	GroupSigma  float64       `yaml:"group_sigma"`
	WanderSigma float64       `yaml:"wander_sigma"`
	RegionTau   time.Duration `yaml:"region_tau"`
	GroupTau    time.Duration `yaml:"group_tau"`
	Evening     Range         `yaml:"evening"`
	HeavyTails  bool          `yaml:"heavy_tails"` // Student's t with 3 degrees of freedom instead of normal factors: another world
	Jumps       bool          `yaml:"jumps"`       // processes stay and jump instead of wandering, with the same spread and memory: another world
}

// Demand is by region, ASN and hour.
type Demand struct {
	RegionSkew float64 `yaml:"region_skew"` // weight ~ rank^-skew
	GroupSkew  float64 `yaml:"group_skew"`
	Floor      float64 `yaml:"floor"` // at night, of the peak
	Flat       bool    `yaml:"flat"`  // no days and nights
	PeakGbps   float64 `yaml:"peak_gbps"`
}

// Fault is something that goes wrong and ends: a Poisson process with lognormal
// durations.
type Fault struct {
	Gap      time.Duration `yaml:"gap"`      // mean time between; 0 = never
	Duration time.Duration `yaml:"duration"` // median
	Sigma    float64       `yaml:"sigma"`
	Slower   Range         `yaml:"slower"` // factor on latency
	Errors   Range         `yaml:"errors"` // share of fetches
	Hits     float64       `yaml:"hits"`   // probability that an ASN is affected
	Gray     float64       `yaml:"gray"`   // probability that probes see nothing of it
	Pareto   bool          `yaml:"pareto"` // durations have the tail of a Pareto distribution without a mean, a day at most: another world
}

// Script is one outage of the first CDN, everywhere, at a known time; For 0 = none.
type Script struct {
	Window `yaml:",inline"`
	Errors float64 `yaml:"errors"`
}

// Cache is what a CDN's caches are worth after an outage.
type Cache struct {
	Warm   float64       `yaml:"warm"` // hit ratio
	Cold   float64       `yaml:"cold"`
	Tau    time.Duration `yaml:"tau"`
	MissMs float64       `yaml:"miss_ms"` // what a miss adds
}

// Load is what a CDN carries in a region, as a part of the region's peak, and what
// becomes of latency and errors when it is full.
type Load struct {
	Of     Range   `yaml:"of_peak"` // high 0 = without end
	Knee   float64 `yaml:"knee"`    // load ÷ capacity above which latency grows
	Slope  float64 `yaml:"slope"`   // latency × (1 + slope × what is above the knee)
	Most   float64 `yaml:"most"`    // of what is above the knee
	Shed   float64 `yaml:"shed"`    // errors: shed × (1 - 1/load)
	Stated float64 `yaml:"stated"`  // sigma of the logarithm by which what the contract states is wrong
}

// Flash is a crowd in one region.
type Flash struct {
	Gap   time.Duration `yaml:"gap"`
	Size  Range         `yaml:"size"`
	Ramp  time.Duration `yaml:"ramp"`
	Hold  Range         `yaml:"hold_minutes"`
	Most  float64       `yaml:"most"` // of the region's peak
	Known Window        `yaml:"event"`
	Times float64       `yaml:"event_times"` // by which Known multiplies demand everywhere, known before; 0 = no event
}

// Probes are the synthetic measurements.
type Probes struct {
	Every    time.Duration `yaml:"every"`
	Sigma    float64       `yaml:"sigma"`
	Spikes   float64       `yaml:"spikes"` // probability of five times the latency
	Loss     float64       `yaml:"loss"`   // probability that the probe itself fails
	Lies     Window        `yaml:"lies"`   // one vantage of each region sees the first CDN down
	Blackout Window        `yaml:"blackout"`
}

// RUM is what players report.
type RUM struct {
	Most  float64 `yaml:"most"`   // reports of an ASN and CDN in a step at most
	AtAll float64 `yaml:"median"` // that the median ASN's whole mean demand would send
	Sigma float64 `yaml:"sigma"`
	Delay Range   `yaml:"delay_seconds"`
}

// Usage is what CDNs report that they carried, ASN by ASN.
type Usage struct {
	Every time.Duration `yaml:"every"`
	Delay time.Duration `yaml:"delay"`
}

// Reach is how viewers follow what is decided.
type Reach struct {
	Door    string        `yaml:"door"`    // dns, redirect or steering
	Stretch float64       `yaml:"stretch"` // part of the DNS clients whose resolver keeps answers too long
	Kept    time.Duration `yaml:"kept"`    // … so long
	ECS     float64       `yaml:"ecs"`     // part of the DNS clients of whom we are told the network
	Poll    time.Duration `yaml:"poll"`    // of content steering
	Session time.Duration `yaml:"session"` // median
	Spread  float64       `yaml:"session_sigma"`
}

// Price is what the traffic costs.
type Price struct {
	PerGB   Range     `yaml:"per_gb"`
	Commits []float64 `yaml:"commits"` // part of the volume that CDNs are paid for anyway, by CDN
	// Strictness is how much the pace of a commit counts on the first day of a month.
	Strictness float64 `yaml:"strictness"`
}

// Base is the world that every scenario starts from.
func Base() Spec {
	return Spec{
		Regions: 12, Groups: 10, CDNs: 4, Vantages: 3, Step: 10 * time.Second, TTL: 20 * time.Second, ErrorMs: 2000,
		Latency: Latency{
			BaseMs: []float64{14, 14, 12, 16, 18, 22, 25, 30, 45, 50, 70, 90}, RegionSigma: 0.30, GroupSigma: 0.25,
			WanderSigma: 0.10, RegionTau: time.Hour, GroupTau: 30 * time.Minute, Evening: Range{0, 0.5},
		},
		Demand: Demand{RegionSkew: 0.7, GroupSkew: 1, Floor: 0.25, PeakGbps: 1000},
		Degraded: Fault{
			Gap: 16 * time.Hour, Duration: 12 * time.Minute, Sigma: 1, Slower: Range{1.5, 4}, Errors: Range{0, 0.05}, Hits: 0.7, Gray: 0.25,
		},
		Local: Fault{Gap: 72 * time.Hour, Duration: 15 * time.Minute, Sigma: 1, Slower: Range{1.5, 4.5}, Errors: Range{0, 0.08}, Hits: 1, Gray: 0},
		Outage: Fault{
			Gap: 240 * time.Hour, Duration: 20 * time.Minute, Sigma: 0.8, Slower: Range{1, 1}, Errors: Range{0.3, 1}, Hits: 0.8, Gray: 0.15,
		},
		Global: Fault{
			Gap: 720 * time.Hour, Duration: 40 * time.Minute, Sigma: 0.6, Slower: Range{1, 1}, Errors: Range{0.5, 1}, Hits: 0.85,
		},
		Cache:    Cache{Warm: 1, Cold: 0.5, Tau: 10 * time.Minute, MissMs: 60},
		Capacity: Load{Of: Range{0.9, 1.5}, Knee: 0.8, Slope: 4, Most: 0.6, Shed: 0.5},
		Flash: Flash{
			Gap: 48 * time.Hour, Size: Range{1.6, 2.5}, Ramp: 2 * time.Minute, Hold: Range{45, 120}, Most: 1.9,
		},
		Probes: Probes{Every: 10 * time.Second, Sigma: 0.15, Spikes: 0.005},
		RUM:    RUM{Most: 20, AtAll: 20, Sigma: 0.5, Delay: Range{5, 30}},
		Usage:  Usage{Every: 10 * time.Second, Delay: 30 * time.Second},
		Reach: Reach{
			Door: "dns", Stretch: 0.1, Kept: 300 * time.Second, ECS: 1, Poll: 30 * time.Second, Session: 12 * time.Minute, Spread: 1,
		},
		Price: Price{PerGB: Range{0.004, 0.03}, Commits: []float64{0.30, 0.25, 0.20}, Strictness: 0.3},
	}
}

// Scenarios are the names of the scenarios, in order.
var Scenarios = []string{"S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10"}

// About says what a scenario is.
func About(scenario string) string {
	return map[string]string{
		"S1": "calm", "S2": "degradations and outages, ample capacity", "S3": "base: S2 with flash crowds and capacity", "S4": "tight capacity",
		"S5": "one CDN out everywhere for 45 min", "S6": "gray failures only", "S7": "lying vantages, then an hour without control",
		"S8": "prices and commits", "S9": "TTL 300 s, 30 % stretching resolvers, half without client subnet", "S10": "a live event that was announced",
	}[scenario]
}

// Scenario is the base world, changed as the scenario of that name says.
func Scenario(name string, base Spec) (Spec, error) {
	s := base
	never := func(faults ...*Fault) {
		for _, f := range faults {
			f.Gap = 0
		}
	}
	endless := func() { s.Capacity.Of = Range{}; s.Flash.Gap = 0 }
	switch name {
	case "S1":
		never(&s.Degraded, &s.Local, &s.Outage, &s.Global)
		endless()
	case "S2":
		endless()
	case "S3":
	case "S4":
		s.Capacity.Of = Range{0.45, 0.85}
	case "S5":
		never(&s.Outage, &s.Global)
		endless()
		s.Scripted = Script{Window: Window{40 * time.Minute, 45 * time.Minute}, Errors: 1}
	case "S6":
		endless()
		for _, f := range []*Fault{&s.Degraded, &s.Local, &s.Outage} {
			f.Gray = 1
		}
		never(&s.Global)
	case "S7":
		s.Probes.Lies = Window{20 * time.Minute, 30 * time.Minute}
		s.Dark = Window{time.Hour, time.Hour}
	case "S8":
		s.Price.PerGB = Range{0.004, 0.06} // contracts that differ more than otherwise
	case "S9":
		s.TTL = 300 * time.Second
		s.Reach.Stretch, s.Reach.Kept, s.Reach.ECS = 0.3, 300*time.Second, 0.5
	case "S10":
		s.Flash.Gap = 0
		s.Flash.Known, s.Flash.Times = Window{40 * time.Minute, 75 * time.Minute}, 1.8
	default:
		return s, fmt.Errorf("there is no scenario %q: %v", name, Scenarios)
	}
	return s, nil
}

// ReadSpec reads a world file: what it states stands in the place of what base says.
func ReadSpec(data []byte, base Spec) (Spec, error) {
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&base); err != nil && !errors.Is(err, io.EOF) {
		return base, fmt.Errorf("read world: %w", err)
	}
	return base, base.Check()
}

// Check finds what no world can be made of, all of it at once.
func (s *Spec) Check() error {
	var findings []error
	want := func(ok bool, format string, a ...any) {
		if !ok {
			findings = append(findings, fmt.Errorf("world: "+format, a...))
		}
	}
	want(s.Regions >= 1 && s.Regions <= 100, "regions: %d is not between 1 and 100", s.Regions)
	want(s.Groups >= 1 && s.Groups <= 200, "groups: %d is not between 1 and 200", s.Groups)
	want(s.CDNs >= 1 && s.CDNs <= 8, "cdns: %d is not between 1 and 8", s.CDNs)
	want(s.Vantages >= 1 && s.Vantages <= s.Groups, "vantages: %d is not between 1 and the groups of a region, %d", s.Vantages, s.Groups)
	want(s.Step >= time.Second && s.Step <= time.Minute && s.Step%time.Second == 0, "step: %v is no whole number of seconds up to a minute", s.Step)
	want(s.Usage.Every == 10*time.Second || s.Usage.Every == time.Minute || s.Usage.Every == 5*time.Minute, "usage.every: %v is none of 10s, 1m, 5m", s.Usage.Every)
	want(s.Usage.Every%max(s.Step, 1) == 0, "usage.every: %v is no multiple of the step, %v", s.Usage.Every, s.Step)
	want(s.TTL >= time.Second, "ttl: %v is below a second", s.TTL)
	want(s.Probes.Every >= time.Second, "probes.every: %v is below a second", s.Probes.Every)
	want(len(s.Latency.BaseMs) > 0, "latency.base_ms: name at least one")
	want(s.Demand.PeakGbps > 0, "demand.peak_gbps: %v is not above 0", s.Demand.PeakGbps)
	want(slices.Contains([]string{"dns", "redirect", "steering"}, s.Reach.Door), "actuation.door: %q is none of dns, redirect, steering", s.Reach.Door)
	want(s.Reach.Kept > 0 && s.Reach.Poll > 0 && s.Reach.Session > 0, "actuation: kept, poll and session are above 0")
	for _, p := range []float64{
		s.Degraded.Hits, s.Degraded.Gray, s.Outage.Hits, s.Outage.Gray, s.Global.Hits, s.Global.Gray, s.Reach.Stretch, s.Reach.ECS,
		s.Probes.Spikes, s.Probes.Loss, s.Cache.Cold, s.Cache.Warm, s.Demand.Floor,
	} {
		want(p >= 0 && p <= 1 && !math.IsNaN(p), "%v is no share between 0 and 1", p)
	}
	return errors.Join(findings...)
}
