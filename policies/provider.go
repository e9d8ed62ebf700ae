package policies

import (
	"fmt"
	"math"
	"regexp"
	"time"

	"fairway/steering"
)

// The defaults of a provider's terms.
const (
	defaultHeadroom   = 0.10
	defaultStrictness = 0.30
)

// termKeys are what an account and a region of it may both say.
const termKeys = "price_per_gb cap_gbps cap_rps"

// providers compiles the CDN accounts.
func (c *compiler) providers() []*steering.Provider {
	var all []*steering.Provider
	for _, v := range c.each(provider) {
		f, _ := v.fields(termKeys + " headroom commit p95 regions geofence blocked token")
		p := &steering.Provider{Name: v.name, Terms: f.terms(), Headroom: defaultHeadroom, Place: v.home()}
		if h, ok := f.under("headroom"); ok {
			p.Headroom = h.headroom()
		}
		if commit, ok := f.under("commit"); ok {
			p.Commit = commit.as("commit of %s", v.subject).commit()
		}
		if burst, ok := f.under("p95"); ok {
			p.P95Gbps = burst.as("p95 of %s", v.subject).p95()
		}
		if regions, ok := f.under("regions"); ok {
			p.Regions = regions.as("regions of %s", v.subject).regionalTerms(v.name)
		}
		if t, ok := f.under("token"); ok {
			p.Tokens = t.as("token of %s", v.subject).tokens()
		}
		c.accounts[p.Name] = p
		c.fencesOf[p.Name] = f.fences()
		c.reviewTerms(f, p)
		all = append(all, p)
	}
	return all
}

func (f fields) terms() steering.Terms {
	t := steering.Terms{
		CapGbps: f.number("cap_gbps", 0, 0.001, math.Inf(1)),
		CapRPS:  f.number("cap_rps", 0, 0.001, math.Inf(1)),
	}
	if v, ok := f.under("price_per_gb"); ok {
		t.PricePerGB = v.tariff()
	}
	return t
}

// The bounds of a price.
const mostPrice = 1000

// tariff reads a price, or tiers of them by volume. A price of 0 says nothing.
func (v value) tariff() steering.Tariff {
	if v.node.Tag != "!!seq" {
		if price, ok := v.number(0, mostPrice); ok && price > 0 {
			return steering.FlatTariff(price)
		}
		return nil
	}
	items, _ := v.list()
	var tiers steering.Tariff
	for i, item := range items {
		f, ok := item.as("tier %d of price_per_gb of %s", i+1, v.subject).fields("up_to_gb price")
		if !ok {
			continue
		}
		f.require("price", "add price, per GB")
		tier := steering.Tier{Price: f.number("price", 0, 0, mostPrice)}
		end, ends := f.under("up_to_gb")
		switch {
		case ends:
			tier.UpToGB, ok = end.number(0.001, math.Inf(1))
			if before := len(tiers) - 1; ok && before >= 0 && tier.UpToGB <= tiers[before].UpToGB {
				end.fault("let the tiers rise", "the tier before goes up to %s", trim(tiers[before].UpToGB))
			}
			if i == len(items)-1 {
				end.fault("leave up_to_gb out of the last tier: its price is for all that is beyond", "nothing says what more than that costs")
			}
		case i < len(items)-1:
			f.c.fault(f.home(), "add up_to_gb: the volume of the month at which the price ends", "%sup_to_gb is missing: only the last tier has no end", f.about())
		}
		tiers = append(tiers, tier)
	}
	if len(items) == 0 {
		v.fault("write a price, or tiers: [{up_to_gb: 100_000, price: 0.006}, {price: 0.004}]", "is empty")
	}
	return tiers
}

// headroom reads the part of a cap that is left free.
func (v value) headroom() float64 {
	n, ok := v.percent()
	if ok && n > 0.9 {
		v.fault("use 0% to 90%", "%s leaves hardly anything to use", v.node.Value)
		return defaultHeadroom
	}
	return n
}

func (v value) commit() steering.Commit {
	f, _ := v.fields("gb_month strictness")
	c := steering.Commit{Strictness: defaultStrictness}
	if _, ok := f.require("gb_month", "add gb_month, the volume of the contract"); ok {
		c.GBMonth = f.number("gb_month", 0, 0, math.Inf(1))
	}
	if s, ok := f.under("strictness"); ok {
		c.Strictness, _ = s.percent()
	}
	return c
}

func (v value) p95() float64 {
	f, _ := v.fields("gbps")
	if _, ok := f.require("gbps", "add gbps, the rate that is paid for in any case"); ok {
		return f.number("gbps", 0, 0.001, math.Inf(1))
	}
	return 0
}

// regionalTerms reads what an account's contract says of single regions.
func (v value) regionalTerms(owner string) map[string]steering.Terms {
	entries, _ := v.entries()
	all := make(map[string]steering.Terms, len(entries))
	for _, e := range entries {
		if !v.c.known(region, e.key) {
			v.missing(e.keyAt, region, e.key)
			continue
		}
		f, ok := e.as("region %q of provider %q", e.key, owner).fields(termKeys + " latency")
		if ok && len(f.byKey) == 0 {
			v.c.warn(e.keyAt, "add price_per_gb, cap_gbps, cap_rps or latency, or take it out", "%ssays nothing", f.about())
		}
		terms := f.terms()
		terms.Latency = f.duration("latency", 0, 100*time.Microsecond, time.Minute)
		all[e.key] = terms
	}
	return all
}

// reviewTerms reports terms that contradict each other.
func (c *compiler) reviewTerms(f fields, p *steering.Provider) {
	if _, ok := f.under("headroom"); ok && !p.Limited() {
		c.warn(f.byKey["headroom"].keyAt, "add cap_gbps or cap_rps", "%s: headroom does nothing without a cap", f.subject)
	}
	if p.CapGbps > 0 && p.P95Gbps >= p.CapGbps {
		c.warn(f.byKey["p95"].keyAt, "let cap_gbps be what the account may carry in its burst hours", "%s: the rate of p95, %s Gbit/s, is never passed: cap_gbps is %s",
			f.subject, trim(p.P95Gbps), trim(p.CapGbps))
	}
	if room := p.CapGbps * (1 - p.Headroom) * secondsOfMonth / 8; p.CapGbps > 0 && p.Commit.GBMonth > room {
		c.warn(f.byKey["commit"].keyAt, "raise cap_gbps, or lower the commit",
			"%s: the commit of %s GB a month cannot be met: cap_gbps %s with its headroom carries %.0f at most", f.subject, trim(p.Commit.GBMonth), trim(p.CapGbps), room)
	}
	for name, terms := range p.Regions {
		c.reviewRegionCap(f, p, name, "cap_gbps", terms.CapGbps, p.CapGbps)
		c.reviewRegionCap(f, p, name, "cap_rps", terms.CapRPS, p.CapRPS)
	}
}

const secondsOfMonth = 30 * 24 * 3600

func (c *compiler) reviewRegionCap(f fields, p *steering.Provider, name, key string, own, whole float64) {
	if own > 0 && whole > 0 && own > whole {
		entries, _ := f.byKey["regions"].entries()
		for _, e := range entries {
			if e.key == name {
				c.warn(e.keyAt, "lower it, or raise that of the account", "region %q of provider %q: %s %s is more than the whole account may carry, %s",
					name, p.Name, key, trim(own), trim(whole))
			}
		}
	}
}

var currencyCode = regexp.MustCompile(`^[A-Z]{3}$`)

// currency reads what the prices are in.
func (c *compiler) currency() string {
	v, ok := c.single("currency")
	if !ok {
		return ""
	}
	s, ok := v.text()
	if ok && !currencyCode.MatchString(s) {
		v.fault("write the three letters of ISO 4217, such as USD or EUR", "%q is no currency code", clip(s))
		return ""
	}
	return s
}

// cost reads a rule's cost stage.
func (v value) cost() steering.CostSpec {
	f, ok := v.fields("at_most tie_break commit")
	spec := steering.CostSpec{AtMost: f.number("at_most", 0, 0.000001, mostPrice), Place: v.place()}
	for key, into := range map[string]*float64{"tie_break": &spec.TieBreak, "commit": &spec.Commit} {
		if part, ok := f.under(key); ok {
			n, ok := part.percent()
			if ok && n > 0.9 {
				part.fault("use 0% to 90%", "%s would leave nothing of the score", part.node.Value)
			}
			*into = n
		}
	}
	if ok && len(f.byKey) == 0 {
		v.fault("add at_most: 0.006, tie_break: 5% or commit: 20%", "says nothing")
	}
	return spec
}

// reviewCost warns of rules that count on prices or commits that a service's
// providers do not have.
func (c *compiler) reviewCost(s *steering.Service) {
	for _, r := range s.Policy.Rules {
		if r.Cost == (steering.CostSpec{}) || r.Cost.Place.Line == 0 {
			continue
		}
		priced, committed := 0, 0
		without := ""
		for _, e := range s.Endpoints {
			if e.Account != nil && (e.Account.PricePerGB != nil || len(e.Account.Regions) > 0) {
				priced++
			} else if without == "" {
				without = e.Provider
			}
			if e.Account != nil && e.Account.Commit.GBMonth > 0 {
				committed++
			}
		}
		what := fmt.Sprintf("rule %q of policy %q, for service %q", r.Name, s.Policy.Name, s.Key)
		if (r.Cost.AtMost > 0 || r.Cost.TieBreak > 0) && priced < len(s.Endpoints) {
			c.warn(r.Cost.Place, "add its price_per_gb", "%s: counts on prices, and provider %q states none", what, without)
		}
		if r.Cost.Commit > 0 && committed == 0 {
			c.warn(r.Cost.Place, "add commit: {gb_month: N} to a provider", "%s: counts on commits, and none of the providers has one", what)
		}
	}
}
