package probes

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

func mustURL(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// records answers A with some addresses and AAAA with one.
func records(ttl int, a ...string) func(string, uint16) ([]dns.RR, int) {
	return func(name string, qtype uint16) ([]dns.RR, int) {
		var all []dns.RR
		for _, address := range a {
			kind := "A"
			if strings.Contains(address, ":") {
				kind = "AAAA"
			}
			if dns.StringToType[kind] == qtype {
				r, _ := dns.NewRR(fmt.Sprintf("%s %d IN %s %s", name, ttl, kind, address))
				all = append(all, r)
			}
		}
		return all, dns.RcodeSuccess
	}
}

// A DNS probe measures the resolver's answers: which, how long they hold, how soon.
func TestProbeDNS(t *testing.T) {
	refuse := func(string, uint16) ([]dns.RR, int) { return nil, dns.RcodeRefused }
	nets := func(all ...string) (networks []netip.Prefix) {
		for _, one := range all {
			networks = append(networks, netip.MustParsePrefix(one))
		}
		return networks
	}
	tests := []struct {
		name    string
		answer  func(string, uint16) ([]dns.RR, int)
		rules   steering.DNSRules
		family  steering.AddressFamily
		outcome steering.Outcome
		detail  string
	}{
		{"both families", records(20, "192.0.2.1", "2001:db8::1"), steering.DNSRules{}, "", steering.OutcomeOK, "[192.0.2.1 2001:db8::1], TTL 20s, from 127.0.0.1"},
		{"one of them", records(20, "192.0.2.1", "2001:db8::1"), steering.DNSRules{}, steering.OnlyIPv6, steering.OutcomeOK, "[2001:db8::1], TTL 20s, from 127.0.0.1"},
		{"within", records(20, "192.0.2.1"), steering.DNSRules{Within: nets("192.0.2.0/24"), MaxTTL: 20 * time.Second}, "", steering.OutcomeOK, "TTL 20s"},
		{"without", records(20, "192.0.2.1", "203.0.113.9"), steering.DNSRules{Within: nets("192.0.2.0/24")}, "", steering.OutcomeDNS, "203.0.113.9 is in none of the expected networks"},
		{"long TTL", records(300, "192.0.2.1"), steering.DNSRules{MaxTTL: time.Minute}, "", steering.OutcomeDNS, "TTL 5m0s is longer than 1m0s"},
		{"no addresses", records(20), steering.DNSRules{}, "", steering.OutcomeDNS, "no addresses, says 127.0.0.1:"},
		{"refused", refuse, steering.DNSRules{}, "", steering.OutcomeDNS, "REFUSED, says 127.0.0.1:"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server, _ := resolver(t, test.answer)
			m := measureOne(t, at(netip.MustParseAddrPort("192.0.2.1:443"), steering.ProbeDNS, func(target *Target, p *steering.Probe) {
				target.Host, p.Resolver, p.DNS, p.Family = "cdn.example", server, test.rules, test.family
			}))
			if m.Outcome != test.outcome || !strings.Contains(m.Detail, test.detail) || m.Address != netip.MustParseAddr("127.0.0.1") || m.Phases.DNS <= 0 {
				t.Errorf("measured %s %q at %s, phases %+v", m.Outcome, m.Detail, m.Address, m.Phases)
			}
		})
	}
}

// An echo is measured where the system allows it; where it does not, that is told
// of this machine, and nothing of the CDN.
func TestProbeICMP(t *testing.T) {
	a := at(netip.MustParseAddrPort("127.0.0.1:1"), steering.ProbeICMP, nil)
	one := testProber().attempt(a, netip.MustParseAddr("127.0.0.1"), 0)
	switch err := testProber().try(t.Context(), one); {
	case err == nil:
		if one.phases.TTFB <= 0 {
			t.Errorf("phases %+v", one.phases)
		}
	case !errors.Is(err, syscall.EACCES) || !strings.Contains(err.Error(), "widen net.ipv4.ping_group_range"):
		t.Errorf("%v", err)
	default:
		if batch := testProber().probe(t.Context(), a); len(batch) != 0 {
			t.Errorf("measured %+v", batch)
		}
	}
}

// Where addresses come from: the system's or the probe's resolver, the vantage's
// own, the probe's resolver told of the region's clients (RFC 7871), or a list.
func TestResolution(t *testing.T) {
	var mu sync.Mutex
	subnets := make(map[string]string)
	serving := func(name string, address string) string {
		server := &dns.Server{Addr: "127.0.0.1:0", Net: "udp"}
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		server.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
			mu.Lock()
			defer mu.Unlock()
			if o := q.IsEdns0(); o != nil {
				for _, option := range o.Option {
					subnets[name] = option.String()
				}
			}
			reply := new(dns.Msg).SetReply(q)
			reply.Answer, _ = records(20, address)(q.Question[0].Name, q.Question[0].Qtype)
			w.WriteMsg(reply)
		})
		go server.ListenAndServe()
		<-started
		t.Cleanup(func() { server.Shutdown() })
		return server.PacketConn.LocalAddr().String()
	}
	l := listenAll(t, "127.0.0.21", "127.0.0.22", "127.0.0.23")
	var port netip.AddrPort
	for _, one := range l {
		port = handle(t, one, func(http.ResponseWriter, *http.Request) {})
	}
	central, regional := serving("central", "127.0.0.21"), serving("regional", "127.0.0.22")
	subnet := netip.MustParsePrefix("198.51.100.0/24")
	tests := []struct {
		name     string
		probe    steering.Probe
		regional string
		want     string
		subnet   string
	}{
		{"the probe's resolver", steering.Probe{Resolver: central}, regional, "127.0.0.21", ""},
		{"told of the region", steering.Probe{Resolver: central, Resolve: steering.ResolvePerRegion}, "", "127.0.0.21", "198.51.100.0/24/0"},
		{"the vantage's own", steering.Probe{Resolver: central, Resolve: steering.ResolvePerRegion}, regional, "127.0.0.22", ""},
		{"a list", steering.Probe{Resolver: central, At: []netip.Addr{netip.MustParseAddr("127.0.0.23")}}, regional, "127.0.0.23", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			mu.Lock()
			clear(subnets)
			mu.Unlock()
			p := test.probe
			p.Type, p.Timeout, p.Family = steering.ProbeHTTP, 10*time.Second, steering.OnlyIPv4
			target := Target{Subject: "endpoint a", Probe: &p, Host: "cdn.example", Port: int(port.Port()), Path: "/"}
			a := newAssignment(target, steering.Vantage{Name: "fra", Region: "eu", Resolver: test.regional}, probeHTTP, shared{
				trust: readTrust(""), allow: loopback, subnets: map[string]netip.Prefix{"eu": subnet},
			})
			m := measureOne(t, a)
			mu.Lock()
			defer mu.Unlock()
			if !m.OK() || m.Address.String() != test.want || subnets["central"] != test.subnet {
				t.Errorf("measured %s %q at %s with subnet %q, want %s with %q", m.Outcome, m.Detail, m.Address, subnets["central"], test.want, test.subnet)
			}
		})
	}
}

// A probe of one address family leaves the other aside, and a host that lacks it
// does not resolve for this probe.
func TestFamily(t *testing.T) {
	l := listenAll(t, "127.0.0.1", "::1")
	ok := func(http.ResponseWriter, *http.Request) {}
	port := handle(t, l[0], ok)
	handle(t, l[1], ok)
	for _, test := range []struct {
		has    []string
		family steering.AddressFamily
		want   string
	}{
		{[]string{"127.0.0.1", "::1"}, "", "127.0.0.1 ok, ::1 ok"},
		{[]string{"127.0.0.1", "::1"}, steering.OnlyIPv6, "::1 ok"},
		{[]string{"127.0.0.1", "::1"}, steering.OnlyIPv4, "127.0.0.1 ok"},
		{[]string{"127.0.0.1"}, steering.OnlyIPv6, "invalid IP dns"},
		{[]string{"::1"}, "", "::1 ok"},
	} {
		server, _ := resolver(t, records(20, test.has...))
		a := at(port, steering.ProbeHTTP, func(target *Target, p *steering.Probe) {
			target.Host, p.Resolver, p.Family = "cdn.example", server, test.family
		})
		var got []string
		for _, m := range testProber().probe(t.Context(), a) {
			got = append(got, m.Address.String()+" "+string(m.Outcome))
		}
		if strings.Join(got, ", ") != test.want {
			t.Errorf("%v, family %q: %v, want %s", test.has, test.family, got, test.want)
		}
	}
}
