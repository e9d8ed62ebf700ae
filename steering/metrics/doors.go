package metrics

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"fairway/steering"
)

// other stands for every label value outside a closed set.
const other = "other"

// DNS counts for the DNS door.
type DNS struct {
	decisions *decisions
	queries   *prometheus.CounterVec
	took      *durations
	known     *memo[dnsLabels, prometheus.Counter]
}

type dnsLabels struct{ transport, qtype, rcode string }

// hint is a number for the memo.
func (l *dnsLabels) hint() uint64 {
	return 32*uint64(len(l.qtype)) + 8*uint64(len(l.rcode)) + uint64(len(l.transport))
}

func newDNS(decisions *decisions) *DNS {
	d := &DNS{
		decisions: decisions,
		queries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairway_dns_queries_total", Help: "DNS queries answered, by transport, query type and response code.",
		}, []string{"transport", "type", "rcode"}),
		took: newDurations("fairway_dns_duration_seconds", "Time from a DNS query read to its answer written, by transport.", "transport", slices.Sorted(maps.Keys(transports)),
			[]float64{1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 5e-2, 0.25, 1}),
	}
	d.known = newMemo(func(l dnsLabels) prometheus.Counter {
		return d.queries.WithLabelValues(l.transport, l.qtype, l.rcode)
	})
	return d
}

// Decided counts a decision that was handed out.
func (d *DNS) Decided(door string, decision *steering.Decision) { d.decisions.count(door, decision) }

// Expect is told of decisions that are near.
func (d *DNS) Expect(door string, soon []steering.Soon) {
	if at := d.decisions.at(door); at != nil {
		at.lookAhead(soon)
	}
}

// Answered counts answers that are alike. Type and response code are as in the IANA
// registries, in capitals; those that are not worth a series become "other".
func (d *DNS) Answered(transport, qtype, rcode string, answers int) {
	l := dnsLabels{transport, qtype, rcode}
	count, known := d.known.peek(l.hint(), l)
	if !known {
		l = dnsLabels{within(transports, transport), within(queryTypes, qtype), within(responseCodes, rcode)}
		count = d.known.get(l.hint(), l)
	}
	count.Add(float64(answers))
}

// Took counts how long answers took that were read and written together.
func (d *DNS) Took(transport string, answers int, took time.Duration) {
	d.took.observe(transport, uint64(answers), took)
}

// set is a closed set of label values.
type set map[string]struct{}

func setOf(values ...string) set {
	s := make(set, len(values))
	for _, v := range values {
		s[v] = struct{}{}
	}
	return s
}

// within keeps a value of the set and gives "other" for the rest.
func within(s set, value string) string {
	if _, in := s[value]; in {
		return value
	}
	return other
}

// What DNS labels may say. The values come from clients, so the sets are
// closed here and not only at the door.
var (
	transports = setOf("udp", "tcp", "tls", "https", "quic")
	queryTypes = setOf("A", "AAAA", "ANY", "AXFR", "CAA", "CNAME", "DNSKEY", "DS", "HTTPS", "IXFR", "MX", "NAPTR", "NS",
		"PTR", "SOA", "SRV", "SVCB", "TLSA", "TXT")
	responseCodes = setOf("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "NOTAUTH", "NOTZONE",
		"BADVERS", "BADKEY", "BADTIME", "BADCOOKIE")
)

// HTTP counts for the HTTP door.
type HTTP struct {
	decisions *decisions
	requests  *prometheus.CounterVec
	took      *prometheus.HistogramVec
	known     *memo[httpLabels, answered]
}

type httpLabels struct {
	door   string
	status int // 0 = other
}

// answered is where one kind of answer is counted.
type answered struct {
	count prometheus.Counter
	took  prometheus.Observer
}

func newHTTP(decisions *decisions) *HTTP {
	h := &HTTP{
		decisions: decisions,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fairway_http_requests_total", Help: "HTTP requests answered, by door and status code.",
		}, []string{"door", "code"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "fairway_http_duration_seconds", Help: "Time from an HTTP request's header read to its answer written, by door.",
			Buckets: []float64{2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 5e-2, 0.25, 1, 5},
		}, []string{"door"}),
	}
	h.known = newMemo(func(l httpLabels) answered {
		code := other
		if l.status != 0 {
			code = strconv.Itoa(l.status)
		}
		return answered{h.requests.WithLabelValues(l.door, code), h.took.WithLabelValues(l.door)}
	})
	return h
}

// Decided counts a decision that was handed out.
func (h *HTTP) Decided(door string, decision *steering.Decision) { h.decisions.count(door, decision) }

// Answered counts an answer. The door is a word of the program; a status
// outside 100 to 599 becomes "other".
func (h *HTTP) Answered(door string, status int, took time.Duration) {
	if status < 100 || status > 599 {
		status = 0
	}
	a := h.known.get(uint64(status), httpLabels{door, status})
	a.count.Inc()
	a.took.Observe(took.Seconds())
}
