package api

import (
	"time"

	"fairway/steering"
)

// Status is the body of GET /api/v1/status: enough for a table on a terminal
// and for the console to draw from. Lists are in the configuration's order.
type Status struct {
	Version       string              `json:"version"`
	Roles         []string            `json:"roles"`
	Listen        map[string][]string `json:"listen,omitempty"` // door → bound addresses
	Now           time.Time           `json:"now"`              // the node's clock
	Started       time.Time           `json:"started"`
	Generation    uint64              `json:"generation"` // 0 = none yet
	Published     time.Time           `json:"published,omitzero"`
	AgeSeconds    float64             `json:"age_seconds"` // since Published
	Revision      string              `json:"revision,omitempty"`
	Configuration Configuration       `json:"configuration"`
	Geo           Geo                 `json:"geo"`
	Regions       []string            `json:"regions"`
	Services      []ServiceStatus     `json:"services"`
	Pools         []PoolStatus        `json:"pools"`
	Vantages      []VantageStatus     `json:"vantages"`
	Imports       []ImportStatus      `json:"imports,omitempty"`
	Schedules     []ScheduleStatus    `json:"schedules,omitempty"`
	Overrides     []steering.Override `json:"overrides"`
	Certificates  []Certificate       `json:"certificates,omitempty"` // of the listeners
	Braked        []steering.Braked   `json:"braked,omitempty"`       // mass-down brakes that hold
	Causes        []steering.Cause    `json:"causes,omitempty"`       // what is down as a whole: vantages, providers, pools
}

// Configuration says what the node was told and whether it could take it.
type Configuration struct {
	Path            string    `json:"path,omitempty"`
	LoadedAt        time.Time `json:"loaded_at,omitzero"`
	Error           string    `json:"error,omitempty"` // why the last reload failed; empty = it did not
	ServingLastGood bool      `json:"serving_last_good"`
	Rollout         *Rollout  `json:"rollout,omitempty"` // what is in force; a control node knows
}

// Geo says where the network map's attributes come from.
type Geo struct {
	Source string    `json:"source,omitempty"` // a file, or "built in"
	Type   string    `json:"type,omitempty"`   // as the database calls itself
	Built  time.Time `json:"built,omitzero"`
	Cells  int       `json:"cells"`           // the address space is cut into so many
	Error  string    `json:"error,omitempty"` // why the last load failed
}

// ServiceStatus is a service and what is decided for it, region by region.
type ServiceStatus struct {
	Key       string            `json:"key"`
	Hostnames []string          `json:"hostnames"`
	Labels    map[string]string `json:"labels,omitempty"`
	Policy    string            `json:"policy"`
	Schedule  string            `json:"schedule,omitempty"` // that is open for it
	Endpoints []EndpointStatus  `json:"endpoints"`
	Regions   []RegionStatus    `json:"regions"`
}

// ScheduleStatus is a window in which services are decided otherwise.
type ScheduleStatus struct {
	Name     string    `json:"name"`
	When     string    `json:"when"`
	Services []string  `json:"services"`
	Open     bool      `json:"open"`
	Next     time.Time `json:"next,omitzero"` // when it opens or closes next; zero = never again
}

// EndpointStatus is one way to reach a service.
type EndpointStatus struct {
	ID       string `json:"id"`
	Provider string `json:"provider"`
	Pool     string `json:"pool,omitempty"`
	Host     string `json:"host,omitempty"`
	URL      string `json:"url,omitempty"`
}

// RegionStatus is the split for the clients of one region that one rule
// matches. A region stands once for each rule that matches in a part of it.
type RegionStatus struct {
	Region     string          `json:"region"`
	Rule       string          `json:"rule"`
	Best       string          `json:"best,omitempty"` // the first endpoint with a share; empty = nothing is handed out
	TTLSeconds float64         `json:"ttl_seconds"`
	Reason     steering.Reason `json:"reason"`
	Splits     []ShareStatus   `json:"splits"` // best first
	Holds      []steering.Hold `json:"holds,omitempty"`
}

// ShareStatus is one endpoint in a split with the health it has there.
type ShareStatus struct {
	Endpoint     string           `json:"endpoint"`
	Weight       float64          `json:"weight"` // intended share of clients, 0..1
	Score        float64          `json:"score"`
	Reason       steering.Reason  `json:"reason"`
	Verdict      steering.Verdict `json:"verdict"` // now; the split may be older
	Since        time.Time        `json:"since,omitzero"`
	P50Ms        float64          `json:"p50_ms"`
	P95Ms        float64          `json:"p95_ms"`
	Availability float64          `json:"availability"` // 0..1; means nothing without samples
	Samples      int              `json:"samples"`
	AgeSeconds   float64          `json:"age_seconds"` // of the newest measurement
	Evidence     string           `json:"evidence,omitempty"`
}

// PoolStatus is a pool of origins.
type PoolStatus struct {
	Name     string         `json:"name"`
	Fallback string         `json:"fallback,omitempty"`
	Origins  []OriginStatus `json:"origins"`
}

// OriginStatus is one origin. Verdict is what all regions that know say; where
// they differ it is degraded, and Regions tells them apart.
type OriginStatus struct {
	URL     string                      `json:"url"`
	Verdict steering.Verdict            `json:"verdict"`
	Regions map[string]steering.Verdict `json:"regions,omitempty"`
}

// VantageStatus is a vantage and when it was last heard of.
type VantageStatus struct {
	Name               string    `json:"name"`
	Region             string    `json:"region"`
	LastSeen           time.Time `json:"last_seen,omitzero"`    // zero = never
	LastSeenAgeSeconds float64   `json:"last_seen_age_seconds"` // 0 when never

	Condition *steering.Condition `json:"condition,omitempty"` // what it says of itself; absent = it has no references
	Agent     *AgentStatus        `json:"agent,omitempty"`     // absent = this node probes as it, or nobody has reported for it yet
}

// ImportStatus is how an import fares at this node.
type ImportStatus struct {
	Name         string    `json:"name"`
	Source       string    `json:"source"`            // URL, without a query
	Vantage      string    `json:"vantage,omitempty"` // as which its measurements count; absent = it brings none
	Asked        time.Time `json:"asked,omitzero"`    // zero = not yet
	Answered     time.Time `json:"answered,omitzero"` // when all that was asked for came the last time; zero = never
	Error        string    `json:"error,omitempty"`   // why it did not the last time
	Failures     uint64    `json:"failures"`          // turns that failed since this node's start
	Series       int       `json:"series"`            // that came the last time
	Signals      int       `json:"signals"`           // values that hold now
	Measurements uint64    `json:"measurements"`      // since this node's start
	Notes        []string  `json:"notes,omitempty"`   // what came and is not used, or is missing
}

// AgentStatus is how the agent of a vantage reports to this node. Counts begin with
// this node's start, those of the agent (dropped, withheld) with its own.
type AgentStatus struct {
	Version            string    `json:"version,omitempty"`
	Heard              time.Time `json:"heard"`
	Agents             int       `json:"agents"`               // heard of within the last minute; above 1, two report as one vantage
	ClockOffsetSeconds float64   `json:"clock_offset_seconds"` // by which this node's clock is ahead; times are corrected for it
	Buffered           int       `json:"buffered"`             // measurements that wait there
	Dropped            uint64    `json:"dropped"`              // given up there, for want of room
	Withheld           uint64    `json:"withheld"`             // not sent, since it was ill
	Batches            uint64    `json:"batches"`
	Repeated           uint64    `json:"repeated"` // came twice and counted once
	Gaps               uint64    `json:"gaps"`     // batches that never came
	Skewed             uint64    `json:"skewed"`   // refused, since they were sent at another time
}
