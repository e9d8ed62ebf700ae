package transfer

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/dnsserver"
	"fairway/steering"
)

// inbound is a door whose zone is maintained elsewhere, with one name steered here.
type inbound struct {
	t         *testing.T
	secondary *Secondary
	door      *dnsserver.Server
	address   netip.AddrPort
}

func newInbound(t *testing.T) *inbound {
	t.Helper()
	in := &inbound{t: t}
	changed := make(chan struct{}, 1)
	var err error
	in.secondary, err = NewSecondary(SecondaryConfig{Folder: t.TempDir(), Changed: func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	current, publish := steering.NewCurrent(nil)
	primary, err := New(Config{Current: current, Keys: []Key{testKey}, Notices: in.secondary})
	if err != nil {
		t.Fatal(err)
	}
	in.door, err = dnsserver.New(dnsserver.Config{Listen: []string{"127.0.0.1:0"}, Backend: dnsserver.BackendPortable, Current: current, Copies: primary})
	if err != nil {
		t.Fatal(err)
	}
	primary.Serve(in.door)
	if err := in.door.Listen(); err != nil {
		t.Fatal(err)
	}
	in.address = netip.MustParseAddrPort(in.door.Addrs()[0])
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- in.door.Run(ctx) }()
	go func() { done <- in.secondary.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
	number := uint64(0)
	refill := func() {
		number++
		publish(in.snapshot(number))
	}
	refill()
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
				refill()
			}
		}
	}()
	return in
}

// snapshot is a generation with the zone as it has come.
func (in *inbound) snapshot(number uint64) *steering.Snapshot {
	policy := &steering.Policy{Name: "p", HashV4: 24, HashV6: 56, Rules: []*steering.Rule{{Name: "all"}}}
	service := &steering.Service{Key: "live", Hostnames: []string{live}, TTL: 20 * time.Second, Policy: policy}
	service.Endpoints = []*steering.Endpoint{{ID: "live/alpha", Service: "live", Provider: "alpha", Host: "alpha.example.net.", Weight: 1}}
	zone := steering.Zone{Name: apex, Primaries: []steering.Peer{{}}}
	if c := in.secondary.Copy(apex); c != nil {
		zone, _ = c.Fill(zone, []*steering.Service{service})
	}
	revision := &steering.Revision{Hash: "r", Zones: []steering.Zone{zone}, Services: []*steering.Service{service}, Policies: []*steering.Policy{policy}}
	layout, err := steering.NewLayout(revision, nowhere{})
	if err != nil {
		panic(err)
	}
	if err := in.door.Prepare(layout); err != nil {
		panic(err)
	}
	snapshot, err := steering.NewSnapshot(number, time.Now(), layout, [][]*steering.Split{{steering.StaticSplit(service)}}, nil)
	if err != nil {
		panic(err)
	}
	return snapshot
}

// master is how one implementation is told to give us a zone.
type master struct {
	program string
	host    string
	args    func(d *daemon) []string
	config  func(d *daemon, us netip.AddrPort) string
}

func masters() []master {
	return []master{
		{
			program: "nsd", host: loopback(),
			args: func(d *daemon) []string { return []string{"-d", "-c", d.folder + "/conf"} },
			config: func(d *daemon, us netip.AddrPort) string {
				return fmt.Sprintf(`
server:
  ip-address: %[1]s@%[2]d
  port: %[2]d
  server-count: 1
  username: ""
  zonesdir: "%[3]s"
  database: ""
  pidfile: "%[3]s/pid"
  xfrdfile: "%[3]s/xfrd.state"
  xfrdir: "%[3]s"
  zonelistfile: "%[3]s/zone.list"
  verbosity: 2
remote-control:
  control-enable: no
key:
  name: ns2.
  algorithm: hmac-sha256
  secret: "%[4]s"
zone:
  name: cdn.example
  zonefile: zone
  notify: %[5]s@%[6]d ns2.
  provide-xfr: 127.0.0.0/8 ns2.
`, d.host, d.port, d.folder, secret(), us.Addr(), us.Port())
			},
		},
		{
			program: "knotd", host: loopback(),
			args: func(d *daemon) []string { return []string{"-c", d.folder + "/conf", "-s", d.folder + "/sock"} },
			config: func(d *daemon, us netip.AddrPort) string {
				return fmt.Sprintf(`
server:
    listen: %[1]s@%[2]d
    rundir: "%[3]s"
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stdout
    any: info
database:
    storage: "%[3]s"
key:
  - id: ns2.
    algorithm: hmac-sha256
    secret: "%[4]s"
remote:
  - id: us
    address: %[5]s@%[6]d
    key: ns2.
acl:
  - id: transfer
    address: 127.0.0.0/8
    key: ns2.
    action: transfer
zone:
  - domain: cdn.example
    storage: "%[3]s"
    file: zone
    notify: us
    acl: transfer
    zonefile-load: difference
    zonefile-sync: -1
    journal-content: changes
`, d.host, d.port, d.folder, secret(), us.Addr(), us.Port())
			},
		},
		{
			program: "named", host: "127.0.0.1",
			args: func(d *daemon) []string { return []string{"-g", "-c", d.folder + "/conf"} },
			config: func(d *daemon, us netip.AddrPort) string {
				return fmt.Sprintf(`
options {
  directory "%[3]s"; pid-file "%[3]s/pid"; session-keyfile "%[3]s/session.key"; managed-keys-directory "%[3]s";
  listen-on port %[2]d { %[1]s; }; listen-on-v6 { none; };
  recursion no; dnssec-validation no; allow-query { any; };
};
controls { };
key "ns2." { algorithm hmac-sha256; secret "%[4]s"; };
zone "cdn.example" {
  type primary; file "zone"; ixfr-from-differences yes; journal "zone.jnl";
  allow-transfer { key "ns2."; }; notify explicit; also-notify { %[5]s port %[6]d key "ns2."; };
};
`, d.host, d.port, d.folder, secret(), us.Addr(), us.Port())
			},
		},
	}
}

func zoneFile(serial int, address string) string {
	return fmt.Sprintf(`$ORIGIN cdn.example.
@ 300 SOA ns1 host %d 3600 600 86400 60
@ 300 NS ns1
ns1 300 A 192.0.2.1
www 300 A %s
live 300 A 192.0.2.66
*.wild 300 TXT "anything"
`, serial, address)
}

// addressOf is a server's A record for a name.
func addressOf(server, name string) string {
	if r := ask(server, name, dns.TypeA); r != nil && len(r.Answer) == 1 {
		if a, ok := r.Answer[0].(*dns.A); ok {
			return a.A.String()
		}
	}
	return ""
}

// TestPrimaries: the zone comes from each, with its own records and our steered name
// over theirs; a change there is here at once, by NOTIFY; and when the primary is
// gone, all stays as it was.
func TestPrimaries(t *testing.T) {
	for _, m := range masters() {
		t.Run(m.program, func(t *testing.T) {
			t.Parallel()
			in := newInbound(t)
			server := in.address.String()
			if r := ask(server, "www."+apex, dns.TypeA); r == nil || r.Rcode != dns.RcodeServerFailure {
				t.Errorf("before the zone has come: %v", r)
			}
			d := newDaemon(t, m.host)
			// Some tell a changed file by its time in whole seconds.
			if err := os.Chtimes(d.write("zone", zoneFile(1, "192.0.2.2")), time.Time{}, time.Now().Add(-time.Hour)); err != nil {
				t.Fatal(err)
			}
			d.write("conf", m.config(d, in.address))
			stop := d.start(m.program, m.args(d)...)
			in.secondary.Set([]steering.Zone{{Name: apex, Primaries: []steering.Peer{{Address: netip.MustParseAddrPort(d.address), Key: testKey.Name}}}}, []Key{testKey})
			until(t, "the zone comes", func() bool { return addressOf(server, "www."+apex) == "192.0.2.2" })
			if got := target(server, live); got != "alpha.example.net." {
				t.Errorf("the steered name leads to %q", got)
			}
			if r := ask(server, "a.b.wild."+apex, dns.TypeTXT); r == nil || len(r.Answer) != 1 {
				t.Errorf("wildcard: %v", r)
			}

			d.write("zone", zoneFile(2, "192.0.2.3"))
			if err := syscall.Kill(d.pid, syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			until(t, "the change comes by NOTIFY", func() bool { return addressOf(server, "www."+apex) == "192.0.2.3" })
			if !serves(server, 2) {
				t.Error("the SOA record is not the primary's")
			}

			stop()
			if got := addressOf(server, "www."+apex); got != "192.0.2.3" {
				t.Errorf("without the primary: %q", got)
			}
		})
	}
}

// TestPrimaryWithAnotherKey: an answer that our key has not signed is none.
func TestPrimaryWithAnotherKey(t *testing.T) {
	w := newWorld(t, nil)
	server := netip.MustParseAddrPort(w.run())
	wrong := Key{Name: testKey.Name, Algorithm: testKey.Algorithm, Secret: []byte("fedcba9876543210fedcba9876543210")}
	for name, key := range map[string]*Key{"none": nil, "wrong": &wrong} {
		if rrs, err := (network{}).Transfer(t.Context(), apex, server, key, nil); err == nil {
			t.Errorf("key %s: %d records", name, len(rrs))
		}
	}
	if _, err := (network{}).Serial(t.Context(), apex, server, &wrong); err == nil {
		t.Error("the SOA record was taken with the wrong key")
	}
	rrs, err := (network{}).Transfer(t.Context(), apex, server, &testKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newCopy(apex, rrs); err != nil {
		t.Error(err)
	}
}
