package steering

import "time"

// Explanation is a decision with everything that led to it, for people and for
// the API. Its JSON is the body of GET /api/v1/explain.
type Explanation struct {
	Service    string            `json:"service"`
	Client     string            `json:"client"`
	Door       string            `json:"door"`   // where it asks
	Source     string            `json:"source"` // whose address it is: the client's or a resolver's
	Path       string            `json:"path,omitempty"`
	Schedule   string            `json:"schedule,omitempty"` // that is open for the service
	Now        time.Time         `json:"now"`
	Generation uint64            `json:"generation"`
	Published  time.Time         `json:"published"`
	Revision   string            `json:"revision"`
	Canary     bool              `json:"canary,omitempty"` // the client is among those of the revision on trial
	Cell       Cell              `json:"cell"`
	Scope      int               `json:"scope"`
	TTLSeconds int               `json:"ttl"`
	TTLWhy     string            `json:"ttl_why,omitempty"`
	Policy     string            `json:"policy"`
	Rules      []RuleTrace       `json:"rules"` // in order, up to the one that matched
	Stages     []StageTrace      `json:"stages"`
	Endpoints  []EndpointTrace   `json:"endpoints"` // in the order in which this client should try them
	Reason     Reason            `json:"reason"`
	Holds      []Hold            `json:"holds,omitempty"`
	Doors      map[string]string `json:"doors,omitempty"` // what each door answers this client
}

// RuleTrace tells whether a rule matched the client's cell.
type RuleTrace struct {
	Name    string `json:"name"`
	Policy  string `json:"policy,omitempty"` // one that the rule before gives a share of the clients to; empty = the service's own
	Place   Place  `json:"place"`
	When    string `json:"when,omitempty"` // the expression; empty = always
	Matched bool   `json:"matched"`
}

// StageTrace is one stage of the filter chain: what it left and what it put
// aside.
type StageTrace struct {
	Stage string   `json:"stage"` // eligibility, health, override, locality, prefer, score, split
	Place Place    `json:"place"`
	Note  string   `json:"note,omitempty"`
	Left  []string `json:"left"` // endpoint ids
	Aside []Aside  `json:"aside,omitempty"`
}

// Aside is an endpoint that a stage put aside, and why.
type Aside struct {
	Endpoint string `json:"endpoint"`
	Reason   Reason `json:"reason"`
}

// SignalTrace is a signal as a score reads it of one endpoint.
type SignalTrace struct {
	Name       string  `json:"name"`
	Value      float64 `json:"value"`
	AgeSeconds float64 `json:"age_seconds"`         // of the reading; 0 where there is none
	StandIn    string  `json:"stands_in,omitempty"` // what the value is where there is no reading: others, default
}

// What stands in for a reading.
const (
	SignalOfOthers = "others"  // the mean of the service's other endpoints
	SignalDefault  = "default" // Signal.Default
)

// EndpointTrace is one endpoint with its inputs and its outcome.
type EndpointTrace struct {
	ID         string        `json:"id"`
	Provider   string        `json:"provider"`
	Pool       string        `json:"pool,omitempty"`
	Host       string        `json:"host,omitempty"`
	URL        string        `json:"url,omitempty"`
	Place      Place         `json:"place"`
	Health     Health        `json:"health"`
	AgeSeconds float64       `json:"age_seconds"` // of the newest measurement; 0 for none
	Inputs     Inputs        `json:"inputs"`
	Signals    []SignalTrace `json:"signals,omitempty"` // that the rule's score reads
	Score      float64       `json:"score"`
	Weight     float64       `json:"weight"`               // intended share now
	Correction float64       `json:"correction,omitempty"` // factor on Weight when clients are picked; absent = none
	Target     float64       `json:"target"`               // intended share once no bound holds it
	Reason     Reason        `json:"reason"`
	Overrides  []string      `json:"overrides,omitempty"` // ids of those that concern it here
}
