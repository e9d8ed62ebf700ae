package probes

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fairway/steering"
)

func TestTargets(t *testing.T) {
	address := netip.MustParseAddr
	service := func(p *steering.Probe, e *steering.Endpoint) *steering.Revision {
		e.ID, e.Service = "live/alpha", "live"
		return &steering.Revision{Services: []*steering.Service{{Key: "live", Probe: p, Endpoints: []*steering.Endpoint{e}}}}
	}
	pool := func(p *steering.Probe, origins ...string) *steering.Revision {
		return &steering.Revision{Pools: []*steering.Pool{{Name: "us", Probe: p, Origins: origins}}}
	}
	http := &steering.Probe{Type: steering.ProbeHTTP, Path: "/live/main.m3u8?a=b"}
	https := &steering.Probe{Type: steering.ProbeHTTPS}
	tcp := &steering.Probe{Type: steering.ProbeTCP}
	hls := &steering.Probe{Type: steering.ProbeHLS, Path: "/main.m3u8"}
	fixed := &steering.Probe{Type: steering.ProbeHTTPS, Port: 8443}
	tests := []struct {
		name     string
		revision *steering.Revision
		want     []Target
	}{
		{"host loses its final dot, port is the scheme's", service(http, &steering.Endpoint{Host: "a.example."}),
			[]Target{{Subject: "endpoint live/alpha", Group: "service live", Probe: http, Host: "a.example", Port: 80, Path: "/live/main.m3u8?a=b"}}},
		{"URL's port where the schemes agree", service(https, &steering.Endpoint{Host: "a.example.", URL: "https://b.example:4443/live"}),
			[]Target{{Subject: "endpoint live/alpha", Group: "service live", Secure: true, Probe: https, Host: "a.example", Port: 4443, Path: "/"}}},
		{"not the port of another scheme's URL", service(http, &steering.Endpoint{URL: "https://b.example:4443/live"}),
			[]Target{{Subject: "endpoint live/alpha", Group: "service live", Probe: http, Host: "b.example", Port: 80, Path: "/live/main.m3u8?a=b"}}},
		{"the probe's port before all", service(fixed, &steering.Endpoint{URL: "https://b.example:4443"}),
			[]Target{{Subject: "endpoint live/alpha", Group: "service live", Secure: true, Probe: fixed, Host: "b.example", Port: 8443, Path: "/"}}},
		{"TCP takes any URL's port", service(tcp, &steering.Endpoint{URL: "http://b.example:8080"}),
			[]Target{{Subject: "endpoint live/alpha", Group: "service live", Probe: tcp, Host: "b.example", Port: 8080, Path: "/"}}},
		{"TCP takes any URL's scheme", service(tcp, &steering.Endpoint{URL: "http://b.example"}),
			[]Target{{Subject: "endpoint live/alpha", Group: "service live", Probe: tcp, Host: "b.example", Port: 80, Path: "/"}}},
		{"addresses only", service(https, &steering.Endpoint{Addresses: []netip.Addr{address("2001:db8::1"), address("192.0.2.1")}}),
			[]Target{{Subject: "endpoint live/alpha", Group: "service live", Secure: true, Probe: https, Host: "2001:db8::1", Port: 443, Path: "/",
				Addresses: []netip.Addr{address("2001:db8::1"), address("192.0.2.1")}}}},
		{"media goes where the URL says", service(hls, &steering.Endpoint{Host: "a.example.", URL: "http://b.example:8080/live"}),
			[]Target{{Subject: "endpoint live/alpha", Group: "service live", Probe: hls, Host: "a.example", Port: 8080, Path: "/main.m3u8"}}},
		{"media is secure where nothing says otherwise", service(hls, &steering.Endpoint{Host: "a.example.", Provider: "bravo", Account: &steering.Provider{Tokens: &steering.Tokens{}}}),
			[]Target{{Subject: "endpoint live/alpha", Group: "service live", Secure: true, Probe: hls, Host: "a.example", Port: 443, Path: "/main.m3u8", Provider: "bravo"}}},
		{"nothing to connect to", service(https, &steering.Endpoint{}), nil},
		{"service without a probe", service(nil, &steering.Endpoint{Host: "a.example."}), nil},
		{"origins, one of them twice", pool(http, "http://[2001:db8::2]:81", "http://o.example./x", "http://o.example./x"),
			[]Target{
				{Subject: "origin us http://[2001:db8::2]:81", Group: "pool us", Probe: http, Host: "2001:db8::2", Port: 81, Path: "/live/main.m3u8?a=b"},
				{Subject: "origin us http://o.example./x", Group: "pool us", Probe: http, Host: "o.example", Port: 80, Path: "/live/main.m3u8?a=b"},
			}},
		{"pool without a probe", pool(nil, "http://o.example"), nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, Targets(test.revision), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("Targets: -want +got\n%s", diff)
			}
		})
	}
}
