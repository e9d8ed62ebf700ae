package rum

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"fairway/steering"
)

// places is a network map for tests: 10.a.0.0/16 is AS 100+a of DE in eu, 20.0.0.0/8 is
// AS 7 of US in na, the rest is the default region.
type places struct{ cells []steering.Cell }

func newPlaces() *places {
	p := &places{cells: []steering.Cell{{Region: steering.DefaultRegion}, {Region: "na", Attributes: steering.Attributes{Country: "US", ASN: 7}}}}
	for a := range 256 {
		p.cells = append(p.cells, steering.Cell{Region: "eu", Attributes: steering.Attributes{Country: "DE", ASN: uint32(100 + a)}})
	}
	return p
}

func (p *places) Cells() []steering.Cell { return p.cells }

func (p *places) Locate(addr netip.Addr) (uint32, int) {
	if !addr.Unmap().Is4() {
		return 0, 0
	}
	switch b := addr.As4(); b[0] {
	case 10:
		return 2 + uint32(b[1]), 16
	case 20:
		return 1, 8
	}
	return 0, 8
}

// newSnapshot is a generation with the service live over CDNs a, b and c, and the
// service other with one endpoint.
func newSnapshot(t testing.TB) *steering.Snapshot {
	t.Helper()
	policy := &steering.Policy{Name: "p", HashV4: 24, HashV6: 56, Rules: []*steering.Rule{{Name: "default"}}}
	live := &steering.Service{Key: "live", Policy: policy}
	for _, cdn := range []string{"a", "b", "c"} {
		live.Endpoints = append(live.Endpoints, &steering.Endpoint{
			ID: "live/" + cdn, Service: "live", Provider: cdn, URL: "https://" + cdn + ".cdn.test/live", Pathway: string(cdn[0] - 32), Weight: 1,
		})
	}
	other := &steering.Service{Key: "other", Policy: policy, Endpoints: []*steering.Endpoint{{ID: "other/a", URL: "https://a.cdn.test", Pathway: "A", Weight: 1}}}
	layout, err := steering.NewLayout(&steering.Revision{Services: []*steering.Service{live, other}, Policies: []*steering.Policy{policy}}, newPlaces())
	if err != nil {
		t.Fatal(err)
	}
	var splits [][]*steering.Split
	for _, sl := range layout.Services {
		groups := make([]*steering.Split, len(sl.Groups))
		for g := range groups {
			var list []steering.Candidate
			for _, e := range sl.Service.Endpoints {
				list = append(list, steering.Candidate{Endpoint: e, Weight: 1 / float64(len(sl.Service.Endpoints)), Reason: steering.Reason{Code: steering.ReasonBest}})
			}
			split, err := steering.NewSplit(list, 20_000_000_000, steering.Reason{Code: steering.ReasonBest}, nil)
			if err != nil {
				t.Fatal(err)
			}
			groups[g] = split
		}
		splits = append(splits, groups)
	}
	s, err := steering.NewSnapshot(1, layoutTime, layout, splits, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newCollector(t testing.TB, c Config) *Collector {
	t.Helper()
	table := newPlaces()
	c.Places = func() steering.Table { return table }
	k, err := NewCollector(c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// one gives the only cell of an endpoint.
func one(t testing.TB, cells []*Cell, endpoint string) *Cell {
	t.Helper()
	var found *Cell
	for _, c := range cells {
		if c.Endpoint == endpoint {
			if found != nil {
				t.Fatalf("two cells of %s: %+v and %+v", endpoint, found.Key, c.Key)
			}
			found = c
		}
	}
	if found == nil {
		t.Fatalf("no cell of %s among %d", endpoint, len(cells))
	}
	return found
}

func address(a, b, c, d int) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(a), byte(b), byte(c), byte(d)})
}

// answers is an event body of n successful requests of one session on one CDN.
func answers(cdn, session string, n int, ttfb, kbps float64) string {
	body := ""
	for i := range n {
		body += fmt.Sprintf("e=rr,mtp=%.0f,rc=200,sid=%q,ts=%d,ttfb=%.0f,ttlb=%.0f,url=\"https://%s.cdn.test/live/s%d.m4s\",v=2\n",
			kbps, session, 1_700_000_000_000+2000*i, ttfb, ttfb+100, cdn, i)
	}
	return body
}

var layoutTime = time.Unix(1_700_000_000, 0)
