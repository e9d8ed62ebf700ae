package httpserver

import (
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestClientAddress(t *testing.T) {
	trusted := newAccess([]netip.Prefix{
		netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("192.0.2.0/24"),
		netip.MustParsePrefix("2001:db8:ffff::/48"), netip.MustParsePrefix("::ffff:198.51.100.0/120"),
	}, nil)
	const f, x = "Forwarded", "X-Forwarded-For"
	for _, c := range []struct {
		name, peer, want string
		headers          []string
	}{
		{"no header", "127.0.0.1:4000", "127.0.0.1", nil},
		{"untrusted peer without header", "203.0.113.9:4000", "203.0.113.9", nil},
		{"untrusted peer is never believed", "203.0.113.9:4000", "203.0.113.9", []string{x, "10.0.0.1", f, "for=10.0.0.1"}},
		{"mapped peer", "[::ffff:203.0.113.9]:4000", "203.0.113.9", nil},
		{"mapped trusted peer", "[::ffff:127.0.0.1]:4000", "10.0.0.1", []string{x, "10.0.0.1"}},
		{"mapped trusted prefix", "198.51.100.7:1", "10.0.0.1", []string{x, "10.0.0.1"}},
		{"IPv6 peer", "[::1]:4000", "2001:db8::1", []string{x, "2001:db8::1"}},
		{"link-local peer loses its zone", "[fe80::1%eth0]:4000", "fe80::1", nil},
		{"peer without an address", "@", "invalid IP", []string{x, "10.0.0.1"}},

		{"one", "127.0.0.1:1", "10.0.0.1", []string{x, "10.0.0.1"}},
		{"rightmost untrusted", "127.0.0.1:1", "10.0.0.2", []string{x, "10.0.0.1, 10.0.0.2"}},
		{"trusted ones skipped", "127.0.0.1:1", "10.0.0.2", []string{x, "10.0.0.1,10.0.0.2 ,192.0.2.5,\t127.0.0.9"}},
		{"all trusted: leftmost", "127.0.0.1:1", "192.0.2.5", []string{x, "192.0.2.5, 127.0.0.9"}},
		{"lines in order", "127.0.0.1:1", "10.0.0.2", []string{x, "10.0.0.1", x, "10.0.0.2", x, "192.0.2.1"}},
		{"malformed stops", "127.0.0.1:1", "192.0.2.5", []string{x, "10.0.0.1, evil, 192.0.2.5"}},
		{"malformed first from the right", "127.0.0.1:1", "127.0.0.1", []string{x, "10.0.0.1, unknown"}},
		{"malformed left of the client does not matter", "127.0.0.1:1", "10.0.0.2", []string{x, `x" , 10.0.0.2`}},
		{"empty elements", "127.0.0.1:1", "10.0.0.1", []string{x, ",, 10.0.0.1,,", x, "", x, " , "}},
		{"with port", "127.0.0.1:1", "10.0.0.1", []string{x, "10.0.0.1:443"}},
		{"IPv6 in brackets", "127.0.0.1:1", "2001:db8::1", []string{x, "[2001:db8::1]"}},
		{"IPv6 with port", "127.0.0.1:1", "2001:db8::1", []string{x, "[2001:db8::1]:443"}},
		{"mapped", "127.0.0.1:1", "10.0.0.1", []string{x, "::ffff:10.0.0.1"}},
		{"zone is malformed", "127.0.0.1:1", "127.0.0.1", []string{x, "fe80::1%eth0"}},
		{"bracket not closed", "127.0.0.1:1", "127.0.0.1", []string{x, "[2001:db8::1"}},
		{"brackets around IPv4", "127.0.0.1:1", "127.0.0.1", []string{x, "[10.0.0.1]"}},
		{"text after bracket", "127.0.0.1:1", "127.0.0.1", []string{x, "[2001:db8::1]x"}},
		{"empty port", "127.0.0.1:1", "127.0.0.1", []string{x, "10.0.0.1:"}},
		{"leading zero", "127.0.0.1:1", "127.0.0.1", []string{x, "010.0.0.1"}},
		{"space within", "127.0.0.1:1", "127.0.0.1", []string{x, "10.0.0.1 10.0.0.2"}},

		{"forwarded", "127.0.0.1:1", "10.0.0.1", []string{f, "for=10.0.0.1"}},
		{"any case, other parameters", "127.0.0.1:1", "10.0.0.1", []string{f, "proto=https;FOR=10.0.0.1 ; By=192.0.2.1;host=x"}},
		{"quoted", "127.0.0.1:1", "10.0.0.1", []string{f, `for="10.0.0.1"`}},
		{"quoted with port", "127.0.0.1:1", "10.0.0.1", []string{f, `for="10.0.0.1:4711"`}},
		{"quoted IPv6 with port", "127.0.0.1:1", "2001:db8::1", []string{f, `for="[2001:db8::1]:4711"`}},
		{"quoted IPv6", "127.0.0.1:1", "2001:db8::1", []string{f, `For="[2001:db8::1]";proto=http`}},
		{"obfuscated port", "127.0.0.1:1", "2001:db8::1", []string{f, `for="[2001:db8::1]:_x"`}},
		{"forwarded list", "127.0.0.1:1", "10.0.0.2", []string{f, `for=10.0.0.1, for=10.0.0.2;by="a,b", for="192.0.2.4:1"`}},
		{"forwarded lines", "127.0.0.1:1", "10.0.0.2", []string{f, "for=10.0.0.1, for=10.0.0.2", f, "for=192.0.2.4"}},
		{"comma and escaped quote in quotes", "127.0.0.1:1", "10.0.0.2", []string{f, `for=10.0.0.1, for=10.0.0.2;by="a,\",b\\", for=192.0.2.4`}},
		{"forwarded preferred", "127.0.0.1:1", "10.0.0.1", []string{f, "for=10.0.0.1", x, "10.0.0.2"}},
		{"unknown stops", "127.0.0.1:1", "192.0.2.4", []string{f, "for=10.0.0.1, for=unknown, for=192.0.2.4"}},
		{"obfuscated stops", "127.0.0.1:1", "192.0.2.4", []string{f, "for=10.0.0.1, for=_hidden, for=192.0.2.4"}},
		{"without for stops", "127.0.0.1:1", "127.0.0.1", []string{f, "for=10.0.0.1, proto=https"}},
		{"for twice", "127.0.0.1:1", "127.0.0.1", []string{f, "for=10.0.0.1;for=10.0.0.2"}},
		{"IPv6 without quotes", "127.0.0.1:1", "127.0.0.1", []string{f, "for=[2001:db8::1]"}},
		{"no equals sign", "127.0.0.1:1", "127.0.0.1", []string{f, "10.0.0.1"}},
		{"quote not closed", "127.0.0.1:1", "127.0.0.1", []string{f, `for="10.0.0.1`}},
		{"escaped in a node", "127.0.0.1:1", "127.0.0.1", []string{f, `for="10.0.0.\1"`}},
		{"text after quote", "127.0.0.1:1", "127.0.0.1", []string{f, `for="10.0.0.1"x`}},
		{"client's lone quote cannot hide it", "127.0.0.1:1", "10.0.0.2", []string{f, `for="evil, for=10.0.0.2`}},
		{"client's lone quote on its own line", "127.0.0.1:1", "10.0.0.2", []string{f, `for="evil`, f, "for=10.0.0.2"}},
		{"empty forwarded", "127.0.0.1:1", "127.0.0.1", []string{f, ""}},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
		for i := 0; i < len(c.headers); i += 2 {
			r.Header.Add(c.headers[i], c.headers[i+1])
		}
		if got := trusted.client(r).String(); got != c.want {
			t.Errorf("%s: client of %s with %q = %s, want %s", c.name, c.peer, c.headers, got, c.want)
		}
	}
}

// Whatever a client writes, and however many trusted hops follow, the first hop that is not
// trusted is the client: what stands to its left is the client's own talk.
func TestClientsTalk(t *testing.T) {
	trusted := newAccess([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8:ffff::/48")}, nil)
	hops := map[string]string{
		"192.0.2.4": "192.0.2.4", "192.0.2.5:4711": `"192.0.2.5:4711"`, "2001:db8:ffff::1": `"[2001:db8:ffff::1]"`,
		"[2001:db8:ffff::2]:80": `"[2001:db8:ffff::2]:80"`, "::ffff:127.0.0.9": `"[::ffff:127.0.0.9]"`,
	}
	rapid.Check(t, func(t *rapid.T) {
		client := netip.AddrFrom4([4]byte{10, 1, rapid.Byte().Draw(t, "c"), rapid.Byte().Draw(t, "d")})
		if rapid.Bool().Draw(t, "IPv6") {
			client = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: rapid.Byte().Draw(t, "f")})
		}
		talk := rapid.StringMatching(`[ -~]{0,30}`).Draw(t, "talk")
		x, f := talk+", "+client.String(), talk+`, proto=http;for="`+client.String()+`"`
		if client.Is6() {
			f = talk + `, For="[` + client.String() + `]:1";by="a,\"b"`
		}
		for _, hop := range rapid.SliceOfN(rapid.SampledFrom(slices.Sorted(maps.Keys(hops))), 0, 200).Draw(t, "hops") {
			x += ", " + hop
			f += ", for=" + hops[hop]
		}
		for _, header := range []http.Header{{"X-Forwarded-For": {x}}, {"Forwarded": {f}}, {"Forwarded": {talk, f[len(talk)+1:]}}} {
			for peer, want := range map[string]netip.Addr{"127.0.0.1:1": client, "203.0.113.9:1": netip.MustParseAddr("203.0.113.9")} {
				if got := trusted.client(&http.Request{RemoteAddr: peer, Header: header}); got != want {
					t.Fatalf("client of %s with %q = %s, want %s", peer, header, got, want)
				}
			}
		}
	})
}

func TestProxiesOverSocket(t *testing.T) {
	r := start(t, Config{}, nil)
	region := func() string {
		_, body := r.do(t, "GET", "/decide/v1/live", "X-Forwarded-For", "10.0.0.1")
		_, after, _ := strings.Cut(body, `"region":"`)
		region, _, _ := strings.Cut(after, `"`)
		return region
	}
	if got := region(); got != "default" {
		t.Errorf("without trusted proxies the region is %s, want default", got)
	}
	r.Reconfigure([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), {}}, nil)
	if got := region(); got != "eu" {
		t.Errorf("behind a trusted proxy the region is %s, want eu", got)
	}
}

func TestHost(t *testing.T) {
	r := start(t, Config{Hosts: []string{"Steer.Example", "b.example."}}, nil)
	check := func(host string, want int) {
		t.Helper()
		answer := r.raw(t, "GET /r/live/x HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n", answerTime)
		if got := status(answer); got != want {
			t.Errorf("Host %q: %d, want %d", host, got, want)
		}
	}
	for _, host := range []string{
		"127.0.0.1", "127.0.0.1:8080", "203.0.113.7", "[::1]", "[::1]:8080", "[2001:db8::1]:1", "localhost", "LocalHost:8080", "localhost.",
		"live.video.test", "LIVE.video.TEST.", "dark.video.test:8080", "steer.example", "STEER.example.:1", "b.example", "127.0.0.1:",
	} {
		check(host, 302)
	}
	for _, host := range []string{
		"", "evil.example", "live.video.test.evil.example", "evil.example:80", "127.0.0.1.evil.example", "127.1", "0x7f.1", "2130706433",
		"::1", "[::1", "[::1]x", "[evil.example]", "[live.video.test]", "localhost:80a", "localhost:80:80", "live.video.test..", ".", ":80", "xlive.video.test", strings.Repeat("a.", 200) + "example",
	} {
		check(host, 421)
	}
	for _, host := range []string{"live.video.test/x", "a b", "live.video.test@evil.example", "evil.example@live.video.test", "live.video.test\r\nHost: evil.example"} {
		check(host, 400) // net/http refuses these by itself
	}
	r.Reconfigure(nil, []string{"c.example", "not a host"})
	check("steer.example", 421)
	check("c.example", 302)
	check("live.video.test", 302)
}
