package api

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"fairway/steering"
)

// BatchVersion is the form of Batch that this release reads and writes.
const BatchVersion = 1

// Batch is the body of POST /api/v1/measurements, plain or with
// Content-Encoding: gzip. It is taken as a whole or refused as a whole.
type Batch struct {
	Version      int           `json:"version"`          // BatchVersion
	Sender       *Sender       `json:"sender,omitempty"` // absent = nobody counts: what is sent twice is taken twice
	Measurements []Measurement `json:"measurements"`
}

// Accepted is the answer to a Batch.
type Accepted struct {
	Accepted int       `json:"accepted"`
	Received time.Time `json:"received,omitzero"` // when it came, by this node's clock; of a batch with a sender
	Answered time.Time `json:"answered,omitzero"` // when this answer left
}

// Measurement is steering.Measurement on the wire: times in seconds, absent
// where a phase did not happen.
type Measurement struct {
	Subject string    `json:"subject"` // "endpoint ID" or "origin POOL URL"
	Vantage string    `json:"vantage"`
	Region  string    `json:"region"`
	Address string    `json:"address,omitempty"` // IP address; absent when the name did not resolve
	At      time.Time `json:"at"`                // when the probe ended
	Outcome string    `json:"outcome"`           // one of steering.Outcomes
	Detail  string    `json:"detail,omitempty"`
	Phases  Phases    `json:"phases"`
	Status  int       `json:"status,omitempty"` // HTTP status
	Bytes   int64     `json:"bytes,omitempty"`
	Seen    *Seen     `json:"seen,omitempty"`
}

// Seen is steering.Seen on the wire.
type Seen struct {
	Protocol string     `json:"protocol,omitempty"` // as ALPN names it
	Cache    string     `json:"cache,omitempty"`    // hit or miss
	Reused   bool       `json:"reused,omitempty"`   // the connection was there already
	Expires  *time.Time `json:"certificate_expires,omitempty"`
	EdgeAge  float64    `json:"edge_age_seconds,omitempty"`
	Bitrate  float64    `json:"declared_bps,omitempty"`
}

// Phases is steering.Phases on the wire.
type Phases struct {
	DNS      float64 `json:"dns_seconds,omitempty"`
	Connect  float64 `json:"connect_seconds,omitempty"`
	TLS      float64 `json:"tls_seconds,omitempty"`
	TTFB     float64 `json:"ttfb_seconds,omitempty"`
	Transfer float64 `json:"transfer_seconds,omitempty"`
}

// Bounds of one measurement. They keep what comes from outside from filling
// memory; no honest probe comes near them.
const (
	maxName   = 512
	maxDetail = 256
	maxPhase  = time.Hour
)

// WireMeasurement gives a measurement its wire form. A long detail is cut.
func WireMeasurement(m steering.Measurement) Measurement {
	w := Measurement{
		Subject: string(m.Subject), Vantage: m.Vantage, Region: m.Region, At: m.At.UTC(),
		Outcome: string(m.Outcome), Detail: cut(m.Detail, maxDetail), Status: m.Status, Bytes: m.Bytes,
		Phases: Phases{
			DNS: m.Phases.DNS.Seconds(), Connect: m.Phases.Connect.Seconds(), TLS: m.Phases.TLS.Seconds(),
			TTFB: m.Phases.TTFB.Seconds(), Transfer: m.Phases.Transfer.Seconds(),
		},
	}
	if m.Address.IsValid() {
		w.Address = m.Address.String()
	}
	if s := m.Seen; s != (steering.Seen{}) {
		w.Seen = &Seen{Protocol: s.Protocol, Cache: string(s.Cache), Reused: s.Reused, EdgeAge: s.EdgeAge.Seconds(), Bitrate: s.Bitrate}
		if !s.Expires.IsZero() {
			expires := s.Expires.UTC()
			w.Seen.Expires = &expires
		}
	}
	return w
}

// cut shortens text to at most so many bytes of whole characters.
func cut(text string, most int) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}

// Steering gives back the measurement, or says everything that is wrong with
// it.
func (w *Measurement) Steering() (steering.Measurement, error) {
	m := steering.Measurement{
		Subject: steering.Subject(w.Subject), Vantage: w.Vantage, Region: w.Region, At: w.At,
		Outcome: steering.Outcome(w.Outcome), Detail: w.Detail, Status: w.Status, Bytes: w.Bytes,
	}
	var wrong []string
	find := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }

	if kind, rest, _ := strings.Cut(w.Subject, " "); (kind != "endpoint" && kind != "origin") || rest == "" || len(w.Subject) > maxName {
		find(`subject %q is neither "endpoint ID" nor "origin POOL URL"`, cut(w.Subject, 80))
	}
	if w.Vantage == "" || w.Region == "" || len(w.Vantage) > maxName || len(w.Region) > maxName {
		find("vantage or region is empty or too long")
	}
	if w.Address != "" {
		address, err := netip.ParseAddr(w.Address)
		if err != nil {
			find("address %q is not an IP address", cut(w.Address, 80))
		}
		m.Address = address
	}
	if w.At.IsZero() {
		find("at is missing")
	}
	if !slices.Contains(steering.Outcomes(), m.Outcome) {
		find("outcome %q is none of %v", cut(w.Outcome, 80), steering.Outcomes())
	}
	if len(w.Detail) > maxDetail {
		find("detail is longer than %d bytes", maxDetail)
	}
	if w.Status < 0 || w.Status > 999 || w.Bytes < 0 {
		find("status or bytes is out of range")
	}
	var ok bool
	if m.Phases, ok = w.Phases.steering(); !ok {
		find("a phase is not within 0 to %v seconds", maxPhase.Seconds())
	}
	if w.Seen != nil && !w.Seen.into(&m.Seen) {
		find("seen has a protocol of more than 20 bytes, a cache that is neither hit nor miss, or a figure out of range")
	}
	if wrong != nil {
		return m, errors.New(strings.Join(wrong, "; "))
	}
	return m, nil
}

// into reads what was seen beside the phases.
func (w *Seen) into(s *steering.Seen) bool {
	*s = steering.Seen{Protocol: w.Protocol, Cache: steering.Cache(w.Cache), Reused: w.Reused, Bitrate: w.Bitrate}
	if w.Expires != nil {
		s.Expires = *w.Expires
	}
	s.EdgeAge = time.Duration(w.EdgeAge * float64(time.Second))
	const day = 86400
	return len(w.Protocol) <= 20 && slices.Contains([]steering.Cache{"", steering.CacheHit, steering.CacheMiss}, s.Cache) &&
		w.EdgeAge >= 0 && w.EdgeAge <= 365*day && w.Bitrate >= 0 && w.Bitrate <= 1e15
}

func (p Phases) steering() (phases steering.Phases, ok bool) {
	ok = true
	duration := func(seconds float64) time.Duration {
		if !(seconds >= 0 && seconds <= maxPhase.Seconds()) {
			ok = false
			return 0
		}
		return time.Duration(math.Round(seconds * float64(time.Second)))
	}
	phases = steering.Phases{
		DNS: duration(p.DNS), Connect: duration(p.Connect), TLS: duration(p.TLS),
		TTFB: duration(p.TTFB), Transfer: duration(p.Transfer),
	}
	return phases, ok
}
