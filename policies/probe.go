package policies

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
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

	defaultMediaBytes = 16 << 20
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

// probeKeys are what every probe may say. The other keys mean something to some
// types only.
const probeKeys = "type port every fastest slowest timeout rise fall failures among drift quorum window stale_after resolver resolve family"

// typedKeys says which types a key means something to.
var typedKeys = []struct {
	keys  string
	types func(steering.ProbeType) bool
	use   string // a type that it would mean something to
}{
	{"path max_bytes redirects parity", steering.ProbeType.Fetches, "https"},
	{"status body_contains", func(t steering.ProbeType) bool { return t.Fetches() && !t.Media() }, "https"},
	{"connection", func(t steering.ProbeType) bool { return t.Fetches() && !t.Media() }, "https"},
	{"ca_file expires_in ocsp", steering.ProbeType.Secure, "https"},
	{"alpn", func(t steering.ProbeType) bool { return t == steering.ProbeTLS }, "tls"},
	{"within max_ttl", func(t steering.ProbeType) bool { return t == steering.ProbeDNS }, "dns"},
	{"variant edge_age stuck_after min_rate", steering.ProbeType.Media, "hls"},
}

func (c *compiler) compileProbe(v value) *steering.Probe {
	known := probeKeys
	for _, k := range typedKeys {
		known += " " + k.keys
	}
	f, _ := v.fields(known)
	p := &steering.Probe{
		Name:     v.name,
		Type:     f.probeType(),
		Port:     int(f.integer("port", 0, 1, 65535)),
		Every:    f.duration("every", defaultEvery, 100*time.Millisecond, time.Hour),
		Timeout:  f.duration("timeout", defaultTimeout, 50*time.Millisecond, time.Minute),
		Rise:     int(f.integer("rise", defaultRise, 1, 100)),
		Fall:     int(f.integer("fall", defaultFall, 1, 100)),
		Quorum:   int(f.integer("quorum", defaultQuorum, 1, 1000)),
		Resolver: f.resolver(),
		Family:   steering.AddressFamily(f.choice("family", "", "ipv4", "ipv6")),
		Place:    v.home(),
	}
	p.FailN, p.FailOf = f.failures()
	p.Drift = f.number("drift", 0, 1.1, 100)
	p.Fastest = f.duration("fastest", 0, 100*time.Millisecond, p.Every)
	p.Slowest = f.duration("slowest", 0, p.Every, time.Hour)
	rarest := max(p.Every, p.Slowest)
	p.Window = f.duration("window", 12*rarest, rarest, 24*time.Hour)
	p.Stale = f.duration("stale_after", 3*rarest+p.Timeout, rarest, 24*time.Hour)
	if r, ok := f.under("resolve"); ok {
		p.Resolve, p.At = r.resolution()
	}
	if p.Timeout > p.Every {
		at := v.home()
		if t, ok := f.under("timeout"); ok {
			at = t.place()
		}
		c.warn(at, "lower timeout or raise every", "%s: timeout %s is longer than every %s: a probe never overlaps itself, so a slow target is measured less often",
			v.subject, FormatDuration(p.Timeout), FormatDuration(p.Every))
	}
	if p.Type != "" {
		f.meaningless(p.Type)
	}
	if p.Type.Fetches() {
		f.fetching(p)
	}
	if p.Type.Secure() {
		f.secure(p)
	}
	switch {
	case p.Type == steering.ProbeDNS:
		for _, item := range f.texts("within") {
			if network, ok := item.prefix(); ok {
				p.DNS.Within = append(p.DNS.Within, network)
			}
		}
		p.DNS.MaxTTL = f.seconds("max_ttl", 0, time.Second, 7*24*time.Hour)
	case p.Type.Media():
		p.Media = steering.MediaRules{
			Variant:    steering.Variant(f.choice("variant", string(steering.FirstVariant), "first", "lowest", "highest")),
			EdgeAge:    f.duration("edge_age", 0, time.Second, time.Hour),
			StuckAfter: f.duration("stuck_after", 0, time.Second, time.Hour),
			MinRate:    f.number("min_rate", 1, 0, 100),
		}
	}
	return p
}

// fetching reads what a probe over HTTP asks for, and wants of the response.
func (f fields) fetching(p *steering.Probe) {
	if path, ok := f.require("path", "add path, such as /live/main.m3u8"); ok {
		p.Path = path.urlPath()
	}
	most := int64(defaultMaxBytes)
	if p.Type.Media() {
		most = defaultMediaBytes
	} else {
		p.Status = f.statuses()
		p.BodyContains = f.text("body_contains")
		p.Reuse = f.choice("connection", "fresh", "fresh", "reuse") == "reuse"
	}
	p.MaxBytes = f.integer("max_bytes", most, 1, 64<<20)
	p.Redirects = int(f.integer("redirects", 0, 0, 10))
	p.Parity = f.choice("parity", "ignore", "ignore", "check") == "check"
}

// secure reads what a probe wants of TLS.
func (f fields) secure(p *steering.Probe) {
	if ca, ok := f.under("ca_file"); ok {
		p.CAFile, _ = ca.file()
	}
	p.TLS.Left = f.duration("expires_in", 0, time.Hour, 365*24*time.Hour)
	p.TLS.Staple = f.choice("ocsp", "accept", "accept", "require") == "require"
	for _, item := range f.oneOrMore("alpn") {
		if id, ok := item.protocol(); ok {
			p.TLS.ALPN = append(p.TLS.ALPN, id)
		}
	}
}

// meaningless reports keys that a probe of this type would ignore.
func (f fields) meaningless(t steering.ProbeType) {
	for _, typed := range typedKeys {
		if typed.types(t) {
			continue
		}
		for key := range strings.FieldsSeq(typed.keys) {
			if v, ok := f.under(key); ok {
				f.c.fault(v.keyAt, "take it out, or use type: "+typed.use, "%s: %s means nothing to a probe of type %s", f.subject, key, t)
			}
		}
	}
}

// resolution reads whose view of a host's addresses is taken, or the addresses.
func (v value) resolution() (steering.Resolution, []netip.Addr) {
	const remedy = "use system, per-region, or a list of addresses"
	if v.node.Tag == "!!seq" {
		items, _ := v.list()
		if len(items) == 0 {
			v.fault(remedy, "is empty")
		}
		var at []netip.Addr
		for _, item := range distinct(items) {
			if a, ok := item.address(); ok {
				at = append(at, a)
			}
		}
		return "", at
	}
	s, ok := v.text()
	switch {
	case !ok || s == "system":
	case s == string(steering.ResolvePerRegion):
		return steering.ResolvePerRegion, nil
	default:
		v.fault(remedy, "%q is not a choice", clip(s))
	}
	return steering.ResolveSystem, nil
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
	types := wordsOf(steering.ProbeTypes())
	if slices.Contains(types, s) {
		return steering.ProbeType(s)
	}
	v.fault(choices("types", types, s), "%q is not a type of probe", clip(s))
	return ""
}

// wordsOf gives words of a type of their own as they are written.
func wordsOf[T ~string](all []T) []string {
	plain := make([]string, len(all))
	for i, one := range all {
		plain[i] = string(one)
	}
	return plain
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
	return fmt.Sprintf("%d × %s + %s", p.Fall, FormatDuration(p.Every), FormatDuration(p.Timeout))
}
