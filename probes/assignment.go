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
}

func newAssignment(t Target, v steering.Vantage, measure probeFunc, authorities *trust) *assignment {
	v.Place = steering.Place{}
	v.Bind = v.Bind.Unmap()
	return &assignment{
		spec: spec{
			subject:   t.Subject,
			host:      t.Host,
			port:      t.Port,
			path:      t.Path,
			addresses: slices.Clone(t.Addresses),
			probe:     measuring(*t.Probe),
			vantage:   v,
			trust:     authorities.sum,
		},
		uri:     requestURI(t.Path),
		measure: measure,
		trust:   authorities,
	}
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
