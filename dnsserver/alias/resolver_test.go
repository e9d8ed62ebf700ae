package alias

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"fairway/dnsserver"
	"fairway/dnsserver/resolvertest"
	"fairway/steering"
	"fairway/steering/geo"
)

// TestBookWithResolver: a resolver that passes the client subnet on finds for each
// region what a CDN has for it. The CDN is a door of ours.
func TestBookWithResolver(t *testing.T) {
	internet := resolvertest.New(t)
	at := internet.Address()
	serveCDN(t, at)
	internet.Delegate("cdn.example.", map[string]netip.Addr{"ns1.cdn.example.": at})
	resolver := internet.Resolver(t, resolvertest.Unbound())

	b, err := New(Config{Resolvers: []string{resolver.Listen.String()}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- b.Run(ctx) }()
	defer func() { stop(); <-done }()
	b.Set([]Target{target("eu", "192.0.2.0/24"), target("na", "198.51.100.0/24")})
	for region, want := range map[string]string{"eu": "203.0.113.1", "na": "203.0.113.2"} {
		began := time.Now()
		for {
			found, ok := b.Behind(host, region)
			if ok && slices.Equal(found.IPv4, []netip.Addr{netip.MustParseAddr(want)}) && !found.Stale && found.TTL <= 20*time.Second {
				break
			}
			if time.Since(began) > time.Minute {
				t.Fatalf("%s: %+v, want %s", region, found, want)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// serveCDN runs a door that steers the host by the client's network.
func serveCDN(t *testing.T, at netip.Addr) {
	t.Helper()
	policy := &steering.Policy{Name: "p", HashV4: 24, HashV6: 56, Rules: []*steering.Rule{{Name: "all"}}}
	edge := &steering.Service{Key: "edge", Hostnames: []string{host}, TTL: 20 * time.Second, Policy: policy}
	revision := &steering.Revision{
		Hash: "cdn", Services: []*steering.Service{edge}, Policies: []*steering.Policy{policy},
		Zones: []steering.Zone{{
			Name: "cdn.example.", TTL: time.Minute, NS: []string{"ns1.cdn.example."},
			SOA:     steering.SOA{MName: "ns1.cdn.example.", RName: "host.cdn.example.", Serial: 1, Minimum: time.Minute, TTL: time.Minute},
			Records: []steering.Record{{Name: "ns1.cdn.example.", Type: 1, TTL: time.Minute, Data: string(at.AsSlice())}},
		}},
		Regions: []steering.Region{
			{Name: "eu", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
			{Name: "na", Prefixes: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}},
		},
	}
	for provider, address := range map[string]string{"eu": "203.0.113.1", "na": "203.0.113.2"} {
		edge.Endpoints = append(edge.Endpoints, &steering.Endpoint{
			ID: "edge/" + provider, Service: "edge", Provider: provider, Addresses: []netip.Addr{netip.MustParseAddr(address)}, Weight: 1,
		})
	}
	table, _, err := geo.Compile(geo.Config{Regions: revision.Regions})
	if err != nil {
		t.Fatal(err)
	}
	layout, err := steering.NewLayout(revision, table)
	if err != nil {
		t.Fatal(err)
	}
	var splits []*steering.Split
	for _, g := range layout.Services[0].Groups {
		i := max(0, slices.IndexFunc(edge.Endpoints, func(e *steering.Endpoint) bool { return e.Provider == g.Region }))
		split, err := steering.NewSplit([]steering.Candidate{{Endpoint: edge.Endpoints[i], Weight: 1}}, edge.TTL, steering.Reason{Code: steering.ReasonBest}, nil)
		if err != nil {
			t.Fatal(err)
		}
		splits = append(splits, split)
	}
	snapshot, err := steering.NewSnapshot(1, time.Now(), layout, [][]*steering.Split{splits}, nil)
	if err != nil {
		t.Fatal(err)
	}
	current, _ := steering.NewCurrent(snapshot)
	s, err := dnsserver.New(dnsserver.Config{Listen: []string{netip.AddrPortFrom(at, 53).String()}, Current: current})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Prepare(layout); err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
}
