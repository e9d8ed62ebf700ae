package policies

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/miekg/dns"

	"fairway/steering"
)

// TestWhole compiles a configuration that uses every key once, and compares
// every field of the result.
func TestWhole(t *testing.T) {
	files, err := Read("testdata/whole")
	if err != nil {
		t.Fatal(err)
	}
	c, findings := Compile(files)
	if c == nil {
		t.Fatalf("findings:\n%s", report(findings))
	}
	options := []cmp.Option{
		cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{}),
		cmpopts.IgnoreFields(steering.Rule{}, "When", "Score"), cmpopts.IgnoreFields(steering.Fence{}, "Bars"), cmpopts.IgnoreFields(steering.PathTest{}, "Match"), sameZone,
		cmpopts.IgnoreFields(steering.Revision{}, "Hash"),
	}
	want := wantWhole()
	if diff := cmp.Diff(want, c.Revision, options...); diff != "" {
		t.Errorf("revision (-want +got):\n%s", diff)
	}
	wantNode := Node{
		Listen: Listen{DNS: []string{":53", "[::1]:5353"}, DoT: []string{":853"}, HTTP: []string{"127.0.0.1:80"}, API: []string{":8400"}},
		DNS: DNS{
			Backend: "portable", NSID: "hostname",
			Cookies: DNSCookies{Mode: "require", SecretFile: "/etc/fairway/cookies"},
			Limits: DNSLimits{
				Answers: 100, Negatives: 0, Errors: 20, Slip: 3, IPv4: 28, IPv6: 48,
				Exempt:   []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
				Unsigned: 8, Signed: 0,
			},
			TCP:   DNSTCP{Connections: 500, PerClient: 20, Idle: 20 * time.Second},
			TLS:   DNSTLS{Certificate: "/etc/fairway/dot.pem", Key: "/etc/fairway/dot.key"},
			Alias: DNSAlias{Resolvers: []string{"192.0.2.53:53"}, MinTTL: 2 * time.Second, MaxTTL: time.Minute},
		},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.1/32")},
		HTTPHosts:      []string{"go.example"},
		TokenFile:      "/etc/fairway/token",
		Databases:      []string{"testdata/whole/sub/city.mmdb", "/var/lib/asn.mmdb"},
		Control:        []string{"http://127.0.0.1:8400"},
		DrainFor:       5 * time.Second,
	}
	if diff := cmp.Diff(wantNode, c.Node, options...); diff != "" {
		t.Errorf("node (-want +got):\n%s", diff)
	}
	if len(c.Revision.Hash) != 64 || c.Revision.Hash != Hash(files) {
		t.Errorf("hash = %q", c.Revision.Hash)
	}
	live := policyOf(t, c.Revision, "live")
	if r := live.Rules[0]; !r.When(&steering.Facts{Cell: &steering.Cell{Region: "de-telekom"}}) || r.When(&steering.Facts{Cell: &steering.Cell{Region: "eu"}}) {
		t.Error("the first rule matches other clients than Telekom's")
	}
	in := &steering.Inputs{Latency: 0.5, Availability: 1, Cost: 0.5}
	if got := [2]float64{live.Rules[0].Score(in), live.Rules[1].Score(in)}; got != [2]float64{1, 0.65} {
		t.Errorf("scores = %v, want the defaults' 1 and the rule's 0.65", got)
	}
}

func wantWhole() *steering.Revision {
	at := func(file string, line, col int) steering.Place {
		return steering.Place{File: "testdata/whole/" + file, Line: line, Col: col}
	}
	const cdns, pols, network = "cdns.yaml", "policies.yaml", "sub/network.yaml"
	akamai := &steering.Provider{
		Name: "akamai", Place: at(cdns, 2, 3), Headroom: 0.2, P95Gbps: 40,
		Terms: steering.Terms{
			PricePerGB: steering.Tariff{{UpToGB: 100_000, Price: 0.004}, {Price: 0.003}}, CapGbps: 800, CapRPS: 90_000,
		},
		Commit:  steering.Commit{GBMonth: 400_000, Strictness: 0.5},
		Regions: map[string]steering.Terms{"eu": {PricePerGB: steering.FlatTariff(0.005), CapGbps: 300, CapRPS: 5000}},
	}
	cloudfront := &steering.Provider{Name: "cloudfront", Place: at(cdns, 11, 3), Headroom: 0.1, Terms: steering.Terms{PricePerGB: steering.FlatTariff(0.0085)}}
	livePage := &steering.Probe{
		Name: "live-page", Type: steering.ProbeHTTPS, Path: "/live/main.m3u8?x=1", Port: 8443,
		Every: 5 * time.Second, Timeout: 2 * time.Second, Rise: 3, Fall: 2, Quorum: 1, Window: 30 * time.Second, Stale: 20 * time.Second,
		Status: []steering.StatusRange{{From: 200, To: 299}, {From: 304, To: 304}}, BodyContains: "#EXTM3U", MaxBytes: 1024,
		CAFile: "testdata/whole/ca.pem", Resolver: "192.0.2.53:53", Place: at(cdns, 33, 3),
	}
	origin := &steering.Probe{
		Name: "origin", Type: steering.ProbeTCP, Every: 5 * time.Second, Timeout: 2 * time.Second, Rise: 2, Fall: 2, Quorum: 2,
		Window: time.Minute, Stale: 17 * time.Second, Place: at(cdns, 36, 3),
	}
	live := &steering.Policy{
		Name: "live", Place: at(pols, 2, 3),
		Rules: []*steering.Rule{
			{
				Name: "telekom-peering", WhenText: `client.region == "de-telekom"`, WhenPlace: at(pols, 8, 15),
				Deny: &steering.Selector{Pools: []string{"us"}}, Prefer: []string{"akamai"},
				ScoreText: "availability", ScorePlace: at(pols, 4, 14),
				Split: steering.SplitSpec{Kind: steering.SplitWeighted, Weights: map[string]float64{"akamai": 3, "live/direct": 1}, Place: at(pols, 10, 16)},
				Place: at(pols, 7, 9),
			},
			{
				Name: "rest", Deny: &steering.Selector{Endpoints: []string{"live/direct"}},
				ScoreText: "0.6 * latency + 0.3 * availability + 0.1 * cost", ScorePlace: at(pols, 12, 16),
				Cost:  steering.CostSpec{AtMost: 0.01, TieBreak: 0.05, Commit: 0.2, Place: at(pols, 15, 15)},
				Split: steering.SplitSpec{Kind: steering.SplitWithin, Within: 0.1, Place: at(pols, 13, 16)},
				Place: at(pols, 11, 9),
			},
		},
		Switch:    steering.Switch{Margin: 0.05, Dwell: 90 * time.Second, MaxShift: 0.2, Ramp: []float64{0.01, 0.05, 0.25, 1}, RampStep: time.Minute, Brake: builtinBrake()},
		OnAllDown: steering.OnAllDown{Mode: steering.AllDownFallback, Pool: "us"},
		Degraded:  steering.DegradedAllow, Auto: builtinAuto(), Correct: 0.2, HashV4: 20, HashV6: 48,
	}
	builtinSplit := steering.SplitSpec{Kind: steering.SplitBest}
	builtin := steering.Policy{
		Name:   "default",
		Rules:  []*steering.Rule{{Name: "default", ScoreText: "latency + availability", Split: builtinSplit}},
		Switch: steering.Switch{Margin: 0.1, Dwell: time.Minute, RampStep: 30 * time.Second, Brake: builtinBrake()},
		OnAllDown: steering.OnAllDown{
			Mode: steering.AllDownAll,
		},
		Degraded: steering.DegradedAvoid, Auto: builtinAuto(), HashV4: 24, HashV6: 56,
	}
	unused := builtin
	unused.Name, unused.Place = "unused", at(pols, 21, 3)
	unused.Rules = []*steering.Rule{
		{
			Name: "only", WhenText: `client.country in ["FR", "DE"] || client.asn > 5`, WhenPlace: at(pols, 23, 28),
			ScoreText: "latency + availability", Split: builtinSplit, Place: at(pols, 23, 9),
		},
		{Name: "default", ScoreText: "latency + availability", Split: builtinSplit, Place: at(pols, 21, 3)},
	}
	return &steering.Revision{
		Currency: "EUR",
		Zones: []steering.Zone{{
			Name: "video.example.", TTL: time.Minute, NS: []string{"ns1.video.example.", "ns2.other.example."},
			SOA: steering.SOA{
				MName: "ns1.video.example.", RName: "dns.video.example.", Serial: 7, Refresh: time.Hour, Retry: 10 * time.Minute,
				Expire: 14 * 24 * time.Hour, Minimum: 30 * time.Second, TTL: time.Minute,
			},
			Records: []steering.Record{
				{Name: "ns1.video.example.", Type: dns.TypeA, TTL: time.Minute, Data: "\xc0\x00\x02\x35", Place: at(network, 17, 9)},
				{Name: "video.example.", Type: dns.TypeMX, TTL: time.Hour, Data: "\x00\x0a\x04mail\x05video\x07example\x00", Place: at(network, 18, 9)},
				{Name: "*.wild.video.example.", Type: dns.TypeTXT, TTL: time.Minute, Data: "\x09two words\x01x", Place: at(network, 19, 9)},
			},
			Place: at(network, 12, 5),
		}},
		Vantages: []steering.Vantage{
			{Name: "ber", Region: "default", Place: at(network, 9, 3)},
			{Name: "fra", Region: "eu", Bind: netip.MustParseAddr("127.0.1.10"), Place: at(network, 8, 3)},
		},
		Providers: []*steering.Provider{
			akamai,
			cloudfront,
		},
		Pools: []*steering.Pool{
			{Name: "eu", Origins: []string{"https://origin-a.eu.example"}, Place: at(cdns, 15, 3)},
			{Name: "us", Origins: []string{"https://origin-a.us.example", "https://origin-b.us.example"}, Fallback: "eu", Probe: origin, Place: at(cdns, 14, 3)},
		},
		Regions: []steering.Region{
			{
				Name: "de-telekom", Countries: []string{"DE"}, ASNs: []uint32{3320}, Subdivisions: []string{"DE-BY"}, Place: at(network, 3, 3),
			},
			{Name: "default", Pool: "us", Place: at(network, 5, 3)},
			{Name: "eu", Continents: []string{"EU"}, Pool: "eu", MeasuredBy: []string{"ber", "fra"}, Place: at(network, 2, 3)},
			{
				Name: "office", Place: at(network, 4, 3),
				Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("198.51.100.7/32")},
			},
		},
		Services: []*steering.Service{
			{
				Key: "live", Hostnames: []string{"live.video.example.", "live2.video.example."}, TTL: 30 * time.Second, TTLMin: 5 * time.Second, TTLMax: 30 * time.Second,
				Player: steering.Player{Buffer: 40 * time.Second, Segment: 4 * time.Second}, Methods: []string{"POST"},
				Endpoints: []*steering.Endpoint{
					{
						ID: "live/akamai/eu", Service: "live", Provider: "akamai", Pool: "eu", Host: "live-eu.akamaized.example.",
						URL: "https://live-eu.akamaized.example/live", Pathway: "A", Weight: 3, Account: akamai, Place: at(cdns, 25, 9),
					},
					{
						ID: "live/direct", Service: "live", Provider: "cloudfront", Pool: "us",
						Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")}, Weight: 1, Account: cloudfront, Place: at(cdns, 26, 9),
					},
				},
				Probe: livePage, Policy: live, Place: at(cdns, 21, 3),
			},
			{
				Key: "vod", TTL: 30 * time.Second, TTLMin: 5 * time.Second, TTLMax: 30 * time.Second,
				Player: steering.Player{Buffer: 30 * time.Second, Segment: 6 * time.Second},
				Endpoints: []*steering.Endpoint{{
					ID: "vod/cloudfront", Service: "vod", Provider: "cloudfront", URL: "https://d222.cloudfront.example", Weight: 1, Account: cloudfront, Place: at(cdns, 20, 9),
				}},
				Policy: &builtin, Place: at(cdns, 18, 3),
			},
		},
		Policies: []*steering.Policy{&builtin, live, &unused},
		Probing:  steering.Probing{Budget: steering.ProbeBudget{InFlight: 2048, TargetInFlight: 64}},
		Reads:    steering.Reads{Country: steering.ReadSet{Values: []string{"DE", "FR"}}, ASN: steering.ReadSet{All: true}},
	}
}

// TestOrderDoesNotMatter compiles the same files in another order and with
// another folder name: the same revision comes out.
func TestOrderDoesNotMatter(t *testing.T) {
	files, err := Read("testdata/whole")
	if err != nil {
		t.Fatal(err)
	}
	first, findings := Compile(files)
	if first == nil {
		t.Fatalf("findings:\n%s", report(findings))
	}
	backwards := []File{files[2], files[1], files[0]}
	second, _ := Compile(backwards)
	options := []cmp.Option{
		cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{}),
		cmpopts.IgnoreFields(steering.Rule{}, "When", "Score"), cmpopts.IgnoreFields(steering.Fence{}, "Bars"), cmpopts.IgnoreFields(steering.PathTest{}, "Match"), sameZone,
	}
	if diff := cmp.Diff(first.Revision, second.Revision, options...); diff != "" {
		t.Errorf("revision depends on the order of files (-first +second):\n%s", diff)
	}
}

// TestPoliciesAreShared holds services of one policy to one pointer: what
// follows is computed once for all of them.
func TestPoliciesAreShared(t *testing.T) {
	r := compileWith(t, `
services:
  a: {endpoints: [{provider: akamai, url: "https://a.example"}], policy: live}
  b: {endpoints: [{provider: akamai, url: "https://b.example"}]}
  c: {endpoints: [{provider: akamai, url: "https://c.example"}]}
`)
	a, b, c, live := r.Service("a"), r.Service("b"), r.Service("c"), r.Service("live")
	if a.Policy != live.Policy || b.Policy != c.Policy || a.Policy == b.Policy {
		t.Errorf("policies: %p %p %p %p", live.Policy, a.Policy, b.Policy, c.Policy)
	}
	if len(r.Policies) != 2 || r.Policies[0] != b.Policy || r.Policies[1] != live.Policy {
		t.Errorf("policies of the revision: %v", r.Policies)
	}
}

// TestDeclaredDefault lets a policy named default stand for services that name
// none.
func TestDeclaredDefault(t *testing.T) {
	r := compileWith(t, `
services:
  a: {endpoints: [{provider: akamai, url: "https://a.example"}]}
policies:
  default: {degraded: allow}
`)
	if p := r.Service("a").Policy; p.Degraded != steering.DegradedAllow || p != policyOf(t, r, "default") {
		t.Errorf("policy = %+v", p)
	}
}

// TestDefaults compiles as little as possible.
func TestDefaults(t *testing.T) {
	c, findings := Compile([]File{{Name: "a/x.yaml", Data: []byte("providers: {p: }\nservices: {s: {endpoints: [{provider: p, url: 'http://x.example'}]}}\nprobes:\nhttp: {}\n")}})
	if c == nil || len(findings) > 0 {
		t.Fatalf("findings:\n%s", report(findings))
	}
	want := Node{
		Listen:  Listen{DNS: []string{"127.0.0.1:5300"}, HTTP: []string{"127.0.0.1:8080"}, API: []string{"127.0.0.1:8400"}},
		DNS:     defaultDNSDoor(),
		Control: []string{"http://127.0.0.1:8400"}, DrainFor: 2 * time.Second,
	}
	if diff := cmp.Diff(want, c.Node, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("node (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]steering.Vantage{{Name: "local", Region: "default"}}, c.Revision.Vantages, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("vantages (-want +got):\n%s", diff)
	}
}
