package dnsserver

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/dnsserver/resolvertest"
	"fairway/steering"
)

// resolved is an internet in which our door is the name server of video.example,
// which steers, and of cdn.example, where the CDNs are. Another door of ours has
// the delegated child.video.example.
type resolved struct {
	*resolvertest.Internet
	server *Server
	asked  *counting
}

// The regions of its clients; resolvers are in the region home.
var resolvedRegions = map[string]string{
	"192.0.0.0/16": "eu", "198.51.0.0/16": "na", "2001:db8::/33": "eu", "2001:db8:8000::/33": "na", "127.0.0.0/8": "home",
}

const resolvedZone = `
@      0 MX    10 mail
mail   0 A     192.0.2.25
www    0 A     192.0.2.80
www    0 AAAA  2001:db8::80
alias  0 CNAME www
*.wild 0 A     192.0.2.99
x.tame.wild 0 TXT "tame"
child  0 NS    ns.child
`

const resolvedCDNs = `
eu   0 A    203.0.113.1
eu   0 AAAA 2001:db8::1
na   0 A    203.0.113.2
na   0 AAAA 2001:db8::2
home 0 A    203.0.113.3
home 0 AAAA 2001:db8::3
`

func newResolved(t *testing.T) *resolved {
	t.Helper()
	r := &resolved{Internet: resolvertest.New(t), asked: &counting{}}
	address, child := r.Address(), r.Address()

	video := zoneOf("video.example.", resolvedZone)
	video.Records = append(video.Records, recordIn("video.example.", "ns1 300 A "+address.String()), recordIn("video.example.", "ns.child 300 A "+child.String()))
	for i := range 60 {
		video.Records = append(video.Records, recordIn("video.example.", fmt.Sprintf("big 300 TXT %d-%s", i, strings.Repeat("x", 40))))
	}
	cdn := zoneOf("cdn.example.", resolvedCDNs)
	cdn.Records = append(cdn.Records, recordIn("cdn.example.", "ns1 300 A "+address.String()))
	video.NS, cdn.NS = []string{"ns1.video.example."}, []string{"ns1.cdn.example."}
	live := service("live", hosted("eu", "eu.cdn.example."), hosted("na", "na.cdn.example."), hosted("home", "home.cdn.example."))
	shop := service("shop", addressed("eu", "203.0.113.11", "2001:db8::11"), addressed("na", "203.0.113.12", "2001:db8::12"), addressed("home", "203.0.113.13", "2001:db8::13"))
	vod := service("vod", hosted("eu", "eu.cdn.example."), hosted("na", "na.cdn.example."))
	byRegion := only(map[string]string{"eu": "eu", "na": "na", "home": "home"})
	w := &world{
		revision: &steering.Revision{Hash: "resolved", Zones: []steering.Zone{video, cdn}, Services: []*steering.Service{live, shop, vod}},
		table:    newPrefixTable(resolvedRegions),
		split:    map[string]func(string, *steering.Service) *steering.Split{"live": byRegion, "shop": byRegion, "vod": static},
	}
	for _, s := range w.revision.Services {
		s.Hostnames = []string{s.Key + ".video.example."}
	}
	r.server = serveWorld(t, w, address, r.asked)

	below := zoneOf("child.video.example.", "www 0 A 192.0.2.201\n")
	below.NS, below.SOA.MName = []string{"ns.child.video.example."}, "ns.child.video.example."
	below.Records = append(below.Records, recordIn(below.Name, "ns 300 A "+child.String()))
	serveWorld(t, &world{revision: &steering.Revision{Hash: "child", Zones: []steering.Zone{below}}, table: newPrefixTable(nil)}, child, nil)

	r.Delegate("video.example.", map[string]netip.Addr{"ns1.video.example.": address})
	r.Delegate("cdn.example.", map[string]netip.Addr{"ns1.cdn.example.": address})
	return r
}

// serveWorld runs a door at port 53 of an address until the test ends.
func serveWorld(t *testing.T, w *world, at netip.Addr, observer Observer) *Server {
	t.Helper()
	layout := w.layout(t)
	current, _ := steering.NewCurrent(w.snapshot(t, layout, 1))
	s, err := New(Config{Listen: []string{netip.AddrPortFrom(at, 53).String()}, Current: current, Observer: observer})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Prepare(layout); err != nil {
		t.Fatal(err)
	}
	start(t, s)
	return s
}

// counting counts the decisions that were handed out, by endpoint.
type counting struct {
	mu      sync.Mutex
	decided map[string]int
}

func (c *counting) Decided(_ string, d *steering.Decision) {
	first, ok := d.First()
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.decided == nil {
		c.decided = make(map[string]int)
	}
	c.decided[first.Endpoint.ID]++
}

func (c *counting) Answered(string, string, string, int) {}
func (c *counting) Took(string, int, time.Duration)      {}

func (c *counting) of(id string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.decided[id]
}

// TestResolvers: the resolvers that players use find everything that we serve.
// Those that send client subnets keep clients apart; the others get the answer for
// where they are themselves.
func TestResolvers(t *testing.T) {
	for _, kind := range resolvertest.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			world := newResolved(t)
			r := world.Resolver(t, kind)
			t.Run("static", func(t *testing.T) { resolveStatic(t, r) })
			if kind.Subnets {
				t.Run("subnets", func(t *testing.T) { resolveSubnets(t, world, r) })
			} else {
				t.Run("own address", func(t *testing.T) { resolveOwn(t, r) })
			}
		})
	}
}

func resolveStatic(t *testing.T, r *resolvertest.Resolver) {
	for _, c := range []struct {
		name  string
		qtype uint16
		want  string // rcode and the data of the answer's last records
	}{
		{"www.video.example.", dns.TypeA, "NOERROR 192.0.2.80"},
		{"WwW.video.example.", dns.TypeAAAA, "NOERROR 2001:db8::80"},
		{"alias.video.example.", dns.TypeA, "NOERROR www.video.example. 192.0.2.80"},
		{"video.example.", dns.TypeMX, "NOERROR 10 mail.video.example."},
		{"www.video.example.", dns.TypeTXT, "NOERROR"},
		{"tame.wild.video.example.", dns.TypeA, "NOERROR"}, // RFC 4592 §2.2.2: an empty non-terminal
		{"nothing.video.example.", dns.TypeA, "NXDOMAIN"},
		{"below.www.video.example.", dns.TypeA, "NXDOMAIN"},
		{"any.wild.video.example.", dns.TypeA, "NOERROR 192.0.2.99"},
		{"a.b.wild.video.example.", dns.TypeA, "NOERROR 192.0.2.99"},
		{"below.tame.wild.video.example.", dns.TypeA, "NXDOMAIN"}, // RFC 4592 §3.3.1: the closest encloser has no wildcard
		{"www.child.video.example.", dns.TypeA, "NOERROR 192.0.2.201"},
		{"nothing.child.video.example.", dns.TypeA, "NXDOMAIN"},
	} {
		if got := told(r.Ask(c.name, c.qtype)); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.name, dns.Type(c.qtype), got, c.want)
		}
	}
	// Far more than fits a packet.
	if got := r.Ask("big.video.example.", dns.TypeTXT); len(got.Answer) != 60 {
		t.Errorf("big: %s with %d records", rcodeLabel(got.Rcode), len(got.Answer))
	}
}

// resolveSubnets asks as clients of two regions by turns, so that each answer
// would come from the other's cache entry if the scopes were wrong.
func resolveSubnets(t *testing.T, world *resolved, r *resolvertest.Resolver) {
	type client struct{ network, live, live6, shop, shop6, endpoint string }
	eu := client{"192.0.2.0/24", "203.0.113.1", "2001:db8::1", "203.0.113.11", "2001:db8::11", "eu"}
	na := client{"198.51.100.0/24", "203.0.113.2", "2001:db8::2", "203.0.113.12", "2001:db8::12", "na"}
	eu6, na6 := eu, na
	eu6.network, na6.network = "2001:db8:1::/56", "2001:db8:8001::/56"
	for round := range 2 {
		asked := world.asked.of("shop/eu")
		for _, c := range []client{eu, na, eu6, na6} {
			from := resolvertest.From(c.network)
			for _, q := range []struct {
				name  string
				qtype uint16
				want  string
			}{
				{"live.video.example.", dns.TypeA, c.endpoint + ".cdn.example. " + c.live},
				{"live.video.example.", dns.TypeAAAA, c.endpoint + ".cdn.example. " + c.live6},
				{"shop.video.example.", dns.TypeA, c.shop},
				{"shop.video.example.", dns.TypeAAAA, c.shop6},
			} {
				if got := told(r.Ask(q.name, q.qtype, from)); got != "NOERROR "+q.want {
					t.Errorf("%s %s from %s: %s, want %s", q.name, dns.Type(q.qtype), c.network, got, q.want)
				}
			}
		}
		if now := world.asked.of("shop/eu"); round == 1 && now != asked {
			t.Errorf("asked us again %d times for what it was told with a scope", now-asked)
		}
	}
	// A client of another network that the scope covers is answered from the cache.
	before := world.asked.of("shop/eu")
	if got := told(r.Ask("shop.video.example.", dns.TypeA, resolvertest.From("192.0.77.0/24"))); got != "NOERROR 203.0.113.11" {
		t.Errorf("a client beside it: %s", got)
	}
	if after := world.asked.of("shop/eu"); after != before {
		t.Errorf("asked us again for a client beside it")
	}
	// A split by weight: each network has its own, as we say without a resolver.
	for i := range 20 {
		network := fmt.Sprintf("192.0.%d.0/24", i)
		direct := world.server.Answer(query("vod.video.example.", dns.TypeA, withClient(network)), netip.Addr{}, transportUDP)
		want := direct.Answer[0].(*dns.CNAME).Target
		if got := told(r.Ask("vod.video.example.", dns.TypeA, resolvertest.From(network))); !strings.HasPrefix(got, "NOERROR "+want) {
			t.Errorf("vod from %s: %s, want %s", network, got, want)
		}
	}
}

func resolveOwn(t *testing.T, r *resolvertest.Resolver) {
	for _, c := range []struct {
		name  string
		qtype uint16
		want  string
	}{
		{"live.video.example.", dns.TypeA, "home.cdn.example. 203.0.113.3"},
		{"live.video.example.", dns.TypeAAAA, "home.cdn.example. 2001:db8::3"},
		{"shop.video.example.", dns.TypeA, "203.0.113.13"},
	} {
		if got := told(r.Ask(c.name, c.qtype, resolvertest.From("192.0.2.0/24"))); got != "NOERROR "+c.want {
			t.Errorf("%s %s: %s, want %s", c.name, dns.Type(c.qtype), got, c.want)
		}
	}
}

// told is an answer in few words: the code, and the data of its records.
func told(m *dns.Msg) string {
	out := rcodeLabel(m.Rcode)
	for _, rr := range m.Answer {
		out += " " + strings.TrimPrefix(rr.String(), rr.Header().String())
	}
	return out
}
