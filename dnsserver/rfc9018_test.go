package dnsserver

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// testSecrets are the ones that RFC 9018 uses in its examples.
func testSecrets() []Secret {
	return []Secret{secretOf("445536bcd2513298075a5d379663c962"), secretOf("dd3bdf9344b678b185a6f5cb60fca715")}
}

var cookieTime = time.Unix(1559741961, 0)

func secretOf(text string) (s Secret) {
	if n, err := hex.Decode(s[:], []byte(text)); err != nil || n != len(s) {
		panic(text)
	}
	return s
}

// Appendix A: what every implementation must make of the same.
func TestRFC9018Vectors(t *testing.T) {
	first := []Secret{secretOf("e5e973e5a6b2a43f48e7dc849e37bfcf")}
	for _, c := range []struct {
		what          string
		secrets       []Secret
		client        string
		at            uint32
		query, server string // the client cookie, and behind it the server cookie, if any
		state         cookieState
	}{
		{"A.1: learning", first, "198.51.100.100", 1559731985, "2464c4abcf10c957", "010000005cf79f111f8130c3eee29480", cookieClient},
		{"A.2: the same again", first, "198.51.100.100", 1559734385, "2464c4abcf10c957010000005cf79f111f8130c3eee29480", "010000005cf7a871d4a564a1442aca77", cookieValid},
		{"A.3: another cookie with reserved octets", first, "203.0.113.203", 1559727985, "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", "01abcdef5cf78f71a314227b6679ebf5", cookieValid},
		{"A.4: IPv6, and a secret rolled", testSecrets(), "2001:db8:220:1:59de:d0f4:8769:82b8", 1559741961, "22681ab97d52c298010000005cf7c57926556bd0934c72f8", "010000005cf7c609a6bb79d16625507a", cookieValid},
	} {
		jar := new(cookieJar)
		jar.fill(Cookies{Secrets: c.secrets})
		asked, err := hex.DecodeString(c.query)
		if err != nil {
			t.Fatal(err)
		}
		var out [cookieOctets]byte
		if state := jar.answer(&out, asked, netip.MustParseAddr(c.client), c.at); state != c.state {
			t.Errorf("%s: state %d, want %d", c.what, state, c.state)
		}
		if got := hex.EncodeToString(out[:]); got != c.query[:16]+c.server {
			t.Errorf("%s: %s, want %s%s", c.what, got, c.query[:16], c.server)
		}
	}
}

// §4.3: cookies are accepted "within a 1-hour period in the past and a 5-minute
// period into the future"; one older than half an hour is renewed. The address is
// part of it, and so is the secret.
func TestRFC9018Age(t *testing.T) {
	const now = 1559741961
	secrets := testSecrets()
	client := netip.MustParseAddr("192.0.2.1")
	for _, c := range []struct {
		what    string
		age     int
		secret  Secret
		from    string
		spoil   int // octet
		state   cookieState
		renewed bool
	}{
		{"fresh", 0, secrets[0], "192.0.2.1", -1, cookieValid, false},
		{"half an hour", 1800, secrets[0], "192.0.2.1", -1, cookieValid, false},
		{"older", 1801, secrets[0], "192.0.2.1", -1, cookieValid, true},
		{"an hour", 3600, secrets[0], "192.0.2.1", -1, cookieValid, true},
		{"too old", 3601, secrets[0], "192.0.2.1", -1, cookieBad, true},
		{"from the future", -300, secrets[0], "192.0.2.1", -1, cookieValid, false},
		{"from too far", -301, secrets[0], "192.0.2.1", -1, cookieBad, true},
		{"by the other secret", 0, secrets[1], "192.0.2.1", -1, cookieValid, true},
		{"by nobody's secret", 0, Secret{1}, "192.0.2.1", -1, cookieBad, true},
		{"of another client", 0, secrets[0], "192.0.2.2", -1, cookieBad, true},
		{"of another client cookie", 0, secrets[0], "192.0.2.1", 0, cookieBad, true},
		{"of another version", 0, secrets[0], "192.0.2.1", 8, cookieBad, true},
		{"with another hash", 0, secrets[0], "192.0.2.1", 23, cookieBad, true},
	} {
		jar := new(cookieJar)
		jar.fill(Cookies{Secrets: secrets})
		asked := [cookieOctets]byte{1, 2, 3, 4, 5, 6, 7, 8, 1}
		binary.BigEndian.PutUint32(asked[12:], uint32(now-c.age))
		c.secret.seal(&asked, netip.MustParseAddr(c.from))
		if c.spoil >= 0 {
			asked[c.spoil] ^= 1
		}
		var out, fresh [cookieOctets]byte
		if state := jar.answer(&out, asked[:], client, now); state != c.state {
			t.Errorf("%s: state %d, want %d", c.what, state, c.state)
		}
		if renewed := out != asked; renewed != c.renewed {
			t.Errorf("%s: renewed %v", c.what, renewed)
		}
		if jar.answer(&fresh, asked[:clientCookie], client, now); c.renewed && out != fresh {
			t.Errorf("%s: answered % x, want % x", c.what, out, fresh)
		}
	}
}

// RFC 7873 §5.2.3 and §5.2.5 over sockets: whoever sends a client cookie gets it
// back with a server cookie, and whoever sends both gets them as long as they
// hold, on both paths and with errors too. §5.2.1: without the option, none.
func TestRFC7873Exchange(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	for _, name := range []string{"live.fairway.test.", "x.wild.fairway.test.", "example.com.", "nothing.fairway.test."} {
		for _, transport := range []string{transportUDP, transportTCP} {
			asked := []byte{8, 7, 6, 5, 4, 3, 2, 1}
			cookie := cookieIn(ask(t, address, transport, query(name, dns.TypeA, withOption(dns.EDNS0COOKIE, asked...))))
			if len(cookie) != cookieOctets || !bytes.HasPrefix(cookie, asked) {
				t.Fatalf("%s over %s: cookie % x", name, transport, cookie)
			}
			again := cookieIn(ask(t, address, transport, query(name, dns.TypeA, withOption(dns.EDNS0COOKIE, cookie...))))
			if !bytes.Equal(again, cookie) {
				t.Errorf("%s over %s: % x became % x", name, transport, cookie, again)
			}
			if got := ask(t, address, transport, query(name, dns.TypeA, withEDNS(1232))); cookieIn(got) != nil {
				t.Errorf("%s over %s: an unasked cookie", name, transport)
			}
		}
	}
	off, _ := newServer(t, func(c *Config) { c.Cookies.Off = true })
	address, _ = start(t, off)
	got := ask(t, address, transportUDP, query("live.fairway.test.", dns.TypeA, withOption(dns.EDNS0COOKIE, 1, 2, 3, 4, 5, 6, 7, 8)))
	if cookieIn(got) != nil || got.Rcode != dns.RcodeSuccess {
		t.Errorf("without cookies: %s", got)
	}
}

// RFC 7873 §5.2.2: an option that is too short for a client cookie, longer than
// that and too short for a server cookie as well, or too long, is FORMERR.
func TestRFC7873Malformed(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	for length := range 50 {
		right := length == 8 || length >= 16 && length <= 40
		got := ask(t, address, transportUDP, query("live.fairway.test.", dns.TypeA, withOption(dns.EDNS0COOKIE, make([]byte, length)...)))
		if (got.Rcode == dns.RcodeFormatError) == right || got.IsEdns0() == nil {
			t.Errorf("%d octets: %s", length, summary(got))
		}
	}
}

// RFC 7873 §5.2: of several COOKIE options "only the first (the one closest to the
// DNS header) is considered. All others are ignored."
func TestRFC7873Several(t *testing.T) {
	s, _ := newServer(t)
	address, _ := start(t, s)
	got := ask(t, address, transportUDP, query("live.fairway.test.", dns.TypeA,
		withOption(dns.EDNS0COOKIE, 1, 1, 1, 1, 1, 1, 1, 1), withOption(dns.EDNS0COOKIE, 2, 2, 2, 2, 2, 2, 2, 2)))
	if cookie := cookieIn(got); len(cookie) != cookieOctets || cookie[0] != 1 || len(got.IsEdns0().Option) != 1 {
		t.Errorf("answered with %v", got.IsEdns0())
	}
}
