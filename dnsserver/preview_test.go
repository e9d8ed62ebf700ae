package dnsserver

import (
	"net/netip"
	"testing"

	"fairway/steering"
)

func TestPreview(t *testing.T) {
	s, _ := newServer(t)
	for _, c := range []struct{ service, client, want string }{
		{"live", inEU, "live.fairway.test. 20 IN CNAME eu.alpha.example. (scope /24)"},
		{"live", "10.9.9.9", "live.fairway.test. 20 IN CNAME na.bravo.example. (scope /13)"},
		{"live", "2001:db8:1::1", "live.fairway.test. 20 IN CNAME na.bravo.example. (scope /49)"},
		{"live", "::ffff:10.9.9.9", "live.fairway.test. 20 IN CNAME na.bravo.example. (scope /13)"},
		{"one", inEU, "one.fairway.test. 20 IN CNAME all.alpha.example. (scope /0)"},
		{"shop", inNA, "shop.fairway.test. 20 IN A 198.51.100.101 (scope /24)"},
		{"shop", inEU, "shop.fairway.test. 20 IN A 192.0.2.101; shop.fairway.test. 20 IN A 192.0.2.102 (scope /24)"},
		{"none", inEU, "SERVFAIL: Other, no endpoint of this service is available (scope /0)"},
		{"nowhere", inEU, `no service "nowhere"`},
	} {
		if got := s.Preview(c.service, netip.MustParseAddr(c.client)); got != c.want {
			t.Errorf("Preview(%s, %s)\n got: %s\nwant: %s", c.service, c.client, got, c.want)
		}
	}
	if got, want := s.Preview("live", netip.Addr{}), "live.fairway.test. 20 IN CNAME eu.alpha.example."; got != want {
		t.Errorf("Preview without a client: %s", got)
	}
}

func TestPreviewOddities(t *testing.T) {
	w := newWorld()
	w.revision.Service("live").Hostnames = nil
	w.revision.Service("vod").Hostnames = []string{"vod.elsewhere.example."}
	w.revision.Service("v4").Endpoints[0].Addresses = []netip.Addr{netip.MustParseAddr("2001:db8::1")}
	current, publish := steering.NewCurrent(nil)
	s, err := New(Config{Listen: []string{"127.0.0.1:0"}, Current: current})
	if err != nil {
		t.Fatal(err)
	}
	client := netip.MustParseAddr(inEU)
	if got, want := s.Preview("live", client), "SERVFAIL: no decision has been published yet"; got != want {
		t.Errorf("before the first snapshot: %s", got)
	}
	publish(w.snapshot(t, w.layout(t), 1))
	for service, want := range map[string]string{
		"live": `service "live" has no hostname`,
		"vod":  "REFUSED: Not Authoritative (scope /0)",
		"v4":   "v4.fairway.test. 20 IN AAAA 2001:db8::1 (scope /0)",
	} {
		if got := s.Preview(service, client); got != want {
			t.Errorf("Preview(%s)\n got: %s\nwant: %s", service, got, want)
		}
	}
}
