package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"fairway/steering"
	"fairway/steering/usage"
)

// UsageVersion is the form of UsageReport that this release reads and writes.
const UsageVersion = 1

// UsageReport is the body of POST /api/v1/usage, plain or with Content-Encoding:
// gzip. It is taken as a whole or refused as a whole. To send it again does no
// harm: see package usage.
type UsageReport struct {
	Version int           `json:"version"` // UsageVersion
	Samples []UsageSample `json:"samples,omitempty"`
	// MonthSoFar is what bills say: it takes the place of what was counted of the
	// month up to then.
	MonthSoFar []UsageOpening `json:"month_so_far,omitempty"`
	// Doors is what the doors of another node have handed out.
	Doors *DoorCounts `json:"doors,omitempty"`
}

// UsageSample is what a provider carried in a region over one span.
type UsageSample struct {
	Provider string    `json:"provider"`
	Region   string    `json:"region,omitempty"` // empty = all regions together, where the provider does not tell them apart
	Start    time.Time `json:"start"`            // a whole multiple of the seconds
	Seconds  int       `json:"seconds"`          // 10, 60 or 300
	Bytes    float64   `json:"bytes"`
	Requests float64   `json:"requests,omitempty"`
}

// UsageOpening is the volume of a month up to a time.
type UsageOpening struct {
	Provider string    `json:"provider"`
	Region   string    `json:"region,omitempty"` // empty = all regions together
	Until    time.Time `json:"until"`
	Bytes    float64   `json:"bytes"`
}

// DoorCounts are the counts of one node, which only grow while it runs.
type DoorCounts struct {
	Node   string            `json:"node"` // names the run of a node: another one after a restart
	Handed []steering.Handed `json:"handed"`
}

// UnmarshalJSON leaves out what it does not know: the counts come from Fairway's own
// doors, and those of a later release may say more.
func (d *DoorCounts) UnmarshalJSON(text []byte) error {
	type known DoorCounts
	return json.Unmarshal(text, (*known)(d))
}

// UsageTaken is the answer to a UsageReport.
type UsageTaken struct {
	Samples  usage.Effect `json:"samples"`
	Openings int          `json:"month_so_far"`
	Handed   int          `json:"handed"`
}

// Usage is the body of GET /api/v1/usage: each provider as a whole, then the
// regions of which something is known. Prices are in Currency, a GB is 10⁹ bytes.
type Usage struct {
	Now          time.Time  `json:"now"`
	Month        time.Time  `json:"month"`         // when it began
	MonthElapsed float64    `json:"month_elapsed"` // 0..1
	Currency     string     `json:"currency,omitempty"`
	Stretch      float64    `json:"stretch"` // by which the caps are passed since all together are too few; 1 = they hold
	Rows         []UsageRow `json:"rows"`
}

// UsageRow is one provider, or a region of it. What is 0 or absent is not known,
// or the contract does not have it.
type UsageRow struct {
	Provider    string    `json:"provider"`
	Region      string    `json:"region,omitempty"` // empty = the account as a whole
	Known       bool      `json:"known"`            // Gbps and RPS are those of now
	Newest      time.Time `json:"newest,omitzero"`
	Gbps        float64   `json:"gbps"`
	RPS         float64   `json:"rps"`
	CapGbps     float64   `json:"cap_gbps,omitempty"`
	CapRPS      float64   `json:"cap_rps,omitempty"`
	Load        float64   `json:"load"` // of the tightest cap that bounds it
	MonthGB     float64   `json:"month_gb"`
	LastMonthGB float64   `json:"last_month_gb,omitempty"`
	EstimateGB  float64   `json:"estimate_gb,omitempty"` // at the end of the month
	PricePerGB  float64   `json:"price_per_gb,omitempty"`
	Cost        float64   `json:"cost,omitempty"` // of the month so far, the commit not counted
	Estimate    float64   `json:"estimate,omitempty"`
	CommitGB    float64   `json:"commit_gb,omitempty"`
	Pace        float64   `json:"pace"` // 1 = on pace, or no commit
	Pull        float64   `json:"pull"`
	P95Gbps     float64   `json:"p95_gbps,omitempty"`      // of the month so far
	P95PaidGbps float64   `json:"p95_paid_gbps,omitempty"` // the rate that is paid for in any case
	BurstsUsed  int       `json:"bursts_used,omitempty"`   // five-minute rates above it
	BurstsFree  int       `json:"bursts_free,omitempty"`   // that a month has
}

// Carrier is what a control node knows of traffic, and takes reports of.
type Carrier interface {
	// Usage gives what is known.
	Usage() (Usage, error)
	// Contracts names the providers and regions that a report may speak of.
	Contracts() (providers, regions []string)
	// Report takes what was checked.
	Report(ctx context.Context, samples []usage.Sample, openings []usage.Opening, doors *DoorCounts) (UsageTaken, error)
}

// DescribeUsage sets traffic beside the contracts.
func DescribeUsage(revision *steering.Revision, carried *usage.Standing, stretch float64, now time.Time) Usage {
	u := Usage{
		Now: now, Month: steering.MonthOf(now), MonthElapsed: steering.MonthElapsed(now), Currency: revision.Currency,
		Stretch: stretch, Rows: []UsageRow{},
	}
	for _, p := range revision.Providers {
		account := carried.Account(p.Name)
		u.Rows = append(u.Rows, accountRow(p, account, now))
		for _, region := range revision.RegionNames() {
			_, contracted := p.Regions[region]
			if volume := carried.Volume(p.Name, region); contracted || volume != (usage.Volume{}) {
				u.Rows = append(u.Rows, regionRow(p, account, region, volume, now))
			}
		}
	}
	return u
}

func accountRow(p *steering.Provider, account *usage.Account, now time.Time) UsageRow {
	r := UsageRow{Provider: p.Name, CapGbps: p.CapGbps, CapRPS: p.CapRPS, CommitGB: p.Commit.GBMonth, P95PaidGbps: p.P95Gbps, Pace: 1, Pull: 1}
	if p.P95Gbps > 0 {
		r.BurstsFree = usage.BurstsFree(now)
	}
	r.PricePerGB = p.PricePerGB.At(0)
	if account == nil {
		return r
	}
	r.volume(account.Volume)
	pace := p.Pace(account.MonthGB(), now)
	r.Pace, r.Pull = pace.Ratio, pace.Pull
	r.Load = account.Load(p, "")
	r.LastMonthGB = account.LastMonth / usage.GB
	r.EstimateGB = account.Estimate(now)
	r.P95Gbps = account.P95(now) / 1e9
	if p.P95Gbps > 0 {
		r.BurstsUsed = account.BurstsUsed(p.P95Gbps * 1e9)
	}
	r.PricePerGB = p.PricePerGB.At(r.MonthGB)
	r.Cost = account.Cost(p, 1)
	if r.MonthGB > 0 {
		r.Estimate = account.Cost(p, r.EstimateGB/r.MonthGB)
	}
	return r
}

func regionRow(p *steering.Provider, account *usage.Account, region string, volume usage.Volume, now time.Time) UsageRow {
	terms := p.Regions[region]
	r := UsageRow{Provider: p.Name, Region: region, CapGbps: terms.CapGbps, CapRPS: terms.CapRPS, Pace: 1, Pull: 1}
	r.volume(volume)
	r.Load = account.Load(p, region)
	r.PricePerGB = p.Price(region, account.MonthGB(), r.MonthGB)
	if whole := account.MonthGB(); whole > 0 {
		r.EstimateGB = r.MonthGB * account.Estimate(now) / whole
	}
	return r
}

func (r *UsageRow) volume(v usage.Volume) {
	r.Known, r.Newest = v.Known, v.Newest
	r.Gbps, r.RPS, r.MonthGB = v.BPS/1e9, v.RPS, v.MonthBytes/usage.GB
}

func (s *Server) carrier() (Carrier, error) {
	if s.config.Usage == nil {
		return nil, &Error{
			Status: http.StatusServiceUnavailable, Message: "this node does not play the control role",
			Remedy: "ask the node that does",
		}
	}
	return s.config.Usage, nil
}

func (s *Server) getUsage(*http.Request) (any, error) {
	carrier, err := s.carrier()
	if err != nil {
		return nil, err
	}
	return value(carrier.Usage())
}

func (s *Server) postUsage(r *http.Request) (any, error) {
	carrier, err := s.carrier()
	if err != nil {
		return nil, err
	}
	body, err := content(r)
	if err != nil {
		return nil, err
	}
	var report UsageReport
	if err := decode(body, &report); err != nil {
		return nil, err
	}
	providers, regions := carrier.Contracts()
	samples, openings, err := report.check(providers, regions, time.Now())
	if err != nil {
		return nil, err
	}
	return value(carrier.Report(r.Context(), samples, openings, report.Doors))
}

// maxUsageFindings is how many findings of a report are told.
const maxUsageFindings = 20

// check gives what the report says, or everything that is wrong with it.
func (u *UsageReport) check(providers, regions []string, now time.Time) (samples []usage.Sample, openings []usage.Opening, err error) {
	if u.Version != UsageVersion {
		return nil, nil, invalid("upgrade the control nodes before those that report", "the report has version %d, this release reads %d", u.Version, UsageVersion)
	}
	if n := len(u.Samples) + len(u.MonthSoFar); n > MaxBatch {
		return nil, nil, &Error{
			Status: http.StatusRequestEntityTooLarge, Message: fmt.Sprintf("there are %d samples, more than %d", n, MaxBatch), Remedy: "send them in several requests",
		}
	}
	var findings []string
	find := func(what string, i int, err error) {
		if err != nil {
			findings = append(findings, fmt.Sprintf("%s[%d]: %s", what, i, strings.ReplaceAll(err.Error(), "\n", ", ")))
		}
	}
	whose := func(provider, region string) error {
		switch {
		case !slices.Contains(providers, provider):
			return fmt.Errorf("provider %q is not declared (%s)", cut(provider, 80), strings.Join(providers, ", "))
		case region != "" && !slices.Contains(regions, region):
			return fmt.Errorf("region %q is not declared (%s)", cut(region, 80), strings.Join(regions, ", "))
		}
		return nil
	}
	for i, w := range u.Samples {
		s := usage.Sample{Provider: w.Provider, Region: w.Region, Start: w.Start, Span: time.Duration(w.Seconds) * time.Second, Bytes: w.Bytes, Requests: w.Requests}
		find("samples", i, errors.Join(whose(w.Provider, w.Region), s.Check(now)))
		samples = append(samples, s)
	}
	for i, w := range u.MonthSoFar {
		o := usage.Opening{Provider: w.Provider, Region: w.Region, Until: w.Until, Bytes: w.Bytes}
		find("month_so_far", i, errors.Join(whose(w.Provider, w.Region), o.Check(now)))
		openings = append(openings, o)
	}
	if d := u.Doors; d != nil && (d.Node == "" || len(d.Node) > maxName) {
		find("doors", 0, errors.New("the node has no name, or a very long one"))
	}
	if findings != nil {
		more := ""
		if n := len(findings) - maxUsageFindings; n > 0 {
			findings, more = findings[:maxUsageFindings], fmt.Sprintf(" (and %d more)", n)
		}
		return nil, nil, invalid("nothing of this report was taken", "%s%s", strings.Join(findings, "; "), more)
	}
	return samples, openings, nil
}
