package main

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"fairway/tools/sidebyside"
)

// peer is another program that answers for the same world.
type peer struct {
	name, program string
	// files are what it reads, by their names in its folder.
	files func(p place) (map[string]string, error)
	args  func(folder string) []string
	// version is the arguments that have it print its version.
	version []string
}

// place is where a peer is to run.
type place struct {
	host, port, folder string
	workers            int
}

func placeOf(address, folder string, workers int) place {
	host, port, _ := net.SplitHostPort(address)
	return place{host, port, folder, workers}
}

func peers() []peer {
	return []peer{
		{name: gdnsd, program: "gdnsd", files: gdnsdFiles, args: func(f string) []string { return []string{"-c", f, "start"} }, version: []string{"version"}},
		{name: knot, program: "knotd", files: knotFiles, args: func(f string) []string { return []string{"-c", f + "/knot.conf"} }, version: []string{"-V"}},
		{name: pdns, program: "pdns_server", files: pdnsFiles, args: func(f string) []string { return []string{"--config-dir=" + f} }, version: []string{"--version"}},
	}
}

// command writes the peer's files and returns what starts it.
func (p peer) command(at place) ([]string, error) {
	program, err := sidebyside.Find(p.program)
	if err != nil {
		return nil, err
	}
	files, err := p.files(at)
	if err != nil {
		return nil, err
	}
	for name, text := range files {
		if err := write(filepath.Join(at.folder, name), text); err != nil {
			return nil, err
		}
	}
	return append([]string{program}, p.args(at.folder)...), nil
}

var versionNumber = regexp.MustCompile(`\d+\.\d+(\.\d+)+`)

// releaseOf is the version number of a peer; empty for what is none.
func releaseOf(name string) string {
	for _, p := range peers() {
		if p.name == name {
			return p.release()
		}
	}
	return ""
}

// release is the peer's version number.
func (p peer) release() string {
	program, err := sidebyside.Find(p.program)
	if err != nil {
		return ""
	}
	out, _ := exec.Command(program, p.version...).CombinedOutput()
	return versionNumber.FindString(string(out))
}

// gdnsdFiles has the map as networks: that gdnsd's table comes from a database
// makes no difference to its answers.
func gdnsdFiles(p place) (map[string]string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "options => { listen => %s, udp_threads => %d, tcp_threads => 1, run_dir => %q, state_dir => %q, edns_client_subnet => true }\n",
		net.JoinHostPort(p.host, p.port), p.workers, p.folder+"/run", p.folder+"/state")
	b.WriteString("plugins => { geoip => { maps => { m => { datacenters => [a, b, c, d], nets => {\n")
	for _, n := range networks() {
		fmt.Fprintf(&b, "%s => [%s]\n", n.prefix, n.cdn)
	}
	b.WriteString("} } }\nresources => { www => { map => m, service_types => up, dcmap => {\n")
	for _, cdn := range cdns() {
		fmt.Fprintf(&b, "%s => %s\n", cdn, hostOf(cdn))
	}
	b.WriteString("} } } } }\n")
	return map[string]string{
		"config": b.String(),
		"zones/" + strings.TrimSuffix(zoneName, "."): zoneFile + "www 30 DYNC geoip!www\n",
	}, nil
}

const zoneFile = "$TTL 30\n@ SOA ns1 host 1 7200 1800 259200 900\n@ NS ns1\nns1 A 192.0.2.1\n"

// knotFiles has Knot look the client's continent up in the database.
func knotFiles(p place) (map[string]string, error) {
	database, err := geoDatabase()
	if err != nil {
		return nil, err
	}
	var geo strings.Builder
	geo.WriteString(strings.TrimSuffix(asked, ".") + ":\n")
	for _, cdn := range cdns() {
		fmt.Fprintf(&geo, "  - geo: %q\n    CNAME: %s\n", strings.ToUpper(continentOf(cdn)), hostOf(cdn))
	}
	return map[string]string{
		"map.mmdb": database,
		"geo.conf": geo.String(),
		"zone":     zoneFile,
		"knot.conf": strings.NewReplacer("HOST", p.host, "PORT", p.port, "FOLDER", p.folder, "WORKERS", fmt.Sprint(p.workers), "ZONE", strings.TrimSuffix(zoneName, ".")).Replace(`server:
    listen: HOST@PORT
    udp-workers: WORKERS
    tcp-workers: 1
    background-workers: 1
    edns-client-subnet: on
    rundir: FOLDER
log:
  - target: stderr
    any: warning
database:
    storage: FOLDER/db
mod-geoip:
  - id: geo
    config-file: FOLDER/geo.conf
    ttl: 30
    mode: geodb
    geodb-file: FOLDER/map.mmdb
    geodb-key: continent/code
zone:
  - domain: ZONE
    storage: FOLDER
    file: zone
    zonefile-load: whole
    zonefile-sync: -1
    journal-content: none
    module: mod-geoip/geo
`),
	}, nil
}

// pdnsFiles has PowerDNS' geoip backend do the same, without its caches: they
// would answer a client with what another one got, or not be asked at all.
func pdnsFiles(p place) (map[string]string, error) {
	database, err := geoDatabase()
	if err != nil {
		return nil, err
	}
	zone := strings.TrimSuffix(zoneName, ".")
	var zones strings.Builder
	fmt.Fprintf(&zones, "domains:\n- domain: %s\n  ttl: 30\n  records:\n    %s:\n      - soa: ns1.%s host.%s 1 7200 1800 259200 900\n      - ns: ns1.%s\n", zone, zone, zone, zone, zone)
	for _, cdn := range cdns() {
		fmt.Fprintf(&zones, "    %s.www.%s:\n      - cname: %s\n", continentOf(cdn), zone, strings.TrimSuffix(hostOf(cdn), "."))
	}
	fmt.Fprintf(&zones, "  services:\n    www.%s: '%%cn.www.%s'\n", zone, zone)
	return map[string]string{
		"map.mmdb":   database,
		"zones.yaml": zones.String(),
		"pdns.conf": strings.NewReplacer("HOST", p.host, "PORT", p.port, "FOLDER", p.folder, "WORKERS", fmt.Sprint(p.workers),
			"SHARE", map[bool]string{true: "yes", false: "no"}[p.workers > 1]).Replace(`launch=geoip
local-address=HOST
local-port=PORT
socket-dir=FOLDER
geoip-database-files=mmdb:FOLDER/map.mmdb
geoip-zones-file=FOLDER/zones.yaml
edns-subnet-processing=yes
receiver-threads=WORKERS
distributor-threads=1
reuseport=SHARE
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=60
zone-cache-refresh-interval=0
daemon=no
guardian=no
disable-syslog=yes
write-pid=no
loglevel=3
security-poll-suffix=
`),
	}, nil
}
