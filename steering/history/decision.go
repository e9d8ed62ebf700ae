package history

import (
	"net/netip"
	"time"
)

// Decision is what a sampled client was told, with what it could have been told.
type Decision struct {
	At         time.Time    `json:"at"`
	Count      int          `json:"count"` // how often, until the next Take
	Door       string       `json:"door"`
	Source     string       `json:"source,omitempty"` // "resolver" where the network is the resolver's
	Service    string       `json:"service"`
	Region     string       `json:"region"`
	Country    string       `json:"country,omitempty"`
	ASN        uint32       `json:"asn,omitempty"`
	Network    netip.Prefix `json:"network"`          // as long as the policy hashes
	Client     string       `json:"client,omitempty"` // Snapshot.ClientHash where a session was in it; empty = the network is all
	Generation uint64       `json:"generation"`
	Rule       string       `json:"rule"`
	Reason     string       `json:"reason"`
	TTL        int          `json:"ttl"` // seconds
	Told       string       `json:"told"`
	Odds       []Odds       `json:"odds"` // of all that clients of its kind are told
}

// Odds is how likely clients of one kind were to be told an endpoint, and the inputs.
type Odds struct {
	Endpoint string  `json:"endpoint"`
	Share    float64 `json:"share"` // the propensity, 0..1
	Score    float64 `json:"score,omitempty"`
	Verdict  string  `json:"verdict,omitempty"`
}

// Outcome is what the player of a sampled client reported: one report. What it did
// not say is 0.
type Outcome struct {
	At         time.Time    `json:"at"`
	Service    string       `json:"service"`
	Endpoint   string       `json:"endpoint"` // that it is about
	Network    netip.Prefix `json:"network"`
	Client     string       `json:"client,omitempty"`
	Requests   float64      `json:"requests,omitempty"`
	Failures   float64      `json:"failures,omitempty"` // of them
	TTFBMs     float64      `json:"ttfb_ms,omitempty"`
	Throughput float64      `json:"throughput_kbps,omitempty"`
	Playing    float64      `json:"playing_s,omitempty"`
	Stalled    float64      `json:"stalled_s,omitempty"`
	StartMs    float64      `json:"start_ms,omitempty"`
}
