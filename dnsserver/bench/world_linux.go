package main

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/miekg/dns"

	"fairway/steering"
	"fairway/steering/geo"
)

// The world that every server answers for: www.cdn.example is a CNAME to one of
// four CDNs, by a map of IPv4 in /16 networks.
const (
	zoneName  = "cdn.example."
	asked     = "www." + zoneName
	answerTTL = 30 * time.Second
)

func cdns() []string { return []string{"a", "b", "c", "d"} }

func hostOf(cdn string) string { return "cdn-" + cdn + ".example.net." }

// network is a part of the map.
type network struct {
	prefix netip.Prefix
	cdn    string
}

// networks is the map, the same every time.
func networks() (out []network) {
	random := rand.New(rand.NewPCG(16, 4))
	for high := 1; high < 224; high++ {
		for low := range 256 {
			address := netip.AddrFrom4([4]byte{byte(high), byte(low)})
			out = append(out, network{netip.PrefixFrom(address, 16), cdns()[random.IntN(len(cdns()))]})
		}
	}
	return out
}

// snapshot is the world for our doors.
func snapshot() (*steering.Snapshot, error) {
	byCDN := make(map[string][]netip.Prefix)
	for _, n := range networks() {
		byCDN[n.cdn] = append(byCDN[n.cdn], n.prefix)
	}
	policy := &steering.Policy{Name: "bench", HashV4: 24, HashV6: 56, Rules: []*steering.Rule{{Name: "all"}}}
	service := &steering.Service{Key: "www", Hostnames: []string{asked}, TTL: answerTTL, Policy: policy}
	revision := &steering.Revision{Hash: "bench", Zones: []steering.Zone{zone()}, Services: []*steering.Service{service}, Policies: []*steering.Policy{policy}}
	for _, cdn := range cdns() {
		revision.Regions = append(revision.Regions, steering.Region{Name: cdn, Prefixes: byCDN[cdn]})
		service.Endpoints = append(service.Endpoints, &steering.Endpoint{ID: "www/" + cdn, Service: "www", Provider: cdn, Host: hostOf(cdn), Weight: 1})
	}
	table, _, err := geo.Compile(geo.Config{Regions: revision.Regions})
	if err != nil {
		return nil, err
	}
	layout, err := steering.NewLayout(revision, table)
	if err != nil {
		return nil, err
	}
	var splits []*steering.Split
	for _, g := range layout.Services[0].Groups {
		at := max(0, strings.Index("abcd", g.Region))
		split, err := steering.NewSplit([]steering.Candidate{{Endpoint: service.Endpoints[at], Weight: 1}}, answerTTL, steering.Reason{Code: steering.ReasonOnly}, nil)
		if err != nil {
			return nil, err
		}
		splits = append(splits, split)
	}
	return steering.NewSnapshot(1, time.Now(), layout, [][]*steering.Split{splits}, nil)
}

func zone() steering.Zone {
	return steering.Zone{
		Name: zoneName, TTL: answerTTL, NS: []string{"ns1." + zoneName},
		SOA: steering.SOA{
			MName: "ns1." + zoneName, RName: "host." + zoneName, Serial: 1, Refresh: 2 * time.Hour, Retry: 30 * time.Minute,
			Expire: 72 * time.Hour, Minimum: 15 * time.Minute, TTL: answerTTL,
		},
	}
}

// continentOf stands for a CDN where a server reads its map from a geo database.
func continentOf(cdn string) string {
	return map[string]string{"a": "na", "b": "eu", "c": "as", "d": "sa"}[cdn]
}

// geoDatabase is the map as a geo database.
func geoDatabase() (string, error) {
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-City", RecordSize: 28, IncludeReservedNetworks: true})
	if err != nil {
		return "", err
	}
	for _, n := range networks() {
		record := mmdbtype.Map{"continent": mmdbtype.Map{"code": mmdbtype.String(strings.ToUpper(continentOf(n.cdn)))}}
		prefix := net.IPNet{IP: n.prefix.Addr().AsSlice(), Mask: net.CIDRMask(n.prefix.Bits(), 32)}
		if err := tree.Insert(&prefix, record); err != nil {
			return "", err
		}
	}
	var b strings.Builder
	_, err = tree.WriteTo(&b)
	return b.String(), err
}

// query is one packet with the first octets of the CNAME that must come back.
type query struct {
	packet []byte
	target string
}

// makeQueries gives one query for each of many /24 networks, with their index as
// id.
func makeQueries() []query {
	random := rand.New(rand.NewPCG(24, 8))
	all := networks()
	out := make([]query, 1<<16)
	for i := range out {
		n := all[random.IntN(len(all))]
		address := n.prefix.Addr().As4()
		address[2] = byte(random.Uint32())
		m := new(dns.Msg)
		m.SetQuestion(asked, dns.TypeA)
		m.Id, m.RecursionDesired = uint16(i), false
		m.SetEdns0(1232, false)
		opt := m.IsEdns0()
		opt.Option = append(opt.Option, &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: address[:]})
		packet, err := m.Pack()
		if err != nil {
			panic(err)
		}
		out[i] = query{packet, "cdn-" + n.cdn}
	}
	return out
}
