package main

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

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

// gdnsdConfig is the world for gdnsd.
func gdnsdConfig(listen, folder string, threads int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "options => { listen => %s, udp_threads => %d, tcp_threads => 1, run_dir => %q, state_dir => %q, edns_client_subnet => true }\n",
		listen, threads, folder+"/run", folder+"/state")
	b.WriteString("plugins => { geoip => { maps => { m => { datacenters => [a, b, c, d], nets => {\n")
	for _, n := range networks() {
		fmt.Fprintf(&b, "%s => [%s]\n", n.prefix, n.cdn)
	}
	b.WriteString("} } }\nresources => { www => { map => m, service_types => up, dcmap => {\n")
	for _, cdn := range cdns() {
		fmt.Fprintf(&b, "%s => %s\n", cdn, hostOf(cdn))
	}
	b.WriteString("} } } } }\n")
	return b.String()
}

const gdnsdZone = "$TTL 30\n@ SOA ns1 host 1 7200 1800 259200 900\n@ NS ns1\nns1 A 192.0.2.1\nwww 30 DYNC geoip!www\n"

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
