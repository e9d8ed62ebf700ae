package steering_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"fairway/steering"
)

// table is a network map of a few prefixes, looked up one by one: slow, and
// easy to see to be right. The prefixes do not overlap.
type table struct {
	cells    []steering.Cell
	prefixes map[netip.Prefix]uint32
}

func (t *table) Cells() []steering.Cell { return t.cells }

func (t *table) Locate(addr netip.Addr) (uint32, int) {
	addr = addr.Unmap()
	if !addr.IsValid() {
		return 0, 0
	}
	for prefix, cell := range t.prefixes {
		if prefix.Contains(addr) {
			return cell, prefix.Bits()
		}
	}
	for bits := 0; ; bits++ { // the widest prefix that none of the others touches
		around, _ := addr.WithZone("").Prefix(bits)
		if !t.touches(around) {
			return 0, bits
		}
	}
}

func (t *table) touches(around netip.Prefix) bool {
	for prefix := range t.prefixes {
		if prefix.Overlaps(around) {
			return true
		}
	}
	return false
}

// geography has eu in 10.0.0.0/8 and 2d00::/16, its German part in 20.0.0.0/8,
// an office in 192.0.2.128/28, and the default region everywhere else.
func geography() *table {
	return &table{
		cells: []steering.Cell{
			{Region: steering.DefaultRegion},
			{Region: "eu"},
			{Region: "eu", Attributes: steering.Attributes{Country: "DE"}},
			{Region: "office"},
		},
		prefixes: map[netip.Prefix]uint32{
			netip.MustParsePrefix("10.0.0.0/8"):     1,
			netip.MustParsePrefix("2d00::/16"):      1,
			netip.MustParsePrefix("20.0.0.0/8"):     2,
			netip.MustParsePrefix("192.0.2.128/28"): 3,
		},
	}
}

// endpoints makes endpoints of one service, one per provider.
func endpoints(service string, providers ...string) []*steering.Endpoint {
	var list []*steering.Endpoint
	for _, p := range providers {
		list = append(list, &steering.Endpoint{ID: service + "/" + p, Service: service, Provider: p, Weight: 1})
	}
	return list
}

// revision has two services with one policy: German clients match rule "german",
// all others "default".
func revision() *steering.Revision {
	policy := &steering.Policy{
		Name: "main", HashV4: 24, HashV6: 56,
		Rules: []*steering.Rule{
			{Name: "german", When: func(f *steering.Facts) bool { return f.Cell.Country == "DE" }},
			{Name: "default"},
		},
	}
	service := func(key string) *steering.Service {
		return &steering.Service{
			Key: key, Hostnames: []string{key + ".video.example."}, TTL: 30 * time.Second,
			Endpoints: endpoints(key, "alpha", "bravo", "charlie", "delta"), Policy: policy,
		}
	}
	return &steering.Revision{
		Hash: "abc", Services: []*steering.Service{service("live"), service("vod")},
		Policies: []*steering.Policy{policy}, Regions: []steering.Region{{Name: "eu"}, {Name: "office"}},
	}
}

func layout(t testing.TB, r *steering.Revision) *steering.Layout {
	t.Helper()
	l, err := steering.NewLayout(r, geography())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// splitOf gives endpoints these weights, scaled to a sum of 1; those with a
// weight come first.
func splitOf(t testing.TB, list []*steering.Endpoint, weights ...float64) *steering.Split {
	t.Helper()
	sum := 0.0
	for _, w := range weights {
		sum += w
	}
	var picks, rest []steering.Candidate
	for i, w := range weights {
		c := steering.Candidate{Endpoint: list[i], Weight: w, Reason: steering.Reason{Code: steering.ReasonWeighted}}
		if w > 0 {
			c.Weight /= sum
			picks = append(picks, c)
		} else {
			rest = append(rest, c)
		}
	}
	split, err := steering.NewSplit(append(picks, rest...), 30*time.Second, steering.Reason{Code: steering.ReasonWeighted}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return split
}

// snapshotOf has one split for every group of every service.
func snapshotOf(t testing.TB, l *steering.Layout, split func(service *steering.Service, group steering.Group) *steering.Split) *steering.Snapshot {
	t.Helper()
	splits := make([][]*steering.Split, len(l.Services))
	for i, sl := range l.Services {
		for _, g := range sl.Groups {
			splits[i] = append(splits[i], split(sl.Service, g))
		}
	}
	s, err := steering.NewSnapshot(7, time.Unix(1_700_000_000, 0).UTC(), l, splits, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// weighted is a snapshot in which every group shares by the same weights.
func weighted(t testing.TB, weights ...float64) *steering.Snapshot {
	return snapshotOf(t, layout(t, revision()), func(s *steering.Service, _ steering.Group) *steering.Split {
		return splitOf(t, s.Endpoints, weights...)
	})
}

// clients are n addresses from everywhere, the same ones every time.
func clients(n int) []netip.Addr {
	r := rand.New(rand.NewPCG(1, 2))
	list := make([]netip.Addr, n)
	for i := range list {
		list[i] = netip.AddrFrom4([4]byte{byte(r.UintN(256)), byte(r.UintN(256)), byte(r.UintN(256)), byte(r.UintN(256))})
	}
	return list
}

// first returns the id of the endpoint that a client of service 0 gets.
func first(s *steering.Snapshot, q steering.Query) string {
	d := s.Decide(q)
	c, ok := d.First()
	if !ok {
		return "none"
	}
	return c.Endpoint.ID
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func ids(list []*steering.Candidate) string {
	out := ""
	for _, c := range list {
		out += fmt.Sprint(c.Endpoint.ID, " ")
	}
	return out
}
