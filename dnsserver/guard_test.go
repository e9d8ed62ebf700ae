package dnsserver

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// limitedServer gives a server whose clock for limits stands still.
func limitedServer(t testing.TB, limits Limits, require bool) (s *Server, send func(client string, request *dns.Msg) *dns.Msg) {
	t.Helper()
	s, _ = newServer(t, func(c *Config) { c.Limits, c.Cookies.Require = limits, require })
	m := newScratch()
	return s, func(client string, request *dns.Msg) *dns.Msg {
		t.Helper()
		packet, err := request.Pack()
		if err != nil {
			t.Fatal(err)
		}
		m.began = time.Minute
		answer := s.respond(m, packet, netip.MustParseAddr(client), transportUDP)
		if answer == nil {
			return nil
		}
		got, err := readStrictly(answer)
		if err != nil {
			t.Fatalf("malformed % x: %v", answer, err)
		}
		return got
	}
}

// TestRateLimit: a network gets its rate of each kind and no more; what slips
// through is short and leads honest clients on.
func TestRateLimit(t *testing.T) {
	limits := Limits{Answers: 10, Negatives: 5, Errors: 3, Slip: 2, Exempt: []netip.Prefix{netip.MustParsePrefix("192.0.2.128/25")}}
	for name, want := range map[string]int{"live.fairway.test.": 10, "www.fairway.test.": 10, "nothing.fairway.test.": 5, "sub.fairway.test.": 5, "example.com.": 3} {
		_, send := limitedServer(t, limits, false)
		whole, cut, none := 0, 0, 0
		for i := range 110 {
			client := fmt.Sprintf("192.0.2.%d", i%100) // one network
			switch got := send(client, query(dns.Fqdn(name), dns.TypeA, withEDNS(1232))); {
			case got == nil:
				none++
			case got.Truncated:
				cut++
				if len(got.Answer)+len(got.Ns) > 0 || len(got.Question) != 1 || got.IsEdns0() == nil {
					t.Fatalf("%s: slipped as %s", name, got)
				}
			default:
				whole++
			}
		}
		if whole != want || cut != (110-want)/2 || none != 110-whole-cut {
			t.Errorf("%s: %d whole, %d cut, %d not answered", name, whole, cut, none)
		}
		if got := send("192.0.3.1", query(dns.Fqdn(name), dns.TypeA)); got == nil || got.Truncated {
			t.Errorf("%s: another network is limited", name)
		}
		if got := send("192.0.2.129", query(dns.Fqdn(name), dns.TypeA)); got == nil || got.Truncated {
			t.Errorf("%s: an exempt network is limited", name)
		}
	}
}

// TestRateReturns: the allowance grows back with time.
func TestRateReturns(t *testing.T) {
	l := newLimiter(Limits{Answers: 10, IPv4Bits: 24, IPv6Bits: 56})
	for _, client := range []string{"192.0.2.1", "2001:db8::1"} {
		allowed := func(now time.Duration) (n int) {
			for range 100 {
				if l.allow(netip.MustParseAddr(client), kindAnswer, now) {
					n++
				}
			}
			return n
		}
		for _, c := range []struct {
			at   time.Duration
			want int
		}{{0, 10}, {0, 0}, {100 * time.Millisecond, 1}, {600 * time.Millisecond, 5}, {time.Hour, 10}} {
			if got := allowed(c.at); got != c.want {
				t.Errorf("%s at %v: %d, want %d", client, c.at, got, c.want)
			}
		}
	}
	if !l.allow(netip.MustParseAddr("2001:db8:0:100::1"), kindAnswer, 0) || !l.allow(netip.MustParseAddr("192.0.2.1"), kindError, 0) {
		t.Error("another /56, or a kind without a limit, is limited")
	}
}

// A valid cookie shows that the address is no forgery (RFC 7873 §6): its bearer is
// not limited. One with a client cookie alone is told the right one.
func TestRateLimitCookies(t *testing.T) {
	_, send := limitedServer(t, Limits{Answers: 1, Slip: 1, Amplification: 5}, false)
	client := withOption(dns.EDNS0COOKIE, 1, 2, 3, 4, 5, 6, 7, 8)
	send(inEU, query("www.fairway.test.", dns.TypeA))
	got := send(inEU, query("www.fairway.test.", dns.TypeA, client))
	differs(t, "over the limit", got, "BADCOOKIE")
	cookie := cookieIn(got)
	if len(cookie) != cookieOctets || len(got.Question) != 1 || got.Truncated {
		t.Fatalf("BADCOOKIE without a cookie: %s", got)
	}
	for range 20 {
		got := send(inEU, query("a.big.test.", dns.TypeA, withOption(dns.EDNS0COOKIE, cookie...)))
		if got == nil || got.Truncated || len(got.Answer) != 40 {
			t.Fatalf("with a valid cookie: %s", summary(got))
		}
	}
	differs(t, "without", send(inEU, query("www.fairway.test.", dns.TypeA)), "NOERROR aa tc")
}

// RFC 7873 §5.2.3 and §5.2.4: a server may answer BADCOOKIE to a query without a
// valid server cookie; over TCP it "SHOULD" answer normally. §5.2.1: one without
// the option is answered.
func TestRequireCookie(t *testing.T) {
	s, _ := newServer(t, func(c *Config) { c.Cookies.Require = true })
	address, _ := start(t, s)
	option := func(data []byte) func(*dns.Msg) { return withOption(dns.EDNS0COOKIE, data...) }
	ours := []byte{1, 2, 3, 4, 5, 6, 7, 8}
	for _, name := range []string{"live.fairway.test.", "example.com.", "nothing.fairway.test.", "txt.big.test."} {
		got := ask(t, address, transportUDP, query(name, dns.TypeA, option(ours)))
		differs(t, name+" with a client cookie", got, "BADCOOKIE")
		cookie := cookieIn(got)
		if len(cookie) != cookieOctets {
			t.Fatalf("%s: BADCOOKIE with %v", name, got.IsEdns0())
		}
		bad := append([]byte(nil), cookie...)
		bad[20]++
		differs(t, name+" with another's server cookie", ask(t, address, transportUDP, query(name, dns.TypeA, option(bad))), "BADCOOKIE")
		want := summary(ask(t, address, transportUDP, query(name, dns.TypeA)))
		for what, got := range map[string]*dns.Msg{
			"with both":                     ask(t, address, transportUDP, query(name, dns.TypeA, option(cookie))),
			"over TCP with a client cookie": ask(t, address, transportTCP, query(name, dns.TypeA, option(ours))),
		} {
			if summary(got) != want {
				t.Errorf("%s %s: %s", name, what, summary(got))
			}
		}
	}
}

// TestAmplification: whatever is asked, an answer to an address that may be forged
// is at most five times the query, twelve with DO; what is larger comes over TCP.
func TestAmplification(t *testing.T) {
	s, _ := newServer(t, func(c *Config) { c.Limits = Limits{Amplification: 5, SignedAmplification: 12} })
	address, _ := start(t, s)
	a := newAsker(s, 11)
	m := newScratch()
	for i := range 20_000 {
		packet := a.query()
		if i%2 == 0 {
			packet = mutate(a.Rand, packet)
		}
		answer := s.exchange(m, packet, netip.MustParseAddr(inEU), transportUDP)
		factor := 5
		if m.dnssecOK {
			factor = 12
		}
		if m.cookie != cookieValid && len(answer) > factor*len(packet) {
			t.Fatalf("% x: %d octets for %d", packet, len(answer), len(packet))
		}
		if answer != nil {
			if _, err := readStrictly(answer); err != nil {
				t.Fatalf("% x is answered % x: %v", packet, answer, err)
			}
		}
	}
	got := ask(t, address, transportUDP, query("txt.big.test.", dns.TypeTXT, withEDNS(1232)))
	differs(t, "large", got, "NOERROR aa tc")
	if got = ask(t, address, transportTCP, query("txt.big.test.", dns.TypeTXT)); len(got.Answer) != 60 {
		t.Errorf("over TCP: %d records", len(got.Answer))
	}
}

// TestFlood: names that do not exist, asked through a resolver, push out none of
// its ordinary answers; forged addresses from everywhere take no memory.
func TestFlood(t *testing.T) {
	s, _ := newServer(t, func(c *Config) { c.Limits = Limits{Answers: 200, Negatives: 100, Errors: 100, Slip: 2} })
	m, random := newScratch(), rand.New(rand.NewPCG(1, 2))
	ordinary, err := query("live.fairway.test.", dns.TypeA, withEDNS(1232)).Pack()
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	resolver := netip.MustParseAddr(inEU)
	missing := 0
	for i := range 100_000 {
		m.began = time.Second + time.Duration(i)*10*time.Microsecond // 100,000 a second
		flood, _ := query(fmt.Sprintf("x%d.fairway.test.", random.Uint64()), dns.TypeA).Pack()
		if s.respond(m, flood, resolver, transportUDP) != nil {
			missing++
		}
		m.began = time.Second + time.Duration(i)*10*time.Microsecond
		s.respond(m, ordinary, netip.AddrFrom4([4]byte{byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32()), 1}), transportUDP)
		if i%1000 == 0 { // 100 a second
			m.began = time.Second + time.Duration(i)*10*time.Microsecond
			if got := s.respond(m, ordinary, resolver, transportUDP); got == nil || got[2]&2 != 0 {
				t.Fatalf("after %d: an ordinary answer is pushed out", i)
			}
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if missing > 100_000/2+200 {
		t.Errorf("%d of 100,000 denials went out", missing)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("the heap grew by %d octets", grown)
	}
}

// TestLimits: what cannot be is told, all at once.
func TestLimits(t *testing.T) {
	_, err := New(Config{Limits: Limits{Answers: -1, Slip: -1, IPv6Bits: 65}})
	if err == nil {
		t.Fatal("taken")
	}
	for _, want := range []string{"answers is -1", "slip is -1", "/24 and /65"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

func BenchmarkLimiter(b *testing.B) {
	l := newLimiter(Limits{Answers: 1000, IPv4Bits: 24, IPv6Bits: 56})
	for i := 0; b.Loop(); i++ {
		client := netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 1})
		l.allow(client, kindAnswer, time.Duration(i)*time.Microsecond)
	}
}
