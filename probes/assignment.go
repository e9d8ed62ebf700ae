package probes

import (
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"fairway/steering"
)

// assignment is one target seen from one vantage: what one loop measures.
type assignment struct {
	spec
	uri     *url.URL // of the request
	measure probeFunc
	trust   *trust
	signer  SignFunc // nil = URLs are open
	memory  *memory
	limited sync.Once // "too many addresses" is said once
}

// spec is all that makes one assignment differ from another. A change in any of
// it starts the loop anew.
type spec struct {
	subject   steering.Subject
	host      string
	port      int
	path      string
	addresses []netip.Addr
	probe     steering.Probe // defaults filled in; without what only judges read
	vantage   steering.Vantage
	trust     [32]byte // hash of the authorities
	secure    bool
	group     string // whose bytes are the same; empty = of none
	provider  string // whose tokens URLs have; empty = none
	probing   steering.Probing
	subnet    netip.Prefix // a client network of the vantage's region; invalid = none is known
}

func newAssignment(t Target, v steering.Vantage, measure probeFunc, with shared) *assignment {
	v.Place, v.Network = steering.Place{}, ""
	v.Bind = v.Bind.Unmap()
	a := &assignment{
		spec: spec{
			subject:   t.Subject,
			host:      t.Host,
			port:      t.Port,
			path:      t.Path,
			addresses: slices.Clone(t.Addresses),
			probe:     measuring(*t.Probe),
			vantage:   v,
			trust:     with.trust.sum,
			secure:    t.Secure,
			group:     t.Group,
			provider:  t.Provider,
			probing:   steering.Probing{Allow: with.allow},
		},
		uri:     requestURI(t.Path),
		measure: measure,
		trust:   with.trust,
		signer:  with.signer,
		memory:  &memory{byAddress: make(map[netip.Addr]*recall)},
	}
	if t.Probe.Resolve == steering.ResolvePerRegion {
		a.subnet = with.subnets[v.Region]
	}
	if t.Probe.Type == steering.ProbeDNS {
		a.port = 53
		if at, err := netip.ParseAddrPort(a.server()); err == nil {
			a.port = int(at.Port())
		}
	}
	return a
}

// shared is what several assignments have in common.
type shared struct {
	trust   *trust
	signer  SignFunc
	allow   []netip.Prefix
	subnets map[string]netip.Prefix // a client network of each region
}

func (a *assignment) equal(b *assignment) bool { return reflect.DeepEqual(a.spec, b.spec) }

// hash places the assignment within its interval, the same after every restart.
func (a *assignment) hash() uint64 {
	return xxhash.Sum64String(string(a.subject) + "\x00" + a.vantage.Name)
}

// measuring leaves of a probe what measuring needs, with the defaults that
// steering.Probe states. Blanking the rest, rather than picking what counts,
// makes a field that is added later count as a change.
func measuring(p steering.Probe) steering.Probe {
	p.Rise, p.Fall, p.Quorum = 0, 0, 0
	p.FailN, p.FailOf, p.Drift = 0, 0, 0
	p.Window, p.Stale = 0, 0
	p.Place = steering.Place{}
	if p.Every <= 0 {
		p.Every = 5 * time.Second
	}
	if p.Timeout <= 0 {
		p.Timeout = 2 * time.Second
	}
	if len(p.Status) == 0 {
		p.Status = []steering.StatusRange{{From: 200, To: 299}}
	}
	if p.MaxBytes <= 0 {
		p.MaxBytes = 64 << 10
		if p.Type.Media() {
			p.MaxBytes = 16 << 20
		}
	}
	return p
}

// requestURI makes a request target of a path and query; what may not stand in
// one is escaped.
func requestURI(path string) *url.URL {
	u, err := url.ParseRequestURI(path)
	if err != nil {
		return &url.URL{Path: "/" + strings.TrimPrefix(path, "/")}
	}
	return u
}
