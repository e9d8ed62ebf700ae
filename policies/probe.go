package policies

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"fairway/steering"
)

// The defaults of a probe, as steering.Probe documents them.
const (
	defaultEvery    = 5 * time.Second
	defaultTimeout  = 2 * time.Second
	defaultRise     = 2
	defaultFall     = 2
	defaultQuorum   = 2
	defaultMaxBytes = 64 << 10
)

// probe returns the compiled probe with this name; nil for no name and for one
// that is not declared. All probes are compiled at the first call.
func (c *compiler) probe(name string) *steering.Probe {
	if c.probes == nil {
		c.probes = make(map[string]*steering.Probe)
		for _, v := range c.each(probe) {
			c.probes[v.name] = c.compileProbe(v)
		}
	}
	return c.probes[name]
}

func (c *compiler) compileProbe(v value) *steering.Probe {
	f, _ := v.fields("type path port every timeout rise fall failures among drift quorum window stale_after status body_contains max_bytes ca_file resolver")
	p := &steering.Probe{
		Name:     v.name,
		Type:     f.probeType(),
		Port:     int(f.integer("port", 0, 1, 65535)),
		Every:    f.duration("every", defaultEvery, 100*time.Millisecond, time.Hour),
		Timeout:  f.duration("timeout", defaultTimeout, 50*time.Millisecond, time.Minute),
		Rise:     int(f.integer("rise", defaultRise, 1, 100)),
		Fall:     int(f.integer("fall", defaultFall, 1, 100)),
		Quorum:   int(f.integer("quorum", defaultQuorum, 1, 1000)),
		MaxBytes: f.integer("max_bytes", defaultMaxBytes, 1, 64<<20),
		Resolver: f.resolver(),
		Place:    v.home(),
	}
	p.FailN, p.FailOf = f.failures()
	p.Drift = f.number("drift", 0, 1.1, 100)
	p.Window = f.duration("window", 12*p.Every, p.Every, 24*time.Hour)
	p.Stale = f.duration("stale_after", 3*p.Every+p.Timeout, p.Every, 24*time.Hour)
	if p.Timeout > p.Every {
		at := v.home()
		if t, ok := f.under("timeout"); ok {
			at = t.place()
		}
		c.warn(at, "lower timeout or raise every", "%s: timeout %s is longer than every %s: a probe never overlaps itself, so a slow target is measured less often",
			v.subject, brief(p.Timeout), brief(p.Every))
	}
	if p.Type == steering.ProbeTCP {
		f.noHTTP()
		return p
	}
	if path, ok := f.require("path", "add path, such as /live/main.m3u8"); ok {
		p.Path = path.urlPath()
	}
	p.Status = f.statuses()
	p.BodyContains = f.text("body_contains")
	if ca, ok := f.under("ca_file"); ok {
		if p.Type == steering.ProbeHTTP {
			f.c.fault(ca.keyAt, "use type: https, or take it out", "%s: ca_file means nothing without TLS", v.subject)
		}
		p.CAFile, _ = ca.file()
	}
	return p
}

// failures reads how many failures among how many measurements are enough.
func (f fields) failures() (n, of int) {
	n, of = int(f.integer("failures", 0, 1, 63)), int(f.integer("among", 0, 2, 64))
	failures, isSet := f.under("failures")
	among, amongIsSet := f.under("among")
	switch {
	case isSet && !amongIsSet:
		failures.fault("add among, such as among: 10", "needs among: of how many measurements")
	case amongIsSet && !isSet:
		among.fault("add failures, such as failures: 4", "needs failures: how many of them")
	case isSet && n >= of && of > 0:
		failures.fault("lower failures, or use fall for failures in a row", "is not below among")
	default:
		return n, of
	}
	return 0, 0
}

// probeType reads the required type.
func (f fields) probeType() steering.ProbeType {
	v, ok := f.require("type", "add type: https")
	if !ok {
		return ""
	}
	s, ok := v.text()
	if !ok {
		return ""
	}
	switch t := steering.ProbeType(s); t {
	case steering.ProbeHTTP, steering.ProbeHTTPS, steering.ProbeTCP:
		return t
	}
	types := []string{"http", "https", "tcp"}
	switch s {
	case "hls", "dash", "http2", "http3", "tls", "dns":
		v.fault("use one of http, https, tcp for now", "%s is not supported by this release yet", s)
	default:
		v.fault(choices("types", types, s), "%q is not a type of probe", clip(s))
	}
	return ""
}

// noHTTP reports keys that a probe without HTTP would ignore.
func (f fields) noHTTP() {
	for _, key := range []string{"path", "status", "body_contains", "max_bytes", "ca_file"} {
		if v, ok := f.under(key); ok {
			f.c.fault(v.keyAt, "take it out, or use type: https", "%s: %s means nothing to a probe of type tcp", f.subject, key)
		}
	}
}

// urlPath reads a path with an optional query.
func (v value) urlPath() string {
	s, ok := v.text()
	if !ok {
		return ""
	}
	if !strings.HasPrefix(s, "/") || strings.ContainsAny(s, " #\t\r\n") {
		v.fault("begin it with a slash, escape blanks as %20, and leave the fragment out", "%q is not a path", clip(s))
	}
	return s
}

// statuses reads the accepted HTTP statuses: numbers and ranges.
func (f fields) statuses() []steering.StatusRange {
	v, ok := f.under("status")
	if !ok {
		return []steering.StatusRange{{From: 200, To: 299}}
	}
	items := []value{v}
	if v.node.Tag == "!!seq" {
		items, _ = v.list()
		if len(items) == 0 {
			v.fault("name the accepted statuses, or leave the key out for 200-299", "is empty")
		}
	}
	var ranges []steering.StatusRange
	for _, item := range items {
		low, high, isRange := strings.Cut(item.node.Value, "-")
		if !isRange {
			high = low
		}
		from, err1 := strconv.Atoi(low)
		to, err2 := strconv.Atoi(high)
		if (item.node.Tag != "!!int" && item.node.Tag != "!!str") || err1 != nil || err2 != nil || from < 100 || to > 599 || from > to {
			item.fault("write a status, such as 304, or a range, such as 200-299", "%s is not an HTTP status", item.describe())
			continue
		}
		ranges = append(ranges, steering.StatusRange{From: from, To: to})
	}
	return ranges
}

// resolver reads an optional one.
func (f fields) resolver() string {
	v, ok := f.under("resolver")
	if !ok {
		return ""
	}
	s, _ := v.resolver()
	return s
}

// resolver reads the address of a DNS server; its port is 53 unless stated.
func (v value) resolver() (string, bool) {
	s, ok := v.text()
	if !ok {
		return "", false
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return net.JoinHostPort(a.String(), "53"), true
	}
	if ap, err := netip.ParseAddrPort(s); err != nil || ap.Port() == 0 {
		v.fault("write it as 192.0.2.53 or 192.0.2.53:5353", "%q is not a resolver's address", clip(s))
		return "", false
	}
	return s, true
}

// detection is how long a dead endpoint can stay unnoticed.
func detection(p *steering.Probe) time.Duration {
	return time.Duration(p.Fall)*p.Every + p.Timeout
}

// detectionText shows the sum.
func detectionText(p *steering.Probe) string {
	return fmt.Sprintf("%d × %s + %s", p.Fall, brief(p.Every), brief(p.Timeout))
}
