package steering

import (
	"net/netip"
	"time"
)

// Revision is what operators wrote, parsed, checked and compiled. It never
// changes. The lists are sorted by name so that equal files give equal
// revisions.
type Revision struct {
	Hash      string // of the files' names and bytes, hex
	Currency  string // of all prices, such as "USD"; empty = not stated
	Zones     []Zone
	Vantages  []Vantage
	Providers []*Provider
	Pools     []*Pool
	Regions   []Region // the default region only if the files declare it
	Services  []*Service
	Policies  []*Policy
	Schedules []*Schedule
	Imports   []Import
	Signals   []Signal // of all imports; Rule.Signals and Inputs.Signals count in them
	Probing   Probing
	Reference References
	Reads     Reads // what the rules of all policies, and the fences, read together
}

// Pool returns the pool with this name, or nil.
func (r *Revision) Pool(name string) *Pool {
	for _, p := range r.Pools {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// Region returns the region with this name, or nil; the default region is a
// region without matchers.
func (r *Revision) Region(name string) *Region {
	for i := range r.Regions {
		if r.Regions[i].Name == name {
			return &r.Regions[i]
		}
	}
	return nil
}

// Service returns the service with this key, or nil.
func (r *Revision) Service(key string) *Service {
	for _, s := range r.Services {
		if s.Key == key {
			return s
		}
	}
	return nil
}

// RegionNames returns every region's name, the default region last.
func (r *Revision) RegionNames() []string {
	names := make([]string, 0, len(r.Regions)+1)
	for i := range r.Regions {
		if r.Regions[i].Name != DefaultRegion {
			names = append(names, r.Regions[i].Name)
		}
	}
	return append(names, DefaultRegion)
}

// Pool is a set of origins behind endpoints.
type Pool struct {
	Name     string
	Origins  []string // base URLs
	Fallback string   // the pool that takes over when this one is down; empty = none
	Probe    *Probe   // nil when the origins are not probed
	Place    Place
}

// Service is what a player asks for.
type Service struct {
	Key           string   // in URLs, metrics and commands
	Hostnames     []string // fully qualified, lower case, with the final dot
	Labels        map[string]string
	TTL           time.Duration
	TTLMin        time.Duration // when a change is near; 0 = TTL
	TTLMax        time.Duration // when nothing can change, and never more; 0 = TTL
	Alias         bool          // every hostname is answered with addresses, as it is at an apex, and never by CNAME
	Endpoints     []*Endpoint   // in the file's order
	SignedReports bool          // players' reports are taken at signed URLs only
	Probe         *Probe        // nil when the endpoints are not probed
	Policy        *Policy       // never nil
	Manifests     *Manifests    // nil = the HTTP door hands out no manifests
	Methods       []string      // that redirects are given for beside GET and HEAD; empty = none
	Player        Player        // what is known of those who play it; zero = nothing
	Schedule      string        // the schedule that makes it so; empty = none
	// Weights are static weights that a schedule gives to endpoints, by id; those of
	// the others stand.
	Weights map[string]float64
	Place   Place
}

// Weight is an endpoint's static weight.
func (s *Service) Weight(e *Endpoint) float64 {
	if w, ok := s.Weights[e.ID]; ok {
		return w
	}
	return e.Weight
}

// LongestTTL is the longest TTL that an answer for a service ever has, at whatever
// time.
func (r *Revision) LongestTTL(s *Service) time.Duration {
	longest := max(s.TTL, s.TTLMax)
	for _, schedule := range r.Schedules {
		for _, form := range schedule.Services {
			if form.Key == s.Key {
				longest = max(longest, form.TTL, form.TTLMax)
			}
		}
	}
	return longest
}

// Endpoint is one way to reach a service: provider × origin pool.
type Endpoint struct {
	ID        string       // service/provider/pool, or as named in the file; unique in the revision
	Service   string       // the service's key
	Provider  string       // a provider's name
	Pool      string       // a pool's name; empty when it has none
	Host      string       // the CNAME target, fully qualified with the final dot; empty when there is none
	Addresses []netip.Addr // where probes connect; what DNS answers when there is no host
	URL       string       // the base that redirects and decisions extend, without a final slash; empty = not for HTTP
	ALPN      []string     // the protocols that HTTPS records announce; empty = none announced
	Pathway   string       // the content-steering pathway id; empty = none
	Weight    float64      // static weight within a split, default 1
	Account   *Provider    // the provider with its terms; nil = without any
	Fences    []*Fence     // who it may not serve; the law's before others
	Variant   string       // tells its measurements from those of an endpoint with this ID in another revision; empty = no need to
	Place     Place
}

// Subject is what the endpoint's measurements are about.
func (e *Endpoint) Subject() Subject {
	if e.Variant != "" {
		return EndpointSubject(e.ID + " in " + e.Variant)
	}
	return EndpointSubject(e.ID)
}

// Vantage is a place where probes run.
type Vantage struct {
	Name    string
	Region  string     // DefaultRegion when it belongs to none
	Network string     // those of one network fail together, and count as one for what is down; empty = its own
	Bind    netip.Addr // the source address of its probes; invalid = the system's choice
	// Resolver is the host:port of whom probes that resolve per region ask from
	// here, in place of a resolver that is told where the region's clients are.
	Resolver string
	// External is a vantage that no node probes as: what it measures comes over the
	// API or from an import.
	External bool
	Place    Place
}

// Zone is a DNS zone that we are authoritative for. Names are fully qualified,
// lower case, with the final dot.
type Zone struct {
	Name    string
	TTL     time.Duration // for records that name none
	SOA     SOA
	NS      []string // fully qualified
	Records []Record
	DNSSEC  *DNSSEC // nil = the zone is not signed
	Copies  Copies
	// Primaries have the records of a zone that is maintained elsewhere: it has none
	// here until a copy has come.
	Primaries []Peer
	Place     Place
}

// DNSSEC says how a zone is signed (RFC 4033).
type DNSSEC struct {
	Algorithm   uint8         // as in RFC 8624: 13 or 15
	SplitKeys   bool          // a KSK and a ZSK, instead of one key for both (CSK)
	Validity    time.Duration // of a signature
	KeyTTL      time.Duration // of DNSKEY, CDS and CDNSKEY
	Propagation time.Duration // until every server of the zone has what is new (Dprp of RFC 7583)
	ZSKLifetime time.Duration // until a ZSK is replaced; 0 = when an operator says so
	KSKLifetime time.Duration // the same for a KSK or CSK
	Announce    bool          // publish CDS and CDNSKEY for the parent (RFC 7344, 8078)
	Leave       bool          // ask the parent to remove the DS (RFC 8078 §4), and roll no more

	ParentTTL         time.Duration // of the parent's DS (TTLds)
	ParentPropagation time.Duration // until all of the parent's servers have it (DprpP)
	ParentServers     []string      // whom to ask for the DS, host:port; none = an operator says when it is there
	Place             Place
}

// Copies says who may have copies of a zone (RFC 5936), and who is told when it
// has changed (RFC 1996).
type Copies struct {
	Allow   []CopyRule // any of them suffices; none: nobody may
	Notify  []Peer
	Journal int // changes that are kept for incremental transfers (RFC 1995)
}

// Offered tells whether anybody may have copies.
func (c *Copies) Offered() bool { return len(c.Allow) > 0 }

// CopyRule allows copies to who fits all that it states.
type CopyRule struct {
	Network netip.Prefix // invalid = any
	Key     string       // the name of a TSIG key; empty = none needed
}

// Peer is another name server.
type Peer struct {
	Address netip.AddrPort
	Key     string // the name of the TSIG key that signs what we send; empty = none
}

// SOA is the start-of-authority record (RFC 1035 §3.3.13).
type SOA struct {
	MName, RName           string // fully qualified
	Serial                 uint32 // 0 = made from the revision
	Refresh, Retry, Expire time.Duration
	Minimum                time.Duration // the negative TTL (RFC 2308 §4)
	TTL                    time.Duration
}

// Record is one static resource record, of class IN.
type Record struct {
	Name  string // fully qualified, lower case
	Type  uint16 // as on the wire, such as 1 for A
	TTL   time.Duration
	Data  string // RDATA as on the wire, names in it uncompressed (RFC 3597 §4)
	Place Place
}
