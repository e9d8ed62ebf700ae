package policytest

import (
	"math"
	"strconv"
	"strings"
	"time"

	"fairway/policies"
	"fairway/steering"
	"fairway/steering/usage"
)

// carriage is what a test says a provider carries.
type carriage struct {
	provider *steering.Provider
	regions  []string // empty = the account as a whole
	figures  map[string]float64
}

// usage reads a mapping from providers, perhaps in regions, to what they carry.
func (p *parser) usage(v value) []carriage {
	var list []carriage
	for _, e := range v.entries() {
		name, regions, _ := strings.Cut(e.key, " in ")
		c := carriage{figures: make(map[string]float64)}
		var names []string
		for _, known := range p.stage.revision.Providers {
			names = append(names, known.Name)
			if known.Name == strings.TrimSpace(name) {
				c.provider = known
			}
		}
		if c.provider == nil {
			p.fault(e.at, policies.Choices("declared providers", names, name), "usage: %q is no provider", name)
			continue
		}
		for region := range strings.SplitSeq(regions, ",") {
			if region = strings.TrimSpace(region); region == "" {
				continue
			}
			if !p.stage.region(region) {
				p.fault(e.at, policies.Choices("declared regions", p.stage.revision.RegionNames(), region), "usage: region %q is not declared", region)
			}
			c.regions = append(c.regions, region)
		}
		known := "month_gb gbps rps"
		if c.regions == nil {
			known += " bursts"
		}
		for key, f := range e.fields(known) {
			if n, err := strconv.ParseFloat(strings.ReplaceAll(f.node.Value, "_", ""), 64); err != nil || !(n >= 0) || math.IsInf(n, 1) {
				f.fault("write a plain number, such as 12.5", "want a number")
			} else {
				c.figures[key] = n
			}
		}
		list = append(list, c)
	}
	return list
}

// carried sums up what was said of usage so far; nil when nothing was. What a provider
// carries as a whole is taken to be alike in all regions where nothing is said of any.
func carried(said []carriage, regions []string, now time.Time) *usage.Standing {
	if said == nil {
		return nil
	}
	s := &usage.Standing{At: now, Accounts: make(map[string]*usage.Account)}
	for i := range said {
		c := &said[i]
		a := s.Accounts[c.provider.Name]
		if a == nil {
			a = &usage.Account{Regions: make(map[string]usage.Volume), First: steering.MonthOf(now)}
			s.Accounts[c.provider.Name] = a
		}
		if c.regions == nil {
			c.into(&a.Volume, now)
			if n, told := c.figures["bursts"]; told {
				a.Peaks = bursts(c.provider, int(n))
			}
		}
		for _, region := range c.regions {
			v := a.Regions[region]
			c.into(&v, now)
			a.Regions[region] = v
		}
	}
	for _, a := range s.Accounts {
		if a.Known && len(a.Regions) == 0 {
			each := usage.Volume{BPS: a.BPS / float64(len(regions)), RPS: a.RPS / float64(len(regions)), Known: true, Newest: now}
			for _, region := range regions {
				a.Regions[region] = each
			}
		}
		sum := usage.Volume{}
		for _, v := range a.Regions {
			sum.MonthBytes, sum.BPS, sum.RPS = sum.MonthBytes+v.MonthBytes, sum.BPS+v.BPS, sum.RPS+v.RPS
			a.Known = a.Known || v.Known
		}
		a.MonthBytes, a.BPS, a.RPS = max(a.MonthBytes, sum.MonthBytes), max(a.BPS, sum.BPS), max(a.RPS, sum.RPS)
	}
	return s
}

func (c *carriage) into(v *usage.Volume, now time.Time) {
	if gb, told := c.figures["month_gb"]; told {
		v.MonthBytes = gb * usage.GB
	}
	if gbps, told := c.figures["gbps"]; told {
		v.BPS, v.Known, v.Newest = gbps*1e9, true, now
	}
	if rps, told := c.figures["rps"]; told {
		v.RPS, v.Known, v.Newest = rps, true, now
	}
}

// bursts are so many five-minute rates above the one that is paid for.
func bursts(p *steering.Provider, n int) []float64 {
	peaks := make([]float64, min(n, 450))
	for i := range peaks {
		peaks[i] = 2 * p.P95Gbps * 1e9
	}
	return peaks
}
