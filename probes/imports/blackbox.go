package imports

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"fairway/steering"
)

// blackboxNames are the metrics of blackbox_exporter that are read.
var blackboxNames = []string{
	"probe_success", "probe_duration_seconds", "probe_dns_lookup_time_seconds", "probe_ip_protocol", "probe_failed_due_to_regex",
	"probe_http_duration_seconds", "probe_http_status_code", "probe_http_version", "probe_http_content_length", "probe_http_uncompressed_body_length",
	"probe_icmp_duration_seconds", "probe_dns_duration_seconds", "probe_ssl_earliest_cert_expiry",
}

// shot is what blackbox_exporter told of one probe: values by name, and by phase where
// there are several.
type shot map[string]float64

// blackbox makes a measurement of each probe that was not seen yet. All metrics of one
// probe have one time.
func (t *task) blackbox(target string, all []series, now time.Time) (measured []steering.Measurement) {
	shots := make(map[time.Time]shot)
	for _, s := range all {
		key := s.name
		if phase := s.labels["phase"]; phase != "" {
			key += " " + phase
		}
		for _, p := range s.points {
			at := p.at.UTC()
			if shots[at] == nil {
				shots[at] = make(shot)
			}
			shots[at][key] = p.value
		}
	}
	for _, at := range slices.SortedFunc(maps.Keys(shots), time.Time.Compare) {
		if _, whole := shots[at]["probe_success"]; whole && t.fresh(target, at, now) {
			measured = append(measured, shots[at].measurement(at))
		}
	}
	if n := len(measured); n > 0 {
		t.memory.seen[target] = measured[n-1].At
	}
	return measured
}

func (s shot) measurement(at time.Time) steering.Measurement {
	m := steering.Measurement{At: at, Address: nowhere, Outcome: steering.OutcomeOK, Phases: s.phases(), Status: int(s["probe_http_status_code"])}
	m.Bytes = int64(max(s["probe_http_content_length"], s["probe_http_uncompressed_body_length"], 0))
	if expiry := s["probe_ssl_earliest_cert_expiry"]; expiry > 0 {
		m.Seen.Expires = time.Unix(int64(expiry), 0).UTC()
	}
	m.Seen.Protocol = map[float64]string{1.1: "http/1.1", 2: "h2", 3: "h3"}[s["probe_http_version"]]
	if s["probe_success"] == 1 {
		return m
	}
	m.Outcome, m.Detail = s.failure()
	if m.Outcome == steering.OutcomeDNS {
		m.Address = steering.Measurement{}.Address
	}
	return m
}

// phases are those that the prober tells; where it tells none, all but the resolution
// of the name is the wait for an answer.
func (s shot) phases() steering.Phases {
	took := func(name string) time.Duration {
		v := s[name]
		if !number(v) || v < 0 || v > time.Hour.Seconds() {
			return 0
		}
		return time.Duration(v * float64(time.Second))
	}
	p := steering.Phases{
		DNS:     max(took("probe_http_duration_seconds resolve"), took("probe_dns_lookup_time_seconds")),
		Connect: took("probe_http_duration_seconds connect") + took("probe_dns_duration_seconds connect"),
		TLS:     took("probe_http_duration_seconds tls"),
		TTFB:    took("probe_http_duration_seconds processing") + took("probe_icmp_duration_seconds rtt") + took("probe_dns_duration_seconds request"),

		Transfer: took("probe_http_duration_seconds transfer"),
	}
	if p.Latency() == 0 {
		p.TTFB = max(0, took("probe_duration_seconds")-p.DNS)
	}
	return p
}

// failure says what went wrong, as far as the metrics tell.
func (s shot) failure() (steering.Outcome, string) {
	protocol, resolves := s["probe_ip_protocol"]
	switch status := s["probe_http_status_code"]; {
	case resolves && protocol == 0:
		return steering.OutcomeDNS, "blackbox_exporter: the name did not resolve"
	case s["probe_failed_due_to_regex"] == 1:
		return steering.OutcomeBody, "blackbox_exporter: failed due to a regular expression"
	case status != 0:
		return steering.OutcomeStatus, fmt.Sprintf("blackbox_exporter: HTTP status %.0f", status)
	}
	return steering.OutcomeConnect, fmt.Sprintf("blackbox_exporter: no response in %.3g s", s["probe_duration_seconds"])
}
