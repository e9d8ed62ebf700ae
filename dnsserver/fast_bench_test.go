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

// benchServer steers live by continent and vod by weight, over the embedded
// country table, among so many static names.
func benchServer(b *testing.B, names int) *Server {
	b.Helper()
	var regions []steering.Region
	choice := make(map[string]string)
	for i, continent := range []string{"EU", "NA", "AS", "SA", "AF", "OC"} {
		regions = append(regions, steering.Region{Name: continent, Continents: []string{continent}})
		choice[continent] = []string{"alpha", "bravo", "charlie", "delta"}[i%4]
	}
	table, _, err := geo.Compile(geo.Config{Regions: regions})
	if err != nil {
		b.Fatal(err)
	}
	zone := zoneOf("fairway.test.", "www 0 A 192.0.2.80\n")
	for i := range names {
		zone.Records = append(zone.Records, steering.Record{Name: fmt.Sprintf("host%d.fairway.test.", i), Type: dns.TypeA, TTL: time.Minute, Data: "\xc0\x00\x02\x01"})
	}
	offers := func() []*steering.Endpoint {
		return []*steering.Endpoint{
			hosted("alpha", "e.alpha.example."), hosted("bravo", "e.bravo.example."), hosted("charlie", "e.charlie.example."), hosted("delta", "e.delta.example."),
		}
	}
	revision := &steering.Revision{
		Hash: "b", Zones: []steering.Zone{zone}, Regions: regions,
		Services: []*steering.Service{service("live", offers()...), service("vod", offers()...)},
	}
	layout, err := steering.NewLayout(revision, table)
	if err != nil {
		b.Fatal(err)
	}
	var splits [][]*steering.Split
	for i, split := range []func(string, *steering.Service) *steering.Split{only(choice), static} {
		var groups []*steering.Split
		for _, g := range layout.Services[i].Groups {
			groups = append(groups, split(g.Region, revision.Services[i]))
		}
		splits = append(splits, groups)
	}
	snapshot, err := steering.NewSnapshot(1, time.Unix(1700000000, 0), layout, splits, nil)
	if err != nil {
		b.Fatal(err)
	}
	current, _ := steering.NewCurrent(snapshot)
	s, err := New(Config{
		Listen: []string{"127.0.0.1:0"}, Current: current,
		Limits: Limits{Answers: 1e9, Negatives: 1e9, Errors: 1e9, Slip: 2, Amplification: 5, SignedAmplification: 12},
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Prepare(layout); err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkFast is the answer function, octets in and octets out, for clients
// all over the world.
func BenchmarkFast(b *testing.B) {
	s := benchServer(b, 0)
	random := rand.New(rand.NewPCG(1, 2))
	anywhere := func(m *dns.Msg) {
		withClient(netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(1 + random.IntN(223)), byte(random.Uint32()), byte(random.Uint32())}), 24).String())(m)
	}
	for _, c := range []struct {
		what, name string
		change     func(*dns.Msg)
	}{
		{"steered", "live.fairway.test.", anywhere},
		{"cookie", "live.fairway.test.", func(m *dns.Msg) { anywhere(m); withOption(dns.EDNS0COOKIE, 1, 2, 3, 4, 5, 6, 7, 8)(m) }},
		{"weighted", "vod.fairway.test.", anywhere},
		{"static", "www.fairway.test.", withEDNS(1232)},
		{"missing", "nothing.fairway.test.", withEDNS(1232)},
	} {
		b.Run(c.what, func(b *testing.B) {
			benchFast(b, s, func(int) *dns.Msg { return query(c.name, dns.TypeA, c.change) })
		})
	}
}

// BenchmarkSigned is what proof adds: the same zone, names and clients, with and
// without DO.
func BenchmarkSigned(b *testing.B) {
	s, _ := newSignedServer(b)
	for _, name := range []string{"live", "www", "nothing"} {
		for what, change := range map[string]func(*dns.Msg){"plain": withEDNS(1232), "DO": withDO} {
			b.Run(name+"/"+what, func(b *testing.B) {
				benchFast(b, s, func(int) *dns.Msg {
					return query(name+".fairway.test.", dns.TypeA, func(m *dns.Msg) { change(m); withClient("198.51.100.0/24")(m) })
				})
			})
		}
	}
}

// BenchmarkFastNames is the same among many static names, all of which are asked.
func BenchmarkFastNames(b *testing.B) {
	for _, count := range []int{1_000, 100_000} {
		s := benchServer(b, count)
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			benchFast(b, s, func(i int) *dns.Msg {
				return query(fmt.Sprintf("host%d.fairway.test.", i*7919%count), dns.TypeA, withEDNS(1232))
			})
		})
	}
}

func benchFast(b *testing.B, s *Server, ask func(i int) *dns.Msg) {
	var packets [1 << 14][]byte
	for i := range packets {
		packet, err := ask(i).Pack()
		if err != nil {
			b.Fatal(err)
		}
		packets[i] = packet
	}
	m, client := newScratch(), netip.MustParseAddr(inEU)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if s.exchangeFast(m, packets[i%len(packets)], client, transportUDP) == nil {
			b.Fatal("declined")
		}
	}
}

// BenchmarkExchange is what a back end calls, with the guard and its limits.
func BenchmarkExchange(b *testing.B) {
	s := benchServer(b, 0)
	packet, err := query("live.fairway.test.", dns.TypeA, withClient("198.51.100.0/24")).Pack()
	if err != nil {
		b.Fatal(err)
	}
	m := newScratch()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		client := netip.AddrFrom4([4]byte{10, byte(i >> 12), byte(i >> 4), 1})
		if s.respond(m, packet, client, transportUDP) == nil {
			b.Fatal("no answer")
		}
	}
}

// BenchmarkPrepare is the price of a reload: a zone of 10,000 static names.
func BenchmarkPrepare(b *testing.B) {
	layout := benchServer(b, 10_000).current.Load().Layout
	b.ReportAllocs()
	for b.Loop() {
		compile(layout, nil, nil, nil)
	}
}

// BenchmarkPrepareNames is the part of it that the fast path costs.
func BenchmarkPrepareNames(b *testing.B) {
	layout := benchServer(b, 10_000).current.Load().Layout
	zones := compile(layout, nil, nil, nil)
	b.ReportAllocs()
	for b.Loop() {
		b.ReportMetric(float64(len(prepareNames(zones).octets))/10_000, "octets/name")
	}
}
