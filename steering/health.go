package steering

import (
	"fmt"
	"time"
)

// Verdict is the judgement on a subject in a region.
type Verdict uint8

// The verdicts. Unknown is the zero value: nothing fresh was measured. It is
// never treated as Down (invariant 6).
const (
	Unknown Verdict = iota
	Healthy
	Degraded // a failing minority: some addresses, or too many single failures
	Down
)

var verdictNames = [...]string{"unknown", "healthy", "degraded", "down"}

// String gives the lower-case word used in the API, metrics and logs.
func (v Verdict) String() string { return verdictNames[v] }

// MarshalText writes the lower-case word.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads the lower-case word.
func (v *Verdict) UnmarshalText(text []byte) error {
	for i, name := range verdictNames {
		if name == string(text) {
			*v = Verdict(i)
			return nil
		}
	}
	return fmt.Errorf("verdict %q is none of unknown, healthy, degraded, down", text)
}

// Health is the verdict on one subject in one region with its evidence.
type Health struct {
	Verdict      Verdict       `json:"verdict"`
	Since        time.Time     `json:"since"`                 // when the verdict was entered
	Unturned     bool          `json:"unturned,omitempty"`    // down or unknown, and was not up before: nothing has turned
	Samples      int           `json:"samples"`               // measurements in the window
	Availability float64       `json:"availability"`          // share of them that were ok, 0..1
	P50          time.Duration `json:"p50_ns"`                // latency of the ok ones
	P95          time.Duration `json:"p95_ns"`                // latency of the ok ones
	Throughput   float64       `json:"throughput_bps"`        // median of the ok ones, bits per second
	Players      Played        `json:"players,omitzero"`      // what players tell, which is no part of the verdict; zero = too few do
	Confidence   float64       `json:"confidence"`            // in the verdict: the part of the region's vantages that are fresh and of its opinion, less while samples are few; 0..1
	Drift        float64       `json:"drift,omitempty"`       // latency of late, in multiples of its usual level, where it has changed; 0 = it has not
	Reason       HealthReason  `json:"reason,omitempty"`      // why, in one word
	Newest       time.Time     `json:"newest"`                // end of the newest measurement; zero for none
	Vantages     int           `json:"vantages"`              // vantages with fresh measurements
	Quorum       int           `json:"quorum"`                // vantages that must agree on down
	Near         time.Duration `json:"near_ns,omitempty"`     // in so much time at least it may be down, since failures have begun; 0 = they have not, or it is
	Evidence     string        `json:"evidence,omitempty"`    // why, in a few words
	MeasuredIn   string        `json:"measured_in,omitempty"` // the region whose vantages were asked, when it is another
}

// up tells whether the verdict is one of those that clients may be sent to.
func (v Verdict) up() bool { return v == Healthy || v == Degraded }

// Follow notes what the verdict before means for this one.
func (h *Health) Follow(was *Health) {
	switch {
	case h.Verdict.up() || was.Verdict.up():
		h.Unturned = false
	case was.Verdict == Unknown && was.Since.IsZero(), was.Verdict == Down && h.Verdict == Unknown:
		h.Unturned = true
	default:
		h.Unturned = was.Unturned
	}
}

// TurnedDown tells whether what was up has turned down within the last so much
// time. A first verdict is no turn, nor is one of before that comes back after a
// while in which nothing was known.
func (h *Health) TurnedDown(now time.Time, within time.Duration) bool {
	return h.Verdict == Down && !h.Unturned && now.Sub(h.Since) < within
}

// HealthReason says in one word what made a verdict.
type HealthReason string

// The reasons of verdicts.
const (
	HealthOK         HealthReason = "ok"
	HealthFailing    HealthReason = "failing"      // addresses fail
	HealthUnresolved HealthReason = "unresolved"   // the name does not resolve
	HealthPatchy     HealthReason = "patchy"       // too many single measurements fail
	HealthDrift      HealthReason = "drift"        // latency has left its usual level
	HealthFlapping   HealthReason = "flapping"     // it is up, and was down too often of late
	HealthStale      HealthReason = "stale"        // nothing fresh
	HealthFew        HealthReason = "few"          // too few measurements, or vantages
	HealthSick       HealthReason = "sick-vantage" // who measures here sees everything failing, and others do not
)

// Cause is what lies behind several verdicts at once.
type Cause struct {
	Kind     CauseKind `json:"kind"`
	Name     string    `json:"name"` // of the vantage, provider or pool
	Evidence string    `json:"evidence"`
}

// CauseKind says what kind of thing has failed.
type CauseKind string

// The kinds of causes.
const (
	CauseVantage  CauseKind = "vantage"  // it sees everything failing, and others do not
	CauseProvider CauseKind = "provider" // all that it serves is down, wherever it is measured
	CausePool     CauseKind = "pool"     // the endpoints of all providers on it are down, their others are not
)

// Age is how old the newest measurement is at now; 0 when there is none.
func (h Health) Age(now time.Time) time.Duration {
	if h.Newest.IsZero() {
		return 0
	}
	return max(0, now.Sub(h.Newest))
}
