package dnsserver

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// prefixTable is a slow network map: a list of prefixes, the longest wins.
type prefixTable struct {
	cells    []steering.Cell
	prefixes []mappedPrefix
	bomb     netip.Addr // locating it panics
}

type mappedPrefix struct {
	prefix netip.Prefix
	cell   uint32
}

func newPrefixTable(regions map[string]string) *prefixTable {
	t := &prefixTable{cells: []steering.Cell{{Region: steering.DefaultRegion}}, bomb: netip.MustParseAddr("203.0.113.66")}
	for prefix, region := range regions {
		cell := slices.IndexFunc(t.cells, func(c steering.Cell) bool { return c.Region == region })
		if cell < 0 {
			cell = len(t.cells)
			t.cells = append(t.cells, steering.Cell{Region: region})
		}
		t.prefixes = append(t.prefixes, mappedPrefix{netip.MustParsePrefix(prefix), uint32(cell)})
	}
	return t
}

func (t *prefixTable) Cells() []steering.Cell { return t.cells }

// Locate widens the prefix around addr only as far as no other prefix is inside.
func (t *prefixTable) Locate(addr netip.Addr) (cell uint32, bits int) {
	if !addr.IsValid() {
		return 0, 0
	}
	addr = addr.Unmap()
	if addr == t.bomb {
		panic("bomb")
	}
	longest := -1
	for _, m := range t.prefixes {
		if m.prefix.Contains(addr) && m.prefix.Bits() > longest {
			longest, cell = m.prefix.Bits(), m.cell
		}
	}
	for bits = max(longest, 0); ; bits++ {
		around, _ := addr.Prefix(bits)
		if !slices.ContainsFunc(t.prefixes, func(m mappedPrefix) bool {
			return m.prefix.Bits() > longest && around.Overlaps(m.prefix)
		}) {
			return cell, bits
		}
	}
}

// world is a revision with splits chosen by region.
type world struct {
	revision *steering.Revision
	table    *prefixTable
	split    map[string]func(region string, s *steering.Service) *steering.Split
}

var regions = map[string]string{
	"127.0.0.0/8": "eu", "::1/128": "eu",
	"192.0.2.0/24": "eu", "198.51.100.0/24": "na",
	"10.0.0.0/8": "na", "10.1.0.0/16": "eu", "10.1.128.0/17": "as", "10.1.200.4/30": "na",
	"2001:db8::/32": "eu", "2001:db8:1::/48": "na", "2001:db8:1:8000::/49": "as",
}

const (
	inEU = "192.0.2.7"
	inNA = "198.51.100.7"
)

func service(key string, endpoints ...*steering.Endpoint) *steering.Service {
	policy := &steering.Policy{Name: "p", HashV4: 24, HashV6: 56, Rules: []*steering.Rule{{Name: "all"}}}
	s := &steering.Service{
		Key: key, Hostnames: []string{key + ".fairway.test."}, TTL: 20 * time.Second, Policy: policy,
		Endpoints: endpoints, Place: steering.Place{File: "f.yaml", Line: 7},
	}
	for _, e := range endpoints {
		e.ID = key + "/" + e.Provider
		e.Service = key
		e.Weight = 1
	}
	return s
}

func hosted(provider, host string) *steering.Endpoint {
	return &steering.Endpoint{Provider: provider, Host: host}
}

func addressed(provider string, addresses ...string) *steering.Endpoint {
	e := &steering.Endpoint{Provider: provider}
	for _, a := range addresses {
		e.Addresses = append(e.Addresses, netip.MustParseAddr(a))
	}
	return e
}

// only gives everything to one endpoint per region; the rest of the world gets
// the first.
func only(byRegion map[string]string) func(string, *steering.Service) *steering.Split {
	return func(region string, s *steering.Service) *steering.Split {
		at := max(0, slices.IndexFunc(s.Endpoints, func(e *steering.Endpoint) bool { return e.Provider == byRegion[region] }))
		return mustSplit(s.TTL, steering.Candidate{Endpoint: s.Endpoints[at], Weight: 1})
	}
}

func static(_ string, s *steering.Service) *steering.Split { return steering.StaticSplit(s) }

func mustSplit(ttl time.Duration, candidates ...steering.Candidate) *steering.Split {
	split, err := steering.NewSplit(candidates, ttl, steering.Reason{Code: steering.ReasonBest}, nil)
	if err != nil {
		panic(err)
	}
	return split
}

// records parses zone-file-like lines "name TTL type value", names relative to
// the zone, TTL 0 for 300.
func records(zone string, lines string) (out []steering.Record) {
	number := 0
	for line := range strings.Lines(lines) {
		number++
		fields := strings.Fields(line)
		if len(fields) < 4 {
			continue
		}
		name := zone
		if fields[0] != "@" {
			name = fields[0] + "." + zone
		}
		if fields[1] == "0" {
			fields[1] = "300"
		}
		r := recordIn(zone, name+" "+strings.Join(fields[1:], " "))
		r.Place = steering.Place{File: "z.yaml", Line: number}
		out = append(out, r)
	}
	return out
}

// recordIn parses a line of a zone file; other names in it may be relative to the
// zone.
func recordIn(zone, line string) steering.Record {
	parser := dns.NewZoneParser(strings.NewReader(line+"\n"), zone, "")
	rr, ok := parser.Next()
	if !ok {
		panic(fmt.Sprintf("%s: %v", line, parser.Err()))
	}
	r, err := Pack(rr, steering.Place{File: "z.yaml"})
	if err != nil {
		panic(err)
	}
	return *r
}

func zoneOf(name, lines string) steering.Zone {
	return steering.Zone{
		Name: name, TTL: 300 * time.Second, NS: []string{"ns1." + name, "ns2." + name},
		SOA: steering.SOA{
			MName: "ns1." + name, RName: "hostmaster." + name, Refresh: time.Hour, Retry: 10 * time.Minute,
			Expire: 24 * time.Hour, Minimum: 60 * time.Second, TTL: 900 * time.Second,
		},
		Records: records(name, lines),
		Place:   steering.Place{File: "z.yaml", Line: 1},
	}
}

const fairwayZone = `
ns1      0 A     192.0.2.53
ns1      0 AAAA  2001:db8::53
ns2      0 A     198.51.100.53
@        0 MX    10 mail
@        0 CAA   0 issue "ca.example"
mail     0 A     192.0.2.25
www      0 A     192.0.2.80
www      0 A     192.0.2.81
www      0 AAAA  2001:db8::80
edge     0 A     192.0.2.90
edge     0 AAAA  2001:db8::90
alias    0 CNAME www
chain1   0 CNAME chain2
chain2   0 CNAME www.other.test.
dangling 0 CNAME nothing
tolive   0 CNAME live
out      0 CNAME elsewhere.example.
loop1    0 CNAME loop2
loop2    0 CNAME loop1
into     0 CNAME host.sub
srv      0 SRV   0 5 443 www
https    0 HTTPS 1 . alpn=h2,h3
odd      0 TYPE65280 \# 3 010203
a.b.ent  0 TXT   "deep"
*.wild   0 TXT   "wild"
*.wild   0 A     192.0.2.99
x.y.wild 0 TXT   "tame"
sub      0 NS    ns.sub
sub      0 NS    ns.example.
sub      0 DS    12345 13 2 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
ns.sub   0 A     192.0.2.54
_acme.live 0 TXT "proof"
shop     0 TXT   "beside addresses"
`

// newWorld is the world most tests ask in.
func newWorld() *world {
	none := func(_ string, s *steering.Service) *steering.Split {
		return mustSplit(s.TTL, steering.Candidate{Endpoint: s.Endpoints[0]})
	}
	big := zoneOf("big.test.", "")
	for i := range 60 {
		big.Records = append(big.Records, recordIn("big.test.", "txt 300 TXT "+strings.Repeat("x", 40+i)))
	}
	for i := range 40 {
		big.Records = append(big.Records, recordIn("big.test.", fmt.Sprintf("a 300 A 192.0.2.%d", i)))
	}
	w := &world{
		table: newPrefixTable(regions),
		split: map[string]func(string, *steering.Service) *steering.Split{
			"live":   only(map[string]string{"eu": "alpha", "na": "bravo", "as": "charlie"}),
			"one":    only(nil),
			"vod":    static,
			"shop":   only(map[string]string{"eu": "alpha", "na": "bravo"}),
			"inside": only(nil),
			"none":   none,
			"partly": func(region string, s *steering.Service) *steering.Split {
				if region == "na" {
					return none(region, s)
				}
				return only(nil)(region, s)
			},
			"v4": only(nil),
		},
		revision: &steering.Revision{
			Hash: "5eed",
			Zones: []steering.Zone{
				zoneOf("fairway.test.", fairwayZone),
				zoneOf("other.test.", "www 0 A 192.0.2.200\n"),
				zoneOf("kid.fairway.test.", "www 0 A 192.0.2.201\n"),
				big,
			},
			Services: []*steering.Service{
				service("inside", hosted("alpha", "edge.fairway.test.")),
				service("live", hosted("alpha", "eu.alpha.example."), hosted("bravo", "na.bravo.example."), hosted("charlie", "as.charlie.example.")),
				service("none", hosted("alpha", "gone.alpha.example.")),
				service("one", hosted("alpha", "all.alpha.example.")),
				service("partly", hosted("alpha", "some.alpha.example.")),
				service("shop", addressed("alpha", "192.0.2.101", "192.0.2.102", "2001:db8::101"), addressed("bravo", "198.51.100.101")),
				service("v4", addressed("alpha", "192.0.2.111")),
				service("vod", hosted("alpha", "v.alpha.example."), hosted("bravo", "v.bravo.example."), hosted("charlie", "v.charlie.example.")),
			},
		},
	}
	return w
}

func (w *world) layout(t testing.TB) *steering.Layout {
	t.Helper()
	l, err := steering.NewLayout(w.revision, w.table)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (w *world) snapshot(t testing.TB, l *steering.Layout, generation uint64) *steering.Snapshot {
	t.Helper()
	splits := make([][]*steering.Split, len(l.Services))
	for i, sl := range l.Services {
		for _, g := range sl.Groups {
			splits[i] = append(splits[i], w.split[sl.Service.Key](g.Region, sl.Service))
		}
	}
	s, err := steering.NewSnapshot(generation, time.Unix(1700000000, 0), l, splits, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newServer gives a server over the usual world, without sockets.
func newServer(t testing.TB, change ...func(*Config)) (*Server, *world) {
	t.Helper()
	w := newWorld()
	layout := w.layout(t)
	current, _ := steering.NewCurrent(w.snapshot(t, layout, 1))
	config := Config{Listen: []string{"127.0.0.1:0"}, Current: current, Backend: Backend(os.Getenv(backendVariable))}
	for _, f := range change {
		f(&config)
	}
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return cookieTime }
	if err := s.Prepare(layout); err != nil {
		t.Fatal(err)
	}
	return s, w
}

// start runs a server until the test ends and returns its first address.
func start(t testing.TB, s *Server) (address string, stop func()) {
	t.Helper()
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(30 * time.Second):
			buffer := make([]byte, 1<<16)
			t.Errorf("Run did not return within 10 s:\n%s", buffer[:runtime.Stack(buffer, true)])
		}
	})
	t.Cleanup(stop)
	return s.Addrs()[0], stop
}

// query builds a request; change may spoil it.
func query(name string, qtype uint16, change ...func(*dns.Msg)) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	m.RecursionDesired = false
	for _, f := range change {
		f(m)
	}
	return m
}

func withEDNS(size uint16) func(*dns.Msg) { return func(m *dns.Msg) { m.SetEdns0(size, false) } }

// withClient adds ECS for a prefix such as "192.0.2.0/24".
func withClient(prefix string) func(*dns.Msg) {
	p := netip.MustParsePrefix(prefix)
	family := uint16(familyIPv6)
	if p.Addr().Is4() {
		family = familyIPv4
	}
	return func(m *dns.Msg) {
		if m.IsEdns0() == nil {
			m.SetEdns0(1232, false)
		}
		opt := m.IsEdns0()
		opt.Option = append(opt.Option, &dns.EDNS0_SUBNET{
			Code: dns.EDNS0SUBNET, Family: family, SourceNetmask: uint8(p.Bits()), Address: p.Addr().AsSlice(),
		})
	}
}

func subnetIn(m *dns.Msg) *dns.EDNS0_SUBNET {
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if e, ok := o.(*dns.EDNS0_SUBNET); ok {
				return e
			}
		}
	}
	return nil
}

// cookieIn is the data of the COOKIE option; nil for none.
func cookieIn(m *dns.Msg) []byte {
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if c, ok := o.(*dns.EDNS0_COOKIE); ok {
				data, err := hex.DecodeString(c.Cookie)
				if err != nil {
					panic(err)
				}
				return data
			}
		}
	}
	return nil
}

func edeIn(m *dns.Msg) *dns.EDNS0_EDE {
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if e, ok := o.(*dns.EDNS0_EDE); ok {
				return e
			}
		}
	}
	return nil
}

// patience bounds every wait for an answer: long, for busy machines.
const patience = 30 * time.Second

// exchangeRaw sends octets over a real socket and returns the octets of the
// answer.
func exchangeRaw(t testing.TB, address, transport string, packet []byte) []byte {
	t.Helper()
	conn, err := net.Dial(transport, address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if transport == transportTCP {
		packet = append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
	}
	if _, err := conn.Write(packet); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(patience))
	buffer := make([]byte, 65535)
	if transport == transportTCP {
		if _, err := io.ReadFull(conn, buffer[:2]); err != nil {
			t.Fatalf("% x: no answer: %v", packet, err)
		}
		n := int(binary.BigEndian.Uint16(buffer))
		if _, err := io.ReadFull(conn, buffer[:n]); err != nil {
			t.Fatalf("half an answer: %v", err)
		}
		return buffer[:n]
	}
	n, err := conn.Read(buffer)
	if err != nil {
		t.Fatalf("% x: no answer: %v", packet, err)
	}
	return buffer[:n]
}

// silentTo sends octets that must get no answer over UDP, and behind them a query:
// the first answer to come is that query's.
func silentTo(t testing.TB, address string, packet []byte) bool {
	t.Helper()
	conn, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	canary, err := query("www.fairway.test.", dns.TypeA, func(m *dns.Msg) { m.Id = 0xCACA }).Pack()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range [][]byte{packet, canary} {
		if _, err := conn.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	conn.SetReadDeadline(time.Now().Add(patience))
	buffer := make([]byte, 65535)
	n, err := conn.Read(buffer)
	if err != nil {
		t.Fatalf("no answer to the query behind: %v", err)
	}
	return n > 2 && buffer[0] == 0xCA && buffer[1] == 0xCA
}

// ask sends a request over a real socket and reads the answer strictly.
func ask(t testing.TB, address, transport string, request *dns.Msg) *dns.Msg {
	t.Helper()
	packet, err := request.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return askRaw(t, address, transport, packet)
}

func askRaw(t testing.TB, address, transport string, packet []byte) *dns.Msg {
	t.Helper()
	answer := exchangeRaw(t, address, transport, packet)
	m, err := readStrictly(answer)
	if err != nil {
		t.Fatalf("malformed answer % x: %v", answer, err)
	}
	return m
}

// readStrictly parses an answer and holds it to being exactly as long as its
// counts say, with well-formed options.
func readStrictly(packet []byte) (*dns.Msg, error) {
	m := new(dns.Msg)
	if err := m.Unpack(packet); err != nil {
		return nil, err
	}
	if !m.Response {
		return nil, errors.New("QR is not set")
	}
	end := headerLength
	var err error
	for i, n := range []int{
		int(binary.BigEndian.Uint16(packet[4:])), int(binary.BigEndian.Uint16(packet[6:])),
		int(binary.BigEndian.Uint16(packet[8:])), int(binary.BigEndian.Uint16(packet[10:])),
	} {
		for range n {
			if i == 0 {
				end, err = skipName(packet, end)
				end += 4
			} else {
				_, end, err = nextRecord(packet, end)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	if end != len(packet) {
		return nil, errors.New("octets behind the last record")
	}
	return m, nil
}

// summary is a reply in few words: rcode, AA, then each section's records.
func summary(m *dns.Msg) string {
	if m == nil {
		return "silence"
	}
	words := []string{rcodeLabel(m.Rcode)}
	if m.Authoritative {
		words = append(words, "aa")
	}
	if m.Truncated {
		words = append(words, "tc")
	}
	out := strings.Join(words, " ")
	section := func(mark string, rrs []dns.RR) {
		for _, rr := range rrs {
			if rr.Header().Rrtype == dns.TypeOPT {
				continue
			}
			if rr.Header().Rrtype == dns.TypeSOA {
				rr = dns.Copy(rr)
				rr.(*dns.SOA).Serial = 1
			}
			out += "\n" + mark + " " + oneLine(rr)
		}
	}
	section("an", m.Answer)
	section("au", m.Ns)
	section("ad", m.Extra)
	return out
}

const (
	soaNegative = "SOA ns1.fairway.test. hostmaster.fairway.test. 1 3600 600 86400 60"
	authority   = "\nau fairway.test. 60 IN " + soaNegative
)

// differs reports a summary that is not as wanted; want may be indented.
func differs(t testing.TB, call string, got *dns.Msg, want string) {
	t.Helper()
	var lines []string
	for line := range strings.Lines(want) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	if got, want := summary(got), strings.Join(lines, "\n"); got != want {
		t.Errorf("%s\n got: %s\nwant: %s", call, strings.ReplaceAll(got, "\n", "\n      "), strings.ReplaceAll(want, "\n", "\n      "))
	}
}
