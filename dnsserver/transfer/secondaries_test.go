package transfer

import (
	"fmt"
	"net/netip"
	"testing"

	"fairway/steering"
)

// secondary is how one implementation is told to copy our zone.
type secondary struct {
	program string
	host    string // where it listens
	args    func(d *daemon) []string
	config  func(d *daemon, primary netip.AddrPort) string
	ixfr    string // what its log says of an incremental transfer; empty = nothing
}

func secondaries() []secondary {
	return []secondary{
		{
			program: "nsd",
			host:    loopback(),
			args:    func(d *daemon) []string { return []string{"-d", "-c", d.folder + "/conf"} },
			config: func(d *daemon, primary netip.AddrPort) string {
				return fmt.Sprintf(`
server:
  ip-address: %[6]s@%[1]d
  port: %[1]d
  server-count: 1
  username: ""
  zonesdir: "%[2]s"
  database: ""
  pidfile: "%[2]s/pid"
  xfrdfile: "%[2]s/xfrd.state"
  xfrdir: "%[2]s"
  zonelistfile: "%[2]s/zone.list"
  verbosity: 3
remote-control:
  control-enable: no
key:
  name: ns2.
  algorithm: hmac-sha256
  secret: "%[3]s"
zone:
  name: cdn.example
  zonefile: cdn.example.zone
  allow-notify: 127.0.0.1 ns2.
  request-xfr: %[4]s@%[5]d ns2.
`, d.port, d.folder, secret(), primary.Addr(), primary.Port(), d.host)
			},
		},
		{
			program: "knotd",
			host:    loopback(),
			args:    func(d *daemon) []string { return []string{"-c", d.folder + "/conf", "-s", d.folder + "/sock"} },
			config: func(d *daemon, primary netip.AddrPort) string {
				return fmt.Sprintf(`
server:
    listen: %[6]s@%[1]d
    rundir: "%[2]s"
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stdout
    any: info
database:
    storage: "%[2]s"
key:
  - id: ns2.
    algorithm: hmac-sha256
    secret: "%[3]s"
remote:
  - id: primary
    address: %[4]s@%[5]d
    key: ns2.
acl:
  - id: notify
    address: 127.0.0.1
    key: ns2.
    action: notify
zone:
  - domain: cdn.example
    storage: "%[2]s"
    master: primary
    acl: notify
`, d.port, d.folder, secret(), primary.Addr(), primary.Port(), d.host)
			},
			ixfr: "IXFR, incoming",
		},
		{
			program: "named",
			host:    "127.0.0.1", // it listens only on addresses that an interface has
			args:    func(d *daemon) []string { return []string{"-g", "-c", d.folder + "/conf"} },
			config: func(d *daemon, primary netip.AddrPort) string {
				return fmt.Sprintf(`
options {
  directory "%[2]s"; pid-file "%[2]s/pid"; session-keyfile "%[2]s/session.key"; managed-keys-directory "%[2]s";
  listen-on port %[1]d { %[6]s; }; listen-on-v6 { none; };
  recursion no; notify no; dnssec-validation no; allow-query { any; };
};
controls { };
key "ns2." { algorithm hmac-sha256; secret "%[3]s"; };
zone "cdn.example" {
  type secondary; file "cdn.example.zone"; request-ixfr yes;
  primaries { %[4]s port %[5]d key "ns2."; };
  allow-notify { key "ns2."; };
};
`, d.port, d.folder, secret(), primary.Addr(), primary.Port(), d.host)
			},
			ixfr: "Transfer status: success",
		},
	}
}

// TestSecondaries: each transfers the zone, serves it, is notified of a change, and
// takes it up, long before its refresh timer would tell it to.
func TestSecondaries(t *testing.T) {
	for _, s := range secondaries() {
		t.Run(s.program, func(t *testing.T) {
			t.Parallel()
			d := newDaemon(t, s.host)
			w := newWorld(t, func(_ *Config, z *steering.Zone) {
				z.Copies.Notify = []steering.Peer{{Address: netip.MustParseAddrPort(d.address), Key: testKey.Name}}
			})
			primary := netip.MustParseAddrPort(w.run())
			d.write("conf", s.config(d, primary))
			d.start(s.program, s.args(d)...)
			first, _ := w.primary.Serial(apex)
			until(t, "the secondary serves the zone", func() bool { return serves(d.address, first) })
			until(t, "the steered name leads to the CDN", func() bool { return target(d.address, live) == "alpha.example.net." })

			w.steer(nil, 1)
			until(t, "the change is a new version", func() bool { serial, _ := w.primary.Serial(apex); return serial != first })
			second, _ := w.primary.Serial(apex)
			until(t, "the secondary takes up the change", func() bool { return serves(d.address, second) })
			// Processes of the version before may answer for a moment.
			until(t, "the steered name leads elsewhere", func() bool { return target(d.address, live) == "bravo.example.net." })
			if s.ixfr != "" {
				until(t, "its log says "+s.ixfr, func() bool { return d.mentions(s.ixfr) })
			}
		})
	}
}
