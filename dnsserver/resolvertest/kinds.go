package resolvertest

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// Kinds are all of them.
func Kinds() []Kind { return []Kind{Unbound(), BIND(), PowerDNS(), Knot()} }

// Unbound is unbound with its subnetcache module (unbound.conf(5)).
func Unbound() Kind {
	return Kind{Name: "unbound", Subnets: true, configure: func(s setup) (map[string]string, []string) {
		modules := "subnetcache iterator"
		var anchors strings.Builder
		for _, ds := range s.anchors {
			modules = "subnetcache validator iterator"
			fmt.Fprintf(&anchors, "  trust-anchor: %q\n", ds.Hdr.Name+" DS "+data(ds))
		}
		return map[string]string{"conf": fmt.Sprintf(`
server:
  interface: %[1]s
  outgoing-interface: %[1]s
  do-ip6: no
  do-daemonize: no
  chroot: ""
  username: ""
  directory: %[2]q
  pidfile: ""
  use-syslog: no
  logfile: ""
  num-threads: 1
  root-hints: "hints"
  access-control: 127.0.0.0/8 allow
  do-not-query-localhost: no
  local-zone: "test." nodefault
  module-config: %[3]q
  send-client-subnet: 0.0.0.0/0
  send-client-subnet: ::0/0
  client-subnet-always-forward: yes
  max-client-subnet-ipv4: 24
  max-client-subnet-ipv6: 56
%[4]sremote-control:
  control-enable: no
`, s.address, s.folder, modules, anchors.String())}, []string{"-d", "-p", "-c", "conf"}
	}}
}

// BIND is named, the resolver.
func BIND() Kind {
	return Kind{Name: "named", interfaces: true, configure: func(s setup) (map[string]string, []string) {
		validation := "no"
		var anchors strings.Builder
		for _, ds := range s.anchors {
			validation = "yes"
			fmt.Fprintf(&anchors, "  %q static-ds %d %d %d %q;\n", ds.Hdr.Name, ds.KeyTag, ds.Algorithm, ds.DigestType, ds.Digest)
		}
		return map[string]string{"conf": fmt.Sprintf(`
options {
  directory %[2]q;
  listen-on port %[5]d { 127.0.0.1; };
  listen-on-v6 { none; };
  query-source address %[1]s;
  pid-file none;
  session-keyfile none;
  lock-file none;
  empty-zones-enable no;
  dnssec-validation %[3]s;
};
controls { };
zone "." { type hint; file "hints"; };
trust-anchors {
%[4]s};
`, s.address, s.folder, validation, anchors.String(), s.listen.Port())}, []string{"-g", "-4", "-n", "1", "-c", "conf"}
	}}
}

// PowerDNS is the PowerDNS Recursor.
func PowerDNS() Kind {
	return Kind{Name: "pdns_recursor", Subnets: true, configure: func(s setup) (map[string]string, []string) {
		validation, anchors := "off", "clearTA()\n"
		for _, ds := range s.anchors {
			validation = "validate"
			anchors += fmt.Sprintf("addTA(%q, %q)\n", ds.Hdr.Name, data(ds))
		}
		return map[string]string{"anchors.lua": anchors, "recursor.conf": fmt.Sprintf(`
local-address=%[1]s
local-port=53
query-local-address=%[1]s
hint-file=%[2]s/hints
lua-config-file=%[2]s/anchors.lua
socket-dir=%[2]s
dont-query=
allow-from=127.0.0.0/8
threads=1
daemon=no
write-pid=no
disable-syslog=yes
security-poll-suffix=
dnssec=%[3]s
use-incoming-edns-subnet=yes
edns-subnet-allow-list=0.0.0.0/0
ecs-add-for=0.0.0.0/0,::/0
ecs-ipv4-bits=24
ecs-ipv6-bits=56
ecs-cache-limit-ttl=0
`, s.address, s.folder, validation)}, []string{"--config-dir=" + s.folder}
	}}
}

// Knot is Knot Resolver.
func Knot() Kind {
	return Kind{Name: "kresd", configure: func(s setup) (map[string]string, []string) {
		var anchors strings.Builder
		for _, ds := range s.anchors {
			fmt.Fprintf(&anchors, "trust_anchors.add(%q)\n", ds.Hdr.Name+" DS "+data(ds))
		}
		return map[string]string{"conf": fmt.Sprintf(`
net.listen('%[1]s', 53)
net.outgoing_v4('%[1]s')
net.ipv6 = false
option('ALLOW_LOCAL', true)
cache.open(10 * MB, 'lmdb://%[2]s')
trust_anchors.remove('.')
modules.unload('ta_update')
modules.unload('ta_signal_query')
modules.unload('priming')
modules.load('hints > iterate')
hints.root({['a.root.'] = {'%[3]s'}})
%[4]s`, s.address, s.folder, s.root, anchors.String())}, []string{"-n", "-c", "conf", s.folder}
	}}
}

// data is a DS record's data in presentation form.
func data(ds dns.DS) string {
	return fmt.Sprintf("%d %d %d %s", ds.KeyTag, ds.Algorithm, ds.DigestType, ds.Digest)
}
