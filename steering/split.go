package steering

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Split is the ready answer for one service × group: ranked endpoints and the
// share of the group's clients that each should get.
//
// What each answer reads of it stands in front: where there are very many splits, every
// further part of memory is one more to wait for.
type Split struct {
	TTL        time.Duration
	shares     []choice // of the leading candidates, those that have a weight: a copy that lies together
	Trouble    Trouble
	only       [1]choice   // where there is one share, it lies here
	Candidates []Candidate // best first; those with a weight before those without
	Reason     Reason      // why the candidates with a weight are these
	Holds      []Hold      // what kept the split from its target
}

// Trouble says in one word in what way a split is less than its policy wants, so
// that a door can tell its clients (RFC 8914). Empty = in none. A split may be in
// trouble and hand out endpoints all the same; whether it does is what Picks
// tells.
type Trouble string

// The troubles.
const (
	TroubleStale   Trouble = "stale"     // nothing here is measured now: the last decision stands, or static weights
	TroubleAllDown Trouble = "all-down"  // all that the rule allows are down: on_all_down applies
	TroubleDrained Trouble = "drained"   // all that the rule allows are drained by operators: on_all_down applies
	TroubleDenied  Trouble = "geofenced" // rule and fences allow these clients no endpoint of the service
	TroubleBlocked Trouble = "blocked"   // the law forbids these clients every endpoint that is left
)

// Candidate is one endpoint in a split.
type Candidate struct {
	Endpoint *Endpoint
	Weight   float64 // intended share of clients, 0..1; 0 = only when all with a weight have failed the client
	Verdict  Verdict
	Score    float64
	Reason   Reason
	// Correction is a factor on Weight when clients are picked, so that what is
	// handed out follows it; 0 = none. See Policy.Correct.
	Correction float64
	share
}

// share is what the choice among candidates reads of one.
type share struct {
	seed    uint64
	inverse float64 // 1/(Weight×Correction); finite
}

// choice is a share with whose it is.
type choice struct {
	endpoint *Endpoint
	share
}

// Reason says in a closed code, and in words, why something is as it is.
type Reason struct {
	Code   ReasonCode `json:"code"`
	Detail string     `json:"detail,omitempty"`
}

// String gives the code, and the detail after a colon where there is one.
func (r Reason) String() string {
	if r.Detail == "" {
		return string(r.Code)
	}
	return string(r.Code) + ": " + r.Detail
}

// ReasonCode is a reason in one word, usable as a metric label.
type ReasonCode string

// Reasons for a candidate having a weight, or a split being as it is.
const (
	ReasonBest     ReasonCode = "best"       // highest score
	ReasonWithin   ReasonCode = "within"     // within the split's distance of the best
	ReasonWeighted ReasonCode = "weighted"   // by configured weight
	ReasonByScore  ReasonCode = "by-score"   // share by score
	ReasonOnly     ReasonCode = "only"       // nothing else is eligible
	ReasonBlind    ReasonCode = "blind"      // nothing is known: the last split stands
	ReasonUnproven ReasonCode = "unmeasured" // nothing is known and there is no last split
	ReasonAllDown  ReasonCode = "all-down"   // on_all_down applies
	ReasonForced   ReasonCode = "forced"     // an operator's force
	ReasonHeld     ReasonCode = "held"       // a switch bound keeps it
	ReasonRamping  ReasonCode = "ramping"    // recovered, coming back step by step
	ReasonCommit   ReasonCode = "commit"     // the pace of its provider's commit made it the best
	ReasonExplored ReasonCode = "explored"   // it may be the best, and a small share finds out
	ReasonSpill    ReasonCode = "spill"      // others are at their cap
	ReasonCapped   ReasonCode = "capped"     // at its cap: it has less than it should, or nothing
)

// Reasons for a candidate having none.
const (
	ReasonWorse     ReasonCode = "worse"          // eligible, but others score better
	ReasonDown      ReasonCode = "down"           // judged down
	ReasonDegraded  ReasonCode = "degraded"       // degraded, and a healthy one is left
	ReasonUnknown   ReasonCode = "unknown"        // not measured, and a measured one is left
	ReasonDrained   ReasonCode = "drained"        // an operator's drain
	ReasonDenied    ReasonCode = "denied"         // the rule's allow or deny
	ReasonPoolDown  ReasonCode = "pool-down"      // its origins are down
	ReasonOtherPool ReasonCode = "other-pool"     // the region is served by another pool
	ReasonLessLiked ReasonCode = "less-preferred" // a provider named earlier in prefer is left
	ReasonNotForced ReasonCode = "not-forced"     // an operator forces another
	ReasonTooDear   ReasonCode = "too-dear"       // above the rule's price, and one that is not is left
	ReasonDearer    ReasonCode = "dearer"         // as good as the best, and a cheaper one is
	ReasonGeofenced ReasonCode = "geofenced"      // it may not serve there: licence or contract
	ReasonBlocked   ReasonCode = "blocked"        // it may not serve there: law
)

// Forbids tells whether an endpoint that was put aside for this reason must not
// be handed out, whatever happens to the others.
func (c ReasonCode) Forbids() bool {
	return c == ReasonDenied || c == ReasonGeofenced || c == ReasonBlocked
}

// Hold is one bound that keeps a split from its target.
type Hold struct {
	By    HoldCode  `json:"by"`
	Until time.Time `json:"until,omitzero"` // when it ends by itself; zero when that depends on measurements
	Note  string    `json:"note,omitempty"`
}

// Held is a bound that keeps a service × group from its target, by name.
type Held struct {
	Service, Region, Rule string
	By                    HoldCode
}

// HoldCode names a bound.
type HoldCode string

// The bounds.
const (
	HoldMargin   HoldCode = "margin"
	HoldDwell    HoldCode = "dwell"
	HoldMaxShift HoldCode = "max_shift"
	HoldFailback HoldCode = "failback"
	HoldRamp     HoldCode = "ramp"
	HoldCap      HoldCode = "cap" // of a provider's traffic: it bounds every move

	HoldMaxShiftAll HoldCode = "max_shift_global"
	HoldBrake       HoldCode = "brake"
	HoldBrakeAll    HoldCode = "brake_global"
	HoldFreeze      HoldCode = "freeze"
)

// NewSplit checks and seals a split: weights are 0..1 and sum to 1 (or are all
// 0), candidates with a weight come first. The slice is kept.
func NewSplit(candidates []Candidate, ttl time.Duration, reason Reason, holds []Hold) (*Split, error) {
	if ttl < time.Second {
		return nil, fmt.Errorf("split: TTL %v is below one second", ttl)
	}
	s := &Split{Candidates: candidates, TTL: ttl, Reason: reason, Holds: holds}
	sum, picks := 0.0, 0
	for i := range candidates {
		c := &candidates[i]
		for j := range candidates[:i] {
			if candidates[j].Endpoint == c.Endpoint {
				return nil, fmt.Errorf("split: candidates %d and %d are the same endpoint", j, i)
			}
		}
		if c.Endpoint == nil || !(c.Weight >= 0 && c.Weight <= 1+1e-9) {
			return nil, fmt.Errorf("split: candidate %d has no endpoint or a weight of %v", i, c.Weight)
		}
		if c.Weight > 0 {
			if picks != i {
				return nil, errors.New("split: a candidate without a weight stands before one with a weight")
			}
			picks = i + 1
		}
		sum += c.Weight
		c.share = share{hashString(c.Endpoint.ID), min(1/(c.Weight*c.Factor()), math.MaxFloat64)}
	}
	if picks > 0 && (sum < 1-1e-6 || sum > 1+1e-6) {
		return nil, fmt.Errorf("split: weights sum to %v, want 1", sum)
	}
	if s.shares = s.only[:min(picks, 1)]; picks > 1 {
		s.shares = make([]choice, picks)
	}
	for i := range s.shares {
		s.shares[i] = choice{candidates[i].Endpoint, candidates[i].share}
	}
	return s, nil
}

// Factor is the correction, 1 where there is none.
func (c *Candidate) Factor() float64 {
	if c.Correction > 0 {
		return c.Correction
	}
	return 1
}

// Picks returns the candidates that have a weight.
func (s *Split) Picks() []Candidate { return s.Candidates[:len(s.shares)] }

// Weight returns the weight of an endpoint, 0 where it has none.
func (s *Split) Weight(endpointID string) float64 {
	for i := range s.Candidates {
		if s.Candidates[i].Endpoint.ID == endpointID {
			return s.Candidates[i].Weight
		}
	}
	return 0
}

// SameAnswers tells whether two splits give every client the same decision,
// so that putting one for the other needs no new generation.
func (s *Split) SameAnswers(o *Split) bool {
	if s == nil || o == nil {
		return s == o
	}
	if s.TTL != o.TTL || s.Reason.Code != o.Reason.Code || s.Trouble != o.Trouble || len(s.Candidates) != len(o.Candidates) {
		return false
	}
	for i := range s.Candidates {
		a, b := &s.Candidates[i], &o.Candidates[i]
		if a.Endpoint != b.Endpoint || a.Weight != b.Weight || a.Correction != b.Correction || a.Verdict != b.Verdict || a.Reason.Code != b.Reason.Code {
			return false
		}
	}
	return true
}
