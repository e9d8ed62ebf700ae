package steering

import "time"

// Policy is an ordered list of rules and what bounds the moves between their
// outcomes. Its last rule always matches.
type Policy struct {
	Name      string
	Rules     []*Rule
	Switch    Switch
	OnAllDown OnAllDown
	OnBlind   OnBlind
	Degraded  DegradedMode
	Auto      Auto    // how the rules with score: auto score
	Correct   float64 // what is handed out is made to follow the shares by changing each weight by this part at most; 0 = not at all
	HashV4    int     // client prefix length that a split hashes, IPv4; default 24
	HashV6    int     // the same for IPv6; default 56
	// IgnoreSession has a session id make no difference: HTTP clients are told apart
	// by prefix, as DNS clients are.
	IgnoreSession bool
	Place         Place
}

// Rule is one filter chain, for the cells that its When matches. The functions
// are pure and safe for concurrent use.
type Rule struct {
	Name      string
	When      func(*Facts) bool // nil = always
	Reads     Reading           // what When reads beside the cell
	WhenText  string
	WhenPlace Place

	Allow  *Selector // nil = every endpoint
	Deny   *Selector // nil = none
	Prefer []string  // providers, most wanted first; empty = no preference

	Score      func(*Inputs) float64 // nil = all alike; higher wins; never NaN
	Auto       bool                  // the score is by what a fetch costs, as Policy.Auto says; Score is nil
	ScoreText  string
	ScorePlace Place
	Signals    []int // that the score reads, in Revision.Signals

	Cost     CostSpec // zero = prices and commits count only as far as the score reads them
	Split    SplitSpec
	Fallback *Rule // decides where this one leaves no endpoint that is up; nil = none
	Place    Place
}

// Auto is how score: auto scores: 1000 ms ÷ what a fetch costs, which is its latency
// and, for the share of fetches that fail, what a failure is worth.
type Auto struct {
	Failure time.Duration // that a failed fetch is worth as bad, default 2 s
	// Explore is the share of a group's clients, all together, that go to endpoints
	// which may be the best for all that is known, where players tell of it; 0 = none.
	Explore float64
	// Players tells whether what players report counts.
	Players bool
}

// ScoresItself tells whether the rule, or one that it falls back to, scores by itself.
func (r *Rule) ScoresItself() bool { return r.Auto || r.Fallback != nil && r.Fallback.ScoresItself() }

// ReadsSignals tells whether the rule, or one that it falls back to, reads signals.
func (r *Rule) ReadsSignals() bool {
	return len(r.Signals) > 0 || r.Fallback != nil && r.Fallback.ReadsSignals()
}

// CostSpec is the cost stage of a rule: what money may change about a choice
// that the score makes.
type CostSpec struct {
	AtMost   float64 // endpoints with a higher price per GB are put aside while another is left; 0 = no bound
	TieBreak float64 // of endpoints whose scores are within this part of the best, the cheapest; 0 = no tie-break
	Commit   float64 // the pace of the commit may raise or lower a score by this part; 0 = it does not
	Place    Place
}

// Selector picks endpoints: AND across its fields, OR within each.
type Selector struct {
	Providers []string
	Pools     []string
	Endpoints []string
}

// Matches tells whether the selector picks the endpoint.
func (s *Selector) Matches(e *Endpoint) bool {
	in := func(list []string, v string) bool {
		if len(list) == 0 {
			return true
		}
		for _, x := range list {
			if x == v {
				return true
			}
		}
		return false
	}
	return in(s.Providers, e.Provider) && in(s.Pools, e.Pool) && in(s.Endpoints, e.ID)
}

// Inputs are what a score may read of one endpoint in one region. Latency,
// Availability, Throughput, Smoothness and Cost are goodness in 0..1, higher is
// better. The first three are 0 where nothing was measured; what players alone can
// tell is as with the service's other endpoints where they told nothing.
type Inputs struct {
	Latency      float64 // 100 ms / (100 ms + p50)
	Availability float64 // share of ok measurements
	Throughput   float64 // median / (median + 1 Mbit/s)
	Smoothness   float64 // 1 % / (1 % + rebuffering)
	Cost         float64 // cheapest price among the service's endpoints / this one's; 1 where no price is stated

	P50Ms         float64
	P95Ms         float64
	ThroughputBps float64
	Rebuffering   float64 // share of their play time that players stood still, 0..1
	PlayerAvailability,
	PlayerTTFBMs,
	PlayerThroughputBps,
	PlayerStartMs float64 // as players tell, see Played; 0 = none of the service's endpoints has players that do
	PricePerGB float64
	Load       float64 // traffic of now ÷ the tightest cap; 0 where there is none, or it is not known
	Pace       float64 // volume of the month ÷ what the commit's even use would be; 1 where there is none, or it is not known
	Pull       float64 // the factor that follows from it; 1 = none
	Samples    float64
	AgeSeconds float64
	Weight     float64 // the endpoint's static weight
	Provider   string
	Pool       string

	Signals []float64 `json:"-"` // by number in Revision.Signals; those that the rule does not read may be missing
}

// Signal is what the score reads of a signal.
func (in *Inputs) Signal(number int) float64 {
	if number < len(in.Signals) {
		return in.Signals[number]
	}
	return 0
}

// SplitKind says how clients are divided over the endpoints that a rule leaves.
type SplitKind string

// The kinds of split.
const (
	SplitBest     SplitKind = "best"     // the best one takes all
	SplitWithin   SplitKind = "within"   // those within a part of the best score share by static weight
	SplitWeighted SplitKind = "weighted" // all share by the weights of the rule, else by static weight
	SplitScore    SplitKind = "score"    // all share by score × static weight
	SplitPolicies SplitKind = "policies" // other policies decide, each for a fixed share of the clients
)

// SplitSpec is the split stage of a rule.
type SplitSpec struct {
	Kind    SplitKind
	Within  float64            // for SplitWithin: 0.10 means scores of at least 90 % of the best
	Weights map[string]float64 // for SplitWeighted: by endpoint id or provider; nil = static weights
	// Policies are for SplitPolicies: the rules of each decide for its share of the
	// clients, with its bounds. They give no shares to others in turn.
	Policies []PolicyShare
	Place    Place
}

// PolicyShare is a policy that decides for a share of a rule's clients.
type PolicyShare struct {
	Policy *Policy
	Share  float64 // 0..1; those of one rule sum to 1
}

// Switch bounds voluntary moves. Leaving an endpoint that is down or drained is
// never voluntary.
type Switch struct {
	Margin   float64       // a challenger must score better by this part, default 0.10
	Dwell    time.Duration // a choice stands at least so long, default 60 s; the first measured choice does not
	Failback time.Duration // who was given up is not chosen again voluntarily for so long, default none, 6 min with score: auto
	MaxShift float64       // share of a region's clients moved per minute at most; 0 = no bound
	Ramp     []float64     // shares of its target that a recovered endpoint may have, step by step
	RampStep time.Duration // how long each step lasts, default 30 s

	// MaxShiftAll bounds what moves per minute in all regions and services of the
	// policy together, where each region of a service counts the same; 0 = no bound.
	MaxShiftAll float64
	Brake       Brake
	Freeze      *FreezeSpec // nil = none
}

// Brake holds everything as it is when so much turns down at once that the
// measurements are likelier to be wrong than the world: in a region, counted over
// the endpoints of the policy, or everywhere, counted over every endpoint of every
// service in every region. It never holds back the loss of a single provider:
// whichever provider is left out, more than so much of the rest must have turned
// down within the last Within.
type Brake struct {
	Above    float64       // in a region, 0..1, default 0.5; 1 = never
	AboveAll float64       // everywhere, and in more than one region, 0..1, default 0.4; 0 = never
	Within   time.Duration // default 2 min; also how long a loss is held back at most. 0 = no brake
}

// Braked is a brake that holds.
type Braked struct {
	Policy string    `json:"policy"`
	Region string    `json:"region,omitempty"` // empty = it holds everywhere, for what turned down everywhere
	Down   int       `json:"down"`             // endpoints that turned down within the window; everywhere, endpoints × regions that are judged apart
	Of     int       `json:"of"`               // … that could have
	Until  time.Time `json:"until"`            // when the first of the losses counts, at the latest
}

// FreezeSpec stops voluntary moves.
type FreezeSpec struct {
	Until  time.Time
	Reason string
	Author string
	Place  Place
}

// OnAllDown says what a rule does when no endpoint is eligible.
type OnAllDown struct {
	Mode AllDownMode
	Pool string // for AllDownFallback
}

// AllDownMode names a behaviour when all is down.
type AllDownMode string

// The behaviours when all is down.
const (
	AllDownAll      AllDownMode = "all"      // treat all as up, the default: a wrong verdict is likelier than a dead world
	AllDownLast     AllDownMode = "last"     // keep the last split
	AllDownFallback AllDownMode = "fallback" // all endpoints of one pool
	AllDownNone     AllDownMode = "none"     // answer that there is nothing: SERVFAIL, 503
)

// OnBlind says what a rule does when nothing is measured any more of what was
// measured once. The zero value lets the last decision stand.
type OnBlind struct {
	Static bool          // static weights serve instead
	After  time.Duration // … once nothing was measured for so long
}

// DegradedMode says what a degraded endpoint may serve.
type DegradedMode string

// The uses of degraded endpoints.
const (
	DegradedAvoid DegradedMode = "avoid" // only when no healthy one is left, the default
	DegradedAllow DegradedMode = "allow" // as a healthy one: the score decides
)
