package steering

import "time"

// Played is what the players in one region tell of one endpoint, as far as they can
// be believed: drawn towards what is known elsewhere where they are few. It orders
// endpoints that are up, and is never a verdict (invariant 9).
type Played struct {
	PlayTime     time.Duration `json:"play_time_ns"`   // that rebuffering rests on, from the first picture on, pauses left out; 0 = it is not known here
	Rebuffering  float64       `json:"rebuffering"`    // stalled time ÷ (playing + stalled time), 0..1
	Availability float64       `json:"availability"`   // share of reports without a failure, 0..1
	TTFB         time.Duration `json:"ttfb_ns"`        // median; 0 = not known
	Throughput   float64       `json:"throughput_bps"` // median; 0 = not known
	Start        time.Duration `json:"start_ns"`       // median time to the first frame; 0 = not known
	Sessions     int           `json:"sessions"`       // that it rests on; 0 = availability is not known here
	Confidence   float64       `json:"confidence"`     // what weight these sessions have in it, 0..1
}

// PlayedTable holds what players tell where enough of them do, by endpoint and
// region. A table that was handed out never changes.
type PlayedTable map[PlayedKey]Played

// PlayedKey is an endpoint's id in a region.
type PlayedKey struct{ Endpoint, Region string }
