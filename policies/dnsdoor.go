package policies

import (
	"net"
	"net/netip"
	"time"
)

// DNS is how the DNS door of this node works.
type DNS struct {
	Backend string // how UDP packets are moved: auto, mmsg or portable
	NSID    string // what this server calls itself (RFC 5001); empty = nothing
	Cookies DNSCookies
	Limits  DNSLimits
	TCP     DNSTCP
	TLS     DNSTLS
	Dnstap  DNSTap // to a socket
	Log     DNSTap // to a file
	Alias   DNSAlias
}

// DNSAlias is how the hosts are looked up behind names that are answered with
// addresses.
type DNSAlias struct {
	Resolvers      []string // host:port; none = the system's
	MinTTL, MaxTTL time.Duration
}

// DNSTCP bounds connections, clear and encrypted together.
type DNSTCP struct {
	Connections, PerClient int
	Idle                   time.Duration
}

// DNSTLS are the PEM files for DNS over TLS, empty = none named; or what ACME obtains.
type DNSTLS struct {
	Certificate, Key string
	ACME             bool
}

// DNSCookies is how DNS cookies (RFC 7873) are met.
type DNSCookies struct {
	Mode       string // answer, require or ignore
	SecretFile string // empty = a secret of this node alone
}

// DNSLimits bound what is sent over UDP to addresses that may be forged.
type DNSLimits struct {
	Answers, Negatives, Errors int // responses per second to one client network; 0 = no limit
	Slip                       int // every so many of those over the limit goes out short; 0 = none
	IPv4, IPv6                 int // length of a client network
	Exempt                     []netip.Prefix
	Unsigned, Signed           int // octets of an answer for each octet of its query; 0 = no bound
}

// NSIDHostname stands in dns.nsid for the machine's own host name.
const NSIDHostname = "hostname"

// The defaults of the DNS door. A client network is what BIND and others take
// for one; answers leave a large resolver in peace on a busy evening.
const (
	defaultBackend = "auto"
	defaultCookies = "answer"

	defaultAnswers   = 5000
	defaultNegatives = 500
	defaultErrors    = 500
	defaultSlip      = 2
	defaultLimitIPv4 = 24
	defaultLimitIPv6 = 56
	defaultUnsigned  = 5
	defaultSigned    = 12

	defaultConnections = 2000
	defaultPerClient   = 100
	defaultIdle        = 10 * time.Second

	defaultAliasMin = 5 * time.Second
	defaultAliasMax = 5 * time.Minute

	maxRate = 1_000_000_000
	maxNSID = 64 // dnsserver.MaxNSID
)

func defaultDNSDoor() DNS {
	return DNS{
		Backend: defaultBackend,
		Cookies: DNSCookies{Mode: defaultCookies},
		Limits: DNSLimits{
			Answers: defaultAnswers, Negatives: defaultNegatives, Errors: defaultErrors, Slip: defaultSlip,
			IPv4: defaultLimitIPv4, IPv6: defaultLimitIPv6, Exempt: loopback(),
			Unsigned: defaultUnsigned, Signed: defaultSigned,
		},
		TCP:   DNSTCP{Connections: defaultConnections, PerClient: defaultPerClient, Idle: defaultIdle},
		Alias: DNSAlias{MinTTL: defaultAliasMin, MaxTTL: defaultAliasMax},
	}
}

// loopback is what no forged packet from outside can name as its source.
func loopback() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// dnsDoor reads the section dns.
func (c *compiler) dnsDoor() DNS {
	d := defaultDNSDoor()
	v, ok := c.single("dns")
	if !ok {
		return d
	}
	f, _ := v.fields("backend nsid cookies rate_limit amplification tcp tls dnstap query_log alias")
	d.Backend = f.choice("backend", defaultBackend, "auto", "mmsg", "portable")
	if v, ok := f.under("nsid"); ok {
		if d.NSID, ok = v.text(); ok && len(d.NSID) > maxNSID {
			v.fault("use a shorter one", "has %d octets; at most %d fit every answer", len(d.NSID), maxNSID)
		}
	}
	if v, ok := f.under("cookies"); ok {
		f, _ := v.as("dns.cookies").fields("mode secret_file")
		d.Cookies.Mode = f.choice("mode", defaultCookies, "answer", "require", "ignore")
		if v, ok := f.under("secret_file"); ok {
			d.Cookies.SecretFile, _ = v.file()
		}
	}
	if v, ok := f.under("rate_limit"); ok {
		v.rateLimit(&d.Limits)
	}
	if v, ok := f.under("amplification"); ok {
		f, _ := v.as("dns.amplification").fields("unsigned signed")
		d.Limits.Unsigned = int(f.integer("unsigned", defaultUnsigned, 0, 100))
		d.Limits.Signed = int(f.integer("signed", defaultSigned, 0, 100))
	}
	if v, ok := f.under("tcp"); ok {
		f, _ := v.as("dns.tcp").fields("connections per_client idle")
		d.TCP.Connections = int(f.integer("connections", defaultConnections, 1, 1_000_000))
		d.TCP.PerClient = int(f.integer("per_client", defaultPerClient, 1, 1_000_000))
		d.TCP.Idle = f.duration("idle", defaultIdle, time.Second, 30*time.Second)
	}
	d.TLS.Certificate, d.TLS.Key, d.TLS.ACME = f.certificate("dns.tls")
	d.Dnstap = f.dnsTap("dnstap", "socket", 1, defaultTapPerSecond)
	d.Log = f.dnsTap("query_log", "file", 0.01, defaultLogPerSecond)
	if v, ok := f.under("alias"); ok {
		v.alias(&d.Alias)
	}
	return d
}

func (v value) alias(a *DNSAlias) {
	f, _ := v.as("dns.alias").fields("resolvers min_ttl max_ttl")
	for _, item := range f.oneOrMore("resolvers") {
		if resolver, ok := item.resolver(); ok {
			a.Resolvers = append(a.Resolvers, resolver)
		}
	}
	a.MinTTL = f.seconds("min_ttl", a.MinTTL, time.Second, time.Hour)
	a.MaxTTL = f.seconds("max_ttl", max(a.MinTTL, a.MaxTTL), a.MinTTL, 24*time.Hour)
}

// neededFile reads a path that must be there.
func (f fields) neededFile(key string) string {
	v, ok := f.require(key, "add "+key+": PATH, a PEM file")
	if !ok {
		return ""
	}
	name, _ := v.file()
	return name
}

// checkDoT holds the listeners of DNS over TLS to what they need.
func (c *compiler) checkDoT(n Node) {
	if len(n.Listen.DoT) == 0 {
		return
	}
	at := c.sections["listen"][0].keyAt
	if n.DNS.TLS == (DNSTLS{}) {
		c.fault(at, "add dns: {tls: {certificate: PATH, key: PATH}}, or dns: {tls: acme}", "listen.dot: there is no certificate for DNS over TLS")
	}
	for _, address := range n.Listen.DoT {
		// RFC 7858 §3.1: servers "MUST NOT use port 53 to transport DNS over TLS".
		if _, port, _ := net.SplitHostPort(address); port == "53" {
			c.fault(at, "use port 853", "listen.dot: %s: port 53 is for DNS in clear text", address)
		}
	}
}

func (v value) rateLimit(l *DNSLimits) {
	f, _ := v.as("dns.rate_limit").fields("answers negatives errors slip ipv4 ipv6 exempt")
	l.Answers = int(f.integer("answers", defaultAnswers, 0, maxRate))
	l.Negatives = int(f.integer("negatives", defaultNegatives, 0, maxRate))
	l.Errors = int(f.integer("errors", defaultErrors, 0, maxRate))
	l.Slip = int(f.integer("slip", defaultSlip, 0, 100))
	l.IPv4 = int(f.integer("ipv4", defaultLimitIPv4, 1, 32))
	l.IPv6 = int(f.integer("ipv6", defaultLimitIPv6, 1, 64))
	if _, ok := f.under("exempt"); ok {
		l.Exempt = nil
		for _, item := range f.texts("exempt") {
			if p, ok := item.prefix(); ok {
				l.Exempt = append(l.Exempt, p)
			}
		}
	}
}
