package dnsserver

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
	"fairway/steering/geo"
)

// wideServer steers many services in many regions, each of which has an endpoint of its
// own for each service.
func wideServer(t testing.TB, services, regions int) *Server {
	t.Helper()
	policy := &steering.Policy{Name: "wide", HashV4: 24, HashV6: 56, Rules: []*steering.Rule{{Name: "all"}}}
	revision := &steering.Revision{Hash: "wide", Zones: []steering.Zone{zoneOf("fairway.test.", "www 0 A 192.0.2.80\n")}, Policies: []*steering.Policy{policy}}
	for i := range regions {
		revision.Regions = append(revision.Regions, steering.Region{Name: fmt.Sprintf("r%d", i), Prefixes: []netip.Prefix{wideNetwork(i)}})
	}
	for i := range services {
		s := &steering.Service{Key: fmt.Sprintf("s%d", i), Hostnames: []string{fmt.Sprintf("s%d.fairway.test.", i)}, TTL: 30 * time.Second, Policy: policy}
		for _, cdn := range []string{"a", "b", "c", "d"} {
			s.Endpoints = append(s.Endpoints, &steering.Endpoint{ID: s.Key + "/" + cdn, Service: s.Key, Provider: cdn, Host: fmt.Sprintf("s%d.cdn-%s.example.", i, cdn), Weight: 1})
		}
		revision.Services = append(revision.Services, s)
	}
	table, _, err := geo.Compile(geo.Config{Regions: revision.Regions})
	if err != nil {
		t.Fatal(err)
	}
	layout, err := steering.NewLayout(revision, table)
	if err != nil {
		t.Fatal(err)
	}
	splits := make([][]*steering.Split, services)
	for i, sl := range layout.Services {
		var one []*steering.Split
		for _, e := range sl.Service.Endpoints {
			split, err := steering.NewSplit([]steering.Candidate{{Endpoint: e, Weight: 1}}, 30*time.Second, steering.Reason{Code: steering.ReasonOnly}, nil)
			if err != nil {
				t.Fatal(err)
			}
			one = append(one, split)
		}
		for g := range sl.Groups {
			splits[i] = append(splits[i], one[(i+g)%len(one)])
		}
	}
	snapshot, err := steering.NewSnapshot(1, time.Unix(1700000000, 0), layout, splits, nil)
	if err != nil {
		t.Fatal(err)
	}
	current, _ := steering.NewCurrent(snapshot)
	s, err := New(Config{Listen: []string{"127.0.0.1:0"}, Current: current, Limits: Limits{Answers: 1e9, Negatives: 1e9, Errors: 1e9, Slip: 2, Amplification: 5, SignedAmplification: 12}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Prepare(layout); err != nil {
		t.Fatal(err)
	}
	return s
}

func wideNetwork(region int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(11 + region/200), byte(region % 200)}), 16)
}

// BenchmarkAhead is an answer from a large world, all services and regions alike, as
// batches bring them: answered one by one, and looked ahead over.
func BenchmarkAhead(b *testing.B) {
	const services, regions = 10_000, 250
	s, random := wideServer(b, services, regions), rand.New(rand.NewPCG(1, 2))
	var packets [1 << 16][]byte
	for i := range packets {
		network := wideNetwork(random.IntN(regions)).Addr().As4()
		network[2] = byte(random.Uint32())
		packet, err := query(fmt.Sprintf("s%d.fairway.test.", random.IntN(services)), dns.TypeA, withClient(netip.PrefixFrom(netip.AddrFrom4(network), 24).String())).Pack()
		if err != nil {
			b.Fatal(err)
		}
		packets[i] = packet
	}
	client := netip.MustParseAddr(inEU)
	for _, batch := range []int{0, 8, 32, 64} {
		b.Run(fmt.Sprint(batch), func(b *testing.B) {
			m := newScratch()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if batch > 0 && i%batch == 0 {
					for j := range batch {
						s.expect(m, packets[(i+j)%len(packets)], client)
					}
					s.lookAhead(m)
				}
				if s.respond(m, packets[i%len(packets)], client, transportUDP) == nil {
					b.Fatal("declined")
				}
			}
		})
	}
}
