package dnsserver

import (
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"fairway/steering"
)

// TestResolversAndClientsAreToldApart: a rule may ask whether the address is the
// client's own, as an ECS option says, or that of a resolver that says nothing;
// both paths decide alike. A client that hides (RFC 7871 §7.1.2, a source length
// of 0) is its resolver.
func TestResolversAndClientsAreToldApart(t *testing.T) {
	w := newWorld()
	service := w.revision.Services[0]
	service.Policy = &steering.Policy{Name: "asks", HashV4: 24, HashV6: 56, Rules: []*steering.Rule{
		{Name: "resolver", When: func(f *steering.Facts) bool { return f.Source == steering.SourceResolver }, Reads: steering.Reading{Source: true}},
		{Name: "client"},
	}}
	layout := w.layout(t)
	current, _ := steering.NewCurrent(w.snapshot(t, layout, 1))
	s, err := New(Config{Listen: []string{"127.0.0.1:0"}, Current: current})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Prepare(layout); err != nil {
		t.Fatal(err)
	}
	m := newScratch()
	for _, row := range []struct{ subnet, want string }{
		{"", "resolver"}, {"192.0.2.0/24", "client"}, {"0.0.0.0/0", "resolver"},
	} {
		request := query(service.Hostnames[0], dns.TypeA)
		if row.subnet != "" {
			withClient(row.subnet)(request)
		}
		packet, err := request.Pack()
		if err != nil {
			t.Fatal(err)
		}
		if !agree(t, s, m, packet, netip.MustParseAddr(inEU), transportUDP) {
			t.Fatalf("subnet %q: the fast path declines", row.subnet)
		}
		if got := m.decision.Group.Rule.Name; got != row.want {
			t.Errorf("subnet %q is decided by rule %s, want %s", row.subnet, got, row.want)
		}
	}
}
