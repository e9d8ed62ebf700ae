package httpserver

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"fairway/dnsserver"
	"fairway/policies"
	"fairway/steering"
)

// agreeing is a configuration whose policies divide clients in every way; the blanks
// are for what is drawn.
const agreeing = `
zones:
  - {name: video.test, ns: [ns1.video.test], records: [{name: ns1, type: A, value: 192.0.2.1}]}
regions:
  eu: {prefixes: [10.0.0.0/8, "2001:db8::/32"]}
  na: {prefixes: [20.0.0.0/8]}
providers: {alpha: {}, bravo: {}, charlie: {}, delta: {}}
services:
  live:
    hostnames: [live.video.test]
    policy: main
    manifest: {origins: ["https://origin.test"]}
    endpoints:
      - {provider: alpha, host: alpha.cdn.test, url: "https://alpha.cdn.test/live", pathway: alpha}
      - {provider: bravo, host: bravo.cdn.test, url: "https://bravo.cdn.test/live", pathway: bravo}
      - {provider: charlie, host: charlie.cdn.test, url: "https://charlie.cdn.test/live", pathway: charlie}
      - {provider: delta, host: delta.cdn.test, url: "https://delta.cdn.test/live", pathway: delta}
policies:
  main:
    hash: %[1]s
    rules:
      - {name: eu, when: client.region == "eu", split: %[2]s}
      - {name: rest, split: %[3]s}
  one: {hash: %[1]s, rules: [{name: all, split: weighted}]}
  two: {hash: %[1]s, rules: [{name: all, split: score}]}
`

// drawSplit draws a ready split over endpoints.
func drawSplit(t *rapid.T, endpoints []*steering.Endpoint) *steering.Split {
	order := rapid.Permutation(slices.Clone(endpoints)).Draw(t, "order")
	picks := rapid.IntRange(1, len(order)).Draw(t, "picks")
	var candidates []steering.Candidate
	sum := 0.0
	for i, e := range order {
		c := steering.Candidate{Endpoint: e, Reason: steering.Reason{Code: steering.ReasonWithin}}
		if i < picks {
			c.Weight = rapid.Float64Range(0.01, 1).Draw(t, "weight")
			sum += c.Weight
		} else {
			c.Reason.Code = rapid.SampledFrom([]steering.ReasonCode{steering.ReasonWorse, steering.ReasonDown, steering.ReasonDrained, steering.ReasonDenied}).Draw(t, "reason")
		}
		candidates = append(candidates, c)
	}
	for i := range picks {
		candidates[i].Weight /= sum
	}
	split, err := steering.NewSplit(candidates, 20*time.Second, steering.Reason{Code: steering.ReasonBest}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return split
}

// drawSnapshot draws a policy, and what is handed out by it.
func drawSnapshot(t *rapid.T) *steering.Snapshot {
	hash := fmt.Sprintf("{ipv4: %d, ipv6: %d, session: %s}", rapid.IntRange(8, 24).Draw(t, "ipv4"), rapid.IntRange(16, 56).Draw(t, "ipv6"),
		rapid.SampledFrom([]string{"use", "ignore"}).Draw(t, "session"))
	form := rapid.SampledFrom([]string{"best", "weighted", "score", "{within: 10%}", "{weights: {alpha: 3, bravo: 1, charlie: 0}}", "{policies: {one: 75%, two: 25%}}"})
	text := fmt.Sprintf(agreeing, hash, form.Draw(t, "eu"), form.Draw(t, "rest"))
	c, findings := policies.Compile([]policies.File{{Name: "fairway.yaml", Data: []byte(text)}})
	if c == nil {
		t.Fatalf("%v\n%s", findings, text)
	}
	layout, err := steering.NewLayout(c.Revision, blocks{})
	if err != nil {
		t.Fatal(err)
	}
	splits := make([][]*steering.Split, len(layout.Services))
	for i, sl := range layout.Services {
		for range sl.Groups {
			splits[i] = append(splits[i], drawSplit(t, sl.Service.Endpoints))
		}
	}
	snapshot, err := steering.NewSnapshot(7, time.Unix(1_700_000_000, 0), layout, splits, nil)
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

// doors are all doors over one snapshot. Each says which provider a client is to use
// first.
type doors struct {
	dns  *dnsserver.Server
	http *Server
}

func newDoors(t *rapid.T, snapshot *steering.Snapshot) *doors {
	current, _ := steering.NewCurrent(snapshot)
	d, err := dnsserver.New(dnsserver.Config{Listen: []string{"127.0.0.1:0"}, Current: current})
	if err != nil {
		t.Fatal(err)
	}
	c := fromNA
	c.Listen, c.Current = []string{"127.0.0.1:0"}, current
	c.Fetch = func(_ context.Context, _ *steering.Manifests, path string) (string, error) {
		return map[string]string{"main.m3u8": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv1.m3u8\n", "main.mpd": "<MPD>\n<Period/>\n</MPD>\n"}[path], nil
	}
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return &doors{d, h}
}

// byDNS asks as a resolver that passes its client's network on (RFC 7871): at most
// 24 bits of an IPv4 address, and 56 of an IPv6 one (§11.1).
func (d *doors) byDNS(client netip.Addr) string {
	family, bits := uint16(1), 24
	if client.Is6() {
		family, bits = 2, 56
	}
	q := new(dns.Msg)
	q.SetQuestion("live.video.test.", dns.TypeA)
	q.SetEdns0(1232, false)
	q.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_SUBNET{
		Code: dns.EDNS0SUBNET, Family: family, SourceNetmask: uint8(bits), Address: netip.PrefixFrom(client, bits).Masked().Addr().AsSlice(),
	}}
	for _, rr := range d.dns.Answer(q, netip.MustParseAddr("192.0.2.53"), "udp").Answer {
		if c, ok := rr.(*dns.CNAME); ok {
			return strings.TrimSuffix(c.Target, ".cdn.test.")
		}
	}
	return ""
}

// get asks the HTTP door.
func (d *doors) get(client netip.Addr, path, session string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.RemoteAddr, r.Host = "127.0.0.1:4711", "live.video.test"
	r.Header.Set("X-Forwarded-For", client.String())
	r.Header.Set(sessionHeader, session)
	w := httptest.NewRecorder()
	d.http.Handler().ServeHTTP(w, r)
	return w
}

var firstURL = regexp.MustCompile(`https://(\w+)\.cdn\.test/`)

// byHTTP asks every HTTP door; session may be empty.
func (d *doors) byHTTP(client netip.Addr, session string) map[string]string {
	said := map[string]string{}
	host := func(text string) string {
		if m := firstURL.FindStringSubmatch(text); m != nil {
			return m[1]
		}
		return text
	}
	said["redirect"] = host(d.get(client, "/r/live/main.m3u8", session).Header().Get("Location"))
	said["decide"] = host(d.get(client, "/decide/v1/live?session="+session, "").Body.String())
	for _, protocol := range []string{"hls", "dash"} {
		var m steeringBody
		body := d.get(client, "/steer/v1/live/"+protocol+"?s="+session, "").Body.String()
		if said["steer "+protocol] = body; json.Unmarshal([]byte(body), &m) == nil && len(m.Priority) > 0 {
			said["steer "+protocol] = m.Priority[0]
		}
	}
	for file, declared := range map[string]string{"main.m3u8": `PATHWAY-ID="`, "main.mpd": `defaultServiceLocation="`} {
		body := d.get(client, "/manifest/v1/live/"+file+"?s="+session, "").Body.String()
		_, after, _ := strings.Cut(body, declared)
		said["declared in "+file], _, _ = strings.Cut(after, `"`)
		said["first in "+file] = host(body)
	}
	return said
}

// TestDoorsAgree is invariant 5 over random policies, splits and clients: without a
// session all doors begin with the same endpoint for all of a client's network, with
// one all but DNS do.
func TestDoorsAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDoors(t, drawSnapshot(t))
		for range 4 {
			client := drawClient(t)
			session := rapid.SampledFrom([]string{"", "", "viewer-1", "viewer-2"}).Draw(t, "session")
			said := d.byHTTP(client, session)
			if session == "" {
				said["DNS"] = d.byDNS(client)
			}
			for door, first := range said {
				if first != said["decide"] || first == "" {
					t.Fatalf("client %v, session %q: %s begins with %q; all: %v", client, session, door, first, said)
				}
			}
		}
	})
}

func drawClient(t *rapid.T) netip.Addr {
	if rapid.IntRange(0, 3).Draw(t, "family") == 0 {
		b := [16]byte{0x20, 0x01, 0x0d, 0xb8}
		copy(b[rapid.SampledFrom([]int{2, 4}).Draw(t, "from"):], rapid.SliceOfN(rapid.Byte(), 12, 12).Draw(t, "rest"))
		return netip.AddrFrom16(b)
	}
	rest := rapid.SliceOfN(rapid.Byte(), 3, 3).Draw(t, "rest")
	return netip.AddrFrom4([4]byte{rapid.SampledFrom([]byte{10, 20, 30}).Draw(t, "net"), rest[0], rest[1], rest[2]})
}
