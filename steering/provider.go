package steering

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Provider is a CDN account with what its contract says: prices, caps, and the
// volume that is paid for in any case. Its methods take a nil Provider for one
// without terms.
type Provider struct {
	Name string
	Terms
	Headroom float64          // part of each cap that is left free, default 0.10
	Commit   Commit           // zero = none
	P95Gbps  float64          // 95th-percentile billing: the rate that is paid for anyway; 0 = billed otherwise
	Regions  map[string]Terms // region → terms of its own there; nil = none
	Tokens   *Tokens          // nil = its URLs need none
	Place    Place
}

// Terms are prices and caps, of an account or of one region of it. Figures are
// in the revision's Currency.
type Terms struct {
	PricePerGB Tariff  // nil = not stated
	CapGbps    float64 // the most that it may carry; 0 = no cap
	CapRPS     float64 // requests a second; 0 = no cap
	// Latency is what a fetch usually takes the clients of a region, as a survey found
	// it; 0 = not stated. Of an account as a whole it says nothing.
	Latency time.Duration
}

// Commit is a volume that is paid for whether or not it is used.
type Commit struct {
	GBMonth    float64 // GB in a calendar month, UTC; 0 = none
	Strictness float64 // how much the pace counts on the first day, 0..1; on the last it counts in full
}

// Tariff is a price per GB by the volume of the month: tiers with rising ends.
type Tariff []Tier

// Tier is one price, for the volume up to UpToGB.
type Tier struct {
	UpToGB float64 // 0 = without end; the last tier has none
	Price  float64
}

// FlatTariff is one price for any volume.
func FlatTariff(price float64) Tariff { return Tariff{{Price: price}} }

// At gives the price of the next GB after so many; 0 = not stated.
func (t Tariff) At(gb float64) float64 {
	for _, tier := range t {
		if tier.UpToGB == 0 || gb < tier.UpToGB {
			return tier.Price
		}
	}
	return 0
}

// Cost gives the price of a whole volume.
func (t Tariff) Cost(gb float64) float64 {
	cost, from := 0.0, 0.0
	for _, tier := range t {
		end := tier.UpToGB
		if end == 0 {
			end = math.Inf(1)
		}
		if gb <= from {
			break
		}
		cost += (min(gb, end) - from) * tier.Price
		from = end
	}
	return cost
}

// String writes the tariff as an operator would say it.
func (t Tariff) String() string {
	if len(t) == 0 {
		return "none"
	}
	var parts []string
	for _, tier := range t {
		part := fmt.Sprintf("%.6g", tier.Price)
		if tier.UpToGB > 0 {
			part += fmt.Sprintf(" up to %.6g GB", tier.UpToGB)
		} else if len(t) > 1 {
			part += " beyond"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

// Price gives the price of the next GB in a region, where the account has
// carried so much this month, the region included; 0 = not stated.
func (p *Provider) Price(region string, accountGB, regionGB float64) float64 {
	if p == nil {
		return 0
	}
	if own := p.Regions[region].PricePerGB; own != nil {
		return own.At(regionGB)
	}
	return p.PricePerGB.At(accountGB)
}

// Priced tells whether the price of clients of a region is stated.
func (p *Provider) Priced(region string) bool {
	return p != nil && (p.PricePerGB != nil || p.Regions[region].PricePerGB != nil)
}

// Limited tells whether anything bounds what the account may carry.
func (p *Provider) Limited() bool {
	if p == nil {
		return false
	}
	for _, terms := range p.Regions {
		if terms.CapGbps > 0 || terms.CapRPS > 0 {
			return true
		}
	}
	return p.CapGbps > 0 || p.CapRPS > 0 || p.P95Gbps > 0
}

// Pace tells how the month's volume compares with the commit: Ratio is 1 when
// it is used up evenly, less below the pace, more above. Pull is the factor by
// which a score follows from it: above 1 attracts, below 1 repels. Both are 1
// without a commit.
type Pace struct {
	Ratio float64
	Pull  float64
}

// OnPace is the pace of an account that has no commit, or of which nothing is
// known.
var OnPace = Pace{Ratio: 1, Pull: 1}

// The bounds of a pace. In the first hours of a month any ratio can come about, and
// none of them says much; in the last ones a lag of any size would need whatever there
// is.
const (
	leastElapsed = 0.02 // about half a day
	leastLeft    = 0.02
	mostRatio    = 3
	mostPull     = 10
)

// Pace gives the pace of a month's volume at a time within the month.
func (p *Provider) Pace(usedGB float64, now time.Time) Pace {
	if p == nil || p.Commit.GBMonth <= 0 {
		return OnPace
	}
	used, elapsed := usedGB/p.Commit.GBMonth, MonthElapsed(now)
	return Pace{Ratio: min(mostRatio, used/max(leastElapsed, elapsed)), Pull: p.Commit.pull(used, elapsed)}
}

// pull is the factor on the score where a part of the commit is used after a part of
// the month. It grows with the distance from the pace and with the month, by a weight of
// elapsed + (1-elapsed) × strictness.
//
// What is ahead is repelled by the formula of Openmix's monthly targets, 1 ÷ (1 + (pace -
// 1) × weight). By that formula what is behind would come to rest where the lag itself
// pulls enough, a third below the pace where it takes a third of the score, and stay
// there until the month is over. So a lag is how much faster than so far the rest of the
// month must go, and pulls by its power: as less is left, less of a lag pulls as much.
func (c *Commit) pull(used, elapsed float64) float64 {
	pace := (used + leastElapsed) / (elapsed + leastElapsed) // as if half a day before had been on the pace
	weight := elapsed + (1-elapsed)*c.Strictness
	if pace >= 1 {
		return 1 / (1 + (min(mostRatio, pace)-1)*weight)
	}
	rest := (1 - used) / max(leastLeft, 1-elapsed)
	return min(mostPull, math.Pow(max(1, rest/pace), 3*weight))
}

// MonthOf is when the billing month of a time began: the calendar month, UTC.
func MonthOf(now time.Time) time.Time {
	year, month, _ := now.UTC().Date()
	return time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
}

// MonthLength is how long the billing month of a time lasts.
func MonthLength(now time.Time) time.Duration {
	begin := MonthOf(now)
	return begin.AddDate(0, 1, 0).Sub(begin)
}

// MonthElapsed is the part of the billing month that has passed, 0..1.
func MonthElapsed(now time.Time) float64 {
	return float64(now.Sub(MonthOf(now))) / float64(MonthLength(now))
}
