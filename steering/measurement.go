package steering

import (
	"net/netip"
	"time"
)

// Subject names what is measured and judged: an endpoint or an origin.
type Subject string

// EndpointSubject is the subject of an endpoint's measurements.
func EndpointSubject(endpointID string) Subject { return Subject("endpoint " + endpointID) }

// OriginSubject is the subject of one origin of a pool. The pool is part of
// it, since two pools may share an origin and yet probe it differently.
func OriginSubject(pool, origin string) Subject { return Subject("origin " + pool + " " + origin) }

// Measurement is one probe's result on one address of a subject, from one
// vantage. It says what was seen and never what to think of it (invariant 4).
type Measurement struct {
	Subject Subject
	Vantage string     // the name in the configuration
	Region  string     // the vantage's region
	Address netip.Addr // the address probed; invalid when the name did not resolve
	At      time.Time  // when the probe ended, by the vantage's clock
	Outcome Outcome
	Detail  string // what was expected and what came, for people; no secrets
	Phases  Phases
	Status  int   // HTTP status; 0 where there was none
	Bytes   int64 // body bytes received; of media, of the segment
	Seen    Seen
}

// Seen is what a probe saw beside the phases. What did not show is zero.
type Seen struct {
	Protocol string        // as ALPN names it: http/1.1, h2, h3
	Cache    Cache         // what the CDN says of its cache
	Reused   bool          // the connection was there already, so it has no phases
	Expires  time.Time     // when the certificate does
	EdgeAge  time.Duration // how long ago the newest segment of a live stream began to be available
	Bitrate  float64       // bit/s that the stream declares
}

// Cache is a cache's part in a response (RFC 9211).
type Cache string

// The parts of a cache.
const (
	CacheHit  Cache = "hit"
	CacheMiss Cache = "miss"
)

// OK tells whether the probe met every expectation.
func (m *Measurement) OK() bool { return m.Outcome == OutcomeOK }

// Phases are the parts of a probe in order. A phase that did not happen is 0.
type Phases struct {
	DNS      time.Duration // name resolution
	Connect  time.Duration // TCP handshake
	TLS      time.Duration // TLS handshake
	TTFB     time.Duration // request sent to first byte of the response
	Transfer time.Duration // first to last byte of the body
}

// Latency is what a player waits for the first byte on a fresh connection,
// name resolution left out: resolvers' caches decide that, not the CDN.
func (p Phases) Latency() time.Duration { return p.Connect + p.TLS + p.TTFB }

// Outcome says how a probe ended, in a closed set so that it can be a label.
type Outcome string

// The outcomes of a probe.
const (
	OutcomeOK      Outcome = "ok"
	OutcomeDNS     Outcome = "dns"     // the name did not resolve
	OutcomeRefused Outcome = "refused" // nothing listens there
	OutcomeTimeout Outcome = "timeout" // no answer in time, in whatever phase
	OutcomeConnect Outcome = "connect" // any other failure to connect
	OutcomeTLS     Outcome = "tls"     // handshake or certificate
	OutcomeReset   Outcome = "reset"   // the connection broke before the end
	OutcomeStatus  Outcome = "status"  // an HTTP status outside the expected set
	OutcomeBody    Outcome = "body"    // a body that breaks the body rule
	OutcomeDenied  Outcome = "denied"  // the address may not be probed: private, and not allowed
	OutcomeMedia   Outcome = "media"   // a playlist or MPD that cannot be played
	OutcomeStale   Outcome = "stale"   // a live stream that stands still, goes back or lags behind
	OutcomeSlow    Outcome = "slow"    // a segment slower than it plays
	OutcomeParity  Outcome = "parity"  // other bytes than everywhere else
)

// Outcomes lists every outcome, for metrics that must know them in advance.
func Outcomes() []Outcome {
	return []Outcome{OutcomeOK, OutcomeDNS, OutcomeRefused, OutcomeTimeout, OutcomeConnect,
		OutcomeTLS, OutcomeReset, OutcomeStatus, OutcomeBody,
		OutcomeDenied, OutcomeMedia, OutcomeStale, OutcomeSlow, OutcomeParity}
}
