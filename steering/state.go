package steering

import (
	"math"
	"strings"
	"time"
)

// State is the dynamic half of a snapshot in a form that can be stored and
// sent: names instead of pointers. Together with a layout of the same revision
// it gives the snapshot again.
type State struct {
	Version    int                     `json:"version"` // StateVersion
	Generation uint64                  `json:"generation"`
	Published  time.Time               `json:"published"`
	Revision   string                  `json:"revision"` // Revision.Hash it was made for
	Services   map[string]GroupRecords `json:"services"` // by service key
	Health     HealthTable             `json:"health,omitzero"`
	Moved      map[string]time.Time    `json:"moved,omitempty"`  // policy → up to when the allowance of its max_shift_global is used up
	Canary     *CanaryState            `json:"canary,omitempty"` // nil = no revision is on trial
	Usage      *UsageState             `json:"usage,omitempty"`  // nil = none was reported
	Signals    []SignalReading         `json:"signals,omitempty"`
}

// CanaryState is the canary of a snapshot by name.
type CanaryState struct {
	Revision string                  `json:"revision"` // hash of the revision on trial
	Share    float64                 `json:"share"`
	Services map[string]GroupRecords `json:"services"`
}

// StateVersion is the form that this release writes.
const StateVersion = 2

// SplitRecord is a Split by name, with what the next decision must remember.
type SplitRecord struct {
	TTL        time.Duration     `json:"ttl_ns"`
	Reason     Reason            `json:"reason"`
	Holds      []Hold            `json:"holds,omitempty"`
	Trouble    Trouble           `json:"trouble,omitempty"`
	Candidates []CandidateRecord `json:"candidates"`
	Memory     Memory            `json:"memory"`
}

// CandidateRecord is a Candidate by name.
type CandidateRecord struct {
	Endpoint   string  `json:"endpoint"`
	Weight     float64 `json:"weight,omitempty"`
	Correction float64 `json:"correction,omitempty"`
	Verdict    Verdict `json:"verdict"`
	Score      float64 `json:"score,omitempty"`
	Reason     Reason  `json:"reason"`
}

// Memory is what the switch bounds remember of a service × group.
type Memory struct {
	Measured  bool                 `json:"measured,omitempty"`  // a choice was once made from measurements
	Chosen    time.Time            `json:"chosen,omitzero"`     // when the target last changed by a voluntary move
	Moved     time.Time            `json:"moved,omitzero"`      // when weight last moved voluntarily
	Spec      uint64               `json:"spec,omitempty"`      // hash of what the operator wrote that the target follows; 0 = not known
	Recovered map[string]time.Time `json:"recovered,omitempty"` // endpoint → when it became eligible again
	Lost      map[string]bool      `json:"lost,omitempty"`      // endpoints that failed or were drained and have had no clients since
	Left      map[string]time.Time `json:"left,omitempty"`      // endpoint → when it was given up as a target, as long as that bounds its way back
	Target    map[string]float64   `json:"target,omitempty"`    // endpoint → the share that the split moves towards
	Wanted    map[string]float64   `json:"wanted,omitempty"`    // endpoint → the share that it would have without caps; nil = no cap bounds the split
}

// Join gives every service × group of a layout what the state remembers of it. A
// group that the state does not know goes on from another one of its region, so
// that a renamed rule does not lose the last good choice. The split is nil where
// there is nothing to go on from; what the layout does not know is dropped.
func (s *State) Join(layout *Layout, yield func(service, group int, split *Split, memory Memory)) {
	for i, sl := range layout.Services {
		s.Services[sl.Service.Key].join(layout, i, func(int) bool { return false }, func(g int, split *Split, memory Memory) { yield(i, g, split, memory) })
	}
}

// join is Join for one service, without the groups to skip.
func (r GroupRecords) join(layout *Layout, service int, skip func(group int) bool, yield func(group int, split *Split, memory Memory)) {
	sl := layout.Services[service]
	made := make(map[shared]*Split)
	byRegion := r.byRegion(layout, service)
	for g, group := range sl.Groups {
		if skip(g) {
			continue
		}
		record, known := r[group.Key()]
		if !known {
			record, known = r[byRegion[group.Region]]
		}
		if !known {
			yield(g, nil, Memory{})
			continue
		}
		from := record.shared()
		split := made[from]
		if split == nil || from.candidates == nil {
			split = record.Split(sl.Service)
			made[from] = split
		}
		if split == nil {
			record.Memory = Memory{}
		}
		yield(g, split, record.Memory)
	}
}

// byRegion names for each region that has a group without a record of its own
// the record to go on from.
func (r GroupRecords) byRegion(layout *Layout, service int) map[string]string {
	var wanted map[string]string
	for _, group := range layout.Services[service].Groups {
		if _, known := r[group.Key()]; !known {
			wanted = put(wanted, group.Region, "")
		}
	}
	if wanted == nil {
		return nil
	}
	for key := range r {
		at := strings.IndexByte(key, '/') // names of regions have none
		if at < 0 {
			continue
		}
		if least, is := wanted[key[:at]]; is && (least == "" || key < least) {
			wanted[key[:at]] = key
		}
	}
	return wanted
}

func put[K comparable, V any](m map[K]V, key K, value V) map[K]V {
	if m == nil {
		m = make(map[K]V)
	}
	m[key] = value
	return m
}

// Restore makes a snapshot from a layout and a stored state: see Join. Where
// there is nothing to go on from, a split over all endpoints by static weight
// stands until the first decision. The second result counts these.
func Restore(layout *Layout, state State) (*Snapshot, int, error) {
	return new(Follower).Restore(layout, state)
}

// RestoreCanary gives a restored snapshot the canary of the state that it was
// made from. The layout is that of the revision on trial.
func RestoreCanary(main *Snapshot, layout *Layout, state State) (*Snapshot, error) {
	return new(Follower).RestoreCanary(main, layout, state)
}

// Split rebuilds the split over the endpoints that the service still has; nil
// when none of those with a weight is left or the record is not sound.
func (r SplitRecord) Split(service *Service) *Split {
	byID := make(map[string]*Endpoint, len(service.Endpoints))
	for _, e := range service.Endpoints {
		byID[e.ID] = e
	}
	had, sum := false, 0.0
	var candidates []Candidate
	for _, c := range r.Candidates {
		had = had || c.Weight > 0
		if e := byID[c.Endpoint]; e != nil {
			candidates = append(candidates, Candidate{Endpoint: e, Weight: c.Weight, Correction: min(max(c.Correction, 0), 2), Verdict: c.Verdict, Score: c.Score, Reason: c.Reason})
			sum += c.Weight
		}
	}
	if had && sum <= 0 {
		return nil
	}
	if sum > 0 && math.Abs(sum-1) > 1e-9 { // part of it is gone; else keep the very bits, so that answers stay the same
		for i := range candidates {
			candidates[i].Weight /= sum
		}
	}
	split, err := NewSplit(candidates, r.TTL, r.Reason, r.Holds)
	if err != nil {
		return nil
	}
	split.Trouble = r.Trouble
	return split
}

// Record gives the split by name.
func (s *Split) Record(memory Memory) SplitRecord {
	r := SplitRecord{TTL: s.TTL, Reason: s.Reason, Holds: s.Holds, Trouble: s.Trouble, Memory: memory}
	for i := range s.Candidates {
		c := &s.Candidates[i]
		r.Candidates = append(r.Candidates, CandidateRecord{
			Endpoint: c.Endpoint.ID, Weight: c.Weight, Correction: c.Correction, Verdict: c.Verdict, Score: c.Score, Reason: c.Reason,
		})
	}
	return r
}

// StaticSplit shares a service's clients over all its endpoints by static
// weight: the answer when nothing at all is known.
func StaticSplit(service *Service) *Split { return Group{}.StaticSplit(service) }

// StaticSplit is the same for the clients of a group: it hands out nothing that
// the group's rule or a fence forbids.
func (g Group) StaticSplit(service *Service) *Split {
	allowed, sum := make([]*Endpoint, 0, len(service.Endpoints)), 0.0
	for _, e := range service.Endpoints {
		if g.allows(e) {
			allowed = append(allowed, e)
			sum += service.Weight(e)
		}
	}
	reason := Reason{Code: ReasonUnproven, Detail: "no measurement and no earlier decision"}
	candidates := make([]Candidate, 0, len(allowed))
	for _, e := range allowed {
		w := 1 / float64(len(allowed))
		if sum > 0 {
			w = service.Weight(e) / sum
		}
		if w > 0 {
			candidates = append(candidates, Candidate{Endpoint: e, Weight: w, Reason: reason})
		}
	}
	for _, e := range allowed {
		if sum > 0 && service.Weight(e) == 0 {
			candidates = append(candidates, Candidate{Endpoint: e, Reason: reason})
		}
	}
	split, err := NewSplit(candidates, max(service.TTL, time.Second), reason, nil)
	if err != nil {
		panic("steering: static split of " + service.Key + ": " + err.Error())
	}
	split.Trouble = TroubleStale
	return split
}

// Allows tells whether everything in a split may be handed out to the clients of
// a group.
func (g Group) Allows(split *Split) bool {
	for i := range split.Candidates {
		if !g.allows(split.Candidates[i].Endpoint) {
			return false
		}
	}
	return true
}

func (g Group) allows(e *Endpoint) bool {
	if g.Barred.Fence(e.ID) != nil {
		return false
	}
	r := g.Rule
	return r == nil || (r.Allow == nil || r.Allow.Matches(e)) && (r.Deny == nil || !r.Deny.Matches(e))
}
