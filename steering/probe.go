package steering

import (
	"net/netip"
	"time"
)

// Probe says how something is measured and when measurements become a verdict.
type Probe struct {
	Name    string
	Type    ProbeType
	Path    string        // appended to nothing: the whole path and query, such as /live/main.m3u8
	Port    int           // 0 = the port of the endpoint's URL, else the type's default
	Every   time.Duration // from start to start, default 5 s
	Fastest time.Duration // from start to start while something changes; 0 = Every
	Slowest time.Duration // from start to start while all has long been well; 0 = Every
	Timeout time.Duration // for the whole probe of one address, default 2 s
	Rise    int           // ok measurements in a row that end down, default 2
	Fall    int           // failed ones in a row that begin it, default 2
	FailN   int           // so many failed ones of the last FailOf begin it too; 0 = only those in a row
	FailOf  int           // 64 at most
	Drift   float64       // latency at so many times its usual level is degraded; 0 = it is only told
	Quorum  int           // vantages that must agree on down, default 2; at most the region's number counts
	Window  time.Duration // how far back p50, p95 and availability look, default 12 × every
	Stale   time.Duration // older measurements are no evidence, default 3 × every + timeout

	Status       []StatusRange // accepted HTTP statuses, default 200-299
	BodyContains string        // must occur in the first MaxBytes of the body; empty = no rule
	MaxBytes     int64         // read at most so much of a body, default 64 KiB, of media 16 MiB
	Redirects    int           // so many are followed, default none
	Reuse        bool          // keep the connection for the next probe; else each makes its own
	Parity       bool          // the same object has the same bytes wherever it is asked for
	CAFile       string        // PEM file of the authorities to trust instead of the system's

	Resolver string       // host:port of the resolver to ask; empty = the system's
	Resolve  Resolution   // where addresses come from; empty = the host is resolved
	At       []netip.Addr // these addresses, in place of the host's
	Family   AddressFamily

	TLS   TLSRules
	DNS   DNSRules
	Media MediaRules
	Place Place
}

// ProbeType is the protocol a probe speaks.
type ProbeType string

// The types of probe.
const (
	ProbeHTTP  ProbeType = "http"  // HTTP/1.1 in the clear
	ProbeHTTPS ProbeType = "https" // HTTP/1.1 over TLS
	ProbeHTTP2 ProbeType = "http2" // HTTP/2 over TLS
	ProbeHTTP3 ProbeType = "http3" // HTTP/3 over QUIC
	ProbeTLS   ProbeType = "tls"   // a handshake and the certificate
	ProbeTCP   ProbeType = "tcp"   // a connection
	ProbeDNS   ProbeType = "dns"   // the answers for the endpoint's host
	ProbeICMP  ProbeType = "icmp"  // an echo
	ProbeHLS   ProbeType = "hls"   // playlists and the newest segment
	ProbeDASH  ProbeType = "dash"  // the MPD and the newest segment
)

// ProbeTypes lists every type.
func ProbeTypes() []ProbeType {
	return []ProbeType{ProbeHTTP, ProbeHTTPS, ProbeHTTP2, ProbeHTTP3, ProbeTLS, ProbeTCP, ProbeDNS, ProbeICMP, ProbeHLS, ProbeDASH}
}

// Media tells a probe that plays.
func (t ProbeType) Media() bool { return t == ProbeHLS || t == ProbeDASH }

// Fetches tells a probe that asks for a path over HTTP.
func (t ProbeType) Fetches() bool {
	return t == ProbeHTTP || t == ProbeHTTPS || t == ProbeHTTP2 || t == ProbeHTTP3 || t.Media()
}

// Secure tells a probe that may meet a certificate. A media probe does where the
// endpoint's URL says https.
func (t ProbeType) Secure() bool {
	return t == ProbeHTTPS || t == ProbeHTTP2 || t == ProbeHTTP3 || t == ProbeTLS || t.Media()
}

// StatusRange is a range of HTTP statuses, both ends included.
type StatusRange struct{ From, To int }

// Resolution says whose view of a host's addresses a probe takes.
type Resolution string

// The resolutions.
const (
	ResolveSystem    Resolution = ""           // the resolver's own
	ResolvePerRegion Resolution = "per-region" // that of the clients in the vantage's region
)

// AddressFamily narrows the addresses of a host that are probed.
type AddressFamily string

// The families.
const (
	BothFamilies AddressFamily = ""
	OnlyIPv4     AddressFamily = "ipv4"
	OnlyIPv6     AddressFamily = "ipv6"
)

// TLSRules are what a probe wants of a server's TLS, beside a certificate that is
// valid for the host.
type TLSRules struct {
	Left   time.Duration // the certificate must hold for so long; 0 = now is enough
	ALPN   []string      // the server must choose one of these; empty = no rule
	Staple bool          // the server must staple an OCSP response; a bad one is refused in any case
}

// DNSRules are what a probe wants of the answers for a host.
type DNSRules struct {
	Within []netip.Prefix // every address must be in one of these; empty = no rule
	MaxTTL time.Duration  // no TTL may be longer; 0 = no rule
}

// MediaRules are what a probe wants of a live stream.
type MediaRules struct {
	Variant    Variant
	EdgeAge    time.Duration // the newest segment may be so old; 0 = no rule
	StuckAfter time.Duration // a playlist without a new segment for so long is stuck; 0 = three target durations
	MinRate    float64       // throughput of the segment by the bitrate that is declared, default 1
}

// Variant says which of a stream's variants is played.
type Variant string

// The variants.
const (
	FirstVariant   Variant = "first"
	LowestVariant  Variant = "lowest"
	HighestVariant Variant = "highest"
)

// Probing is what holds for probing as a whole.
type Probing struct {
	Allow  []netip.Prefix // addresses that are no public ones and may be probed all the same
	Budget ProbeBudget
}

// ProbeBudget bounds what probing costs, at one node.
type ProbeBudget struct {
	InFlight        int     // connections under way, default 2048
	TargetInFlight  int     // of them to one target, default 64
	Bandwidth       float64 // bit/s that are read, on average; 0 = no bound
	TargetBandwidth float64 // of one target
	PerMinute       int     // probes a minute that `check` warns above; 0 = no bound
}

// Allows tells whether an address may be probed: it is a public one, or an
// operator allows it. What a name resolves to, or a redirect leads to, comes from
// outside: it must not make us knock on doors inside, among them the clouds'
// metadata services, which are at link-local and private addresses.
func (p Probing) Allows(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, network := range p.Allow {
		if network.Contains(a) {
			return true
		}
	}
	return a.IsGlobalUnicast() && !a.IsPrivate() && !inner(a)
}

// inner tells addresses that netip takes for global and that are not (RFC 6890,
// and what IANA added since).
func inner(a netip.Addr) bool {
	switch {
	case a.Is4():
		b := a.As4()
		return b[0] == 0 || b[0] == 100 && b[1]&0xc0 == 64 || // "this network" (RFC 1122), shared (RFC 6598)
			b[0] == 192 && b[1] == 0 && b[2] == 0 || // IETF protocol assignments
			b[0] == 198 && b[1]&0xfe == 18 || b[0] >= 240 // benchmarking (RFC 2544), reserved
	default:
		b := a.As16()
		if carried, ok := carriedIPv4(b); ok {
			return !Probing{}.Allows(carried)
		}
		return b[0] == 0x01 && b[1] == 0 || // discard-only (RFC 6666)
			b[0] == 0xfe && b[1]&0xc0 == 0xc0 // site-local, deprecated (RFC 3879)
	}
}

// carriedIPv4 is the IPv4 address that a translator or tunnel would go on to:
// NAT64 (RFC 6052), 6to4 (RFC 3056), IPv4-compatible (RFC 4291 §2.5.5.1).
func carriedIPv4(b [16]byte) (netip.Addr, bool) {
	switch {
	case [12]byte(b[:12]) == [12]byte{0, 0x64, 0xff, 0x9b}:
		return netip.AddrFrom4([4]byte(b[12:])), true
	case b[0] == 0x20 && b[1] == 0x02:
		return netip.AddrFrom4([4]byte(b[2:6])), true
	case [12]byte(b[:12]) == [12]byte{}:
		return netip.AddrFrom4([4]byte(b[12:])), true
	}
	return netip.Addr{}, false
}
