package demo

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"fairway/policies"
	"fairway/steering"
)

// TestConfig: what Listen writes compiles without a finding and is what the
// demo promises.
func TestConfig(t *testing.T) {
	t.Parallel()
	r := start(t)
	files, err := policies.Read(r.ConfigFile())
	if err != nil {
		t.Fatal(err)
	}
	if string(files[0].Data) != string(r.Config()) {
		t.Error("Config() differs from the file")
	}
	configuration, findings := policies.Compile(files)
	for _, f := range findings {
		t.Error(f)
	}
	if configuration == nil {
		t.Fatal("it does not compile")
	}
	revision, node := configuration.Revision, configuration.Node

	if node.TokenFile != r.TokenFile() || !slices.Equal(node.Listen.DNS, []string{r.DNS()}) ||
		!slices.Equal(node.Listen.HTTP, []string{r.HTTP()}) || !slices.Equal(node.Listen.API, []string{r.API()}) {
		t.Errorf("node = %+v, want listeners %s, %s, %s and token file %s", node, r.DNS(), r.HTTP(), r.API(), r.TokenFile())
	}
	for _, address := range []string{r.DNS(), r.HTTP(), r.API()} {
		if ap, err := netip.ParseAddrPort(address); err != nil || ap.Port() == 0 {
			t.Errorf("address %q: port 0 must have been replaced", address)
		}
	}
	if info, err := os.Stat(r.TokenFile()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("token file: %v, %v, want mode 0600", info.Mode(), err)
	}
	if z := revision.Zones; len(z) != 1 || z[0].Name != "fairway.test." {
		t.Fatalf("zones = %+v, want fairway.test", z)
	}
	for _, service := range []string{"live", "vod"} {
		s := revision.Service(service)
		if s == nil || len(s.Endpoints) != 12 || !slices.Equal(s.Hostnames, []string{service + ".fairway.test."}) {
			t.Fatalf("service %s = %+v, want twelve endpoints at %s.fairway.test", service, s, service)
		}
		for _, e := range s.Endpoints {
			checkEndpoint(t, r, revision, e)
		}
	}
	for i, name := range regionNames {
		region := revision.Region(name)
		if region == nil || region.Pool != name {
			t.Fatalf("region %s = %+v, want one with its own pool", name, region)
		}
		var bound []netip.Addr
		for _, v := range revision.Vantages {
			if v.Region == name {
				bound = append(bound, v.Bind)
			}
		}
		slices.SortFunc(bound, netip.Addr.Compare)
		if !slices.Equal(bound, vantageAddresses(i)) {
			t.Errorf("vantages of %s probe from %v, want %v", name, bound, vantageAddresses(i))
		}
	}
}

// checkEndpoint: its host names the CDN and resolves, in our zone, to what is
// probed; its URL can be fetched as it is.
func checkEndpoint(t *testing.T, r *running, revision *steering.Revision, e *steering.Endpoint) {
	t.Helper()
	if want := e.Pool + "." + e.Provider + ".fairway.test."; e.Host != want || len(e.Addresses) < 2 {
		t.Errorf("%s: host %s with %v, want %s with several addresses", e.ID, e.Host, e.Addresses, want)
	}
	var resolved []netip.Addr
	for _, record := range revision.Zones[0].Records {
		if record.Name == e.Host && record.Type == dns.TypeA {
			resolved = append(resolved, netip.AddrFrom4([4]byte([]byte(record.Data))))
		}
	}
	if !slices.Equal(resolved, e.Addresses) {
		t.Errorf("%s: %s is %v in the zone, want %v", e.ID, e.Host, resolved, e.Addresses)
	}
	got := fetch(t, r.client("127.0.0.1"), e.URL+"/main.m3u8")
	if got.status != 200 || got.header.Get("X-CDN") != e.Provider || !strings.HasPrefix(got.body, "#EXTM3U") {
		t.Errorf("%s: GET %s/main.m3u8 = %d from %q", e.ID, e.URL, got.status, got.header.Get("X-CDN"))
	}
}
