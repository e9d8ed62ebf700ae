package dnsserver

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"fairway/dnsserver/dnssec"
)

// validated are questions of every kind about fairway.test, and what a validator
// says of the answers.
var validated = []struct {
	name  string
	qtype uint16
	rcode int // that resolvers give who take NXNAME for nothing special
	empty bool
}{
	{"www.fairway.test.", dns.TypeA, dns.RcodeSuccess, false},
	{"fairway.test.", dns.TypeSOA, dns.RcodeSuccess, false},
	{"fairway.test.", dns.TypeDNSKEY, dns.RcodeSuccess, false},
	{"fairway.test.", dns.TypeMX, dns.RcodeSuccess, false},
	{"alias.fairway.test.", dns.TypeAAAA, dns.RcodeSuccess, false},
	{"live.fairway.test.", dns.TypeCNAME, dns.RcodeSuccess, false},
	{"inside.fairway.test.", dns.TypeA, dns.RcodeSuccess, false},
	{"shop.fairway.test.", dns.TypeA, dns.RcodeSuccess, false},
	{"https.fairway.test.", dns.TypeHTTPS, dns.RcodeSuccess, false},
	{"odd.fairway.test.", 65280, dns.RcodeSuccess, false},
	{"a.b.ent.fairway.test.", dns.TypeTXT, dns.RcodeSuccess, false},
	{"x.wild.fairway.test.", dns.TypeA, dns.RcodeSuccess, false},
	{"q.r.wild.fairway.test.", dns.TypeTXT, dns.RcodeSuccess, false},
	{"n.star.fairway.test.", dns.TypeA, dns.RcodeSuccess, false},
	{"sub.fairway.test.", dns.TypeDS, dns.RcodeSuccess, false},
	{"large.fairway.test.", dns.TypeTXT, dns.RcodeSuccess, false}, // over TCP
	{"nothing.fairway.test.", dns.TypeA, dns.RcodeSuccess, true},
	{"b.c.nothing.fairway.test.", dns.TypeA, dns.RcodeSuccess, true},
	{"www.fairway.test.", dns.TypeMX, dns.RcodeSuccess, true},
	{"ent.fairway.test.", dns.TypeA, dns.RcodeSuccess, true},
	{"fairway.test.", dns.TypeTXT, dns.RcodeSuccess, true},
	{"x.wild.fairway.test.", dns.TypeMX, dns.RcodeSuccess, true},
	{"shop.fairway.test.", dns.TypeMX, dns.RcodeSuccess, true},
	{"plain.fairway.test.", dns.TypeDS, dns.RcodeSuccess, true},
	{"_acme.live.fairway.test.", dns.TypeA, dns.RcodeSuccess, true},
}

// anchors writes the keys that validators are to trust, in the form of BIND.
func anchors(t *testing.T, k *dnssec.Keeper, zone string) string {
	t.Helper()
	var text strings.Builder
	text.WriteString("trust-anchors {\n")
	for _, rr := range k.Apex(zone, dns.TypeDNSKEY) {
		if key := rr.(*dns.DNSKEY); key.Flags&1 == 1 {
			fmt.Fprintf(&text, "  %q static-key %d %d %d %q;\n", zone, key.Flags, key.Protocol, key.Algorithm, key.PublicKey)
		}
	}
	text.WriteString("};\n")
	path := filepath.Join(t.TempDir(), "anchors")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestDelv: BIND's validator takes every answer for what it is.
func TestDelv(t *testing.T) {
	s, k := newSignedServer(t)
	address, _ := start(t, s)
	checkDelv(t, address, anchors(t, k, "fairway.test."))
}

// checkDelv asks all at once: a delv on a busy machine takes its time.
func checkDelv(t *testing.T, address, anchor string) {
	t.Helper()
	host, port, _ := net.SplitHostPort(address)
	for _, c := range validated {
		out, err := exec.Command("delv", "@"+host, "-p", port, "-a", anchor, "+root=fairway.test", "+nomultiline", c.name, fmt.Sprintf("TYPE%d", c.qtype)).CombinedOutput()
		want := "; fully validated"
		if c.empty {
			want = "; negative response, fully validated"
		}
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("delv %s %s: want %q (%v)\n%s", c.name, dns.Type(c.qtype), want, err, out)
		}
	}
}

// TestUnbound: a validating unbound that has the zone's DS as its anchor resolves
// everything as secure, and nothing as bogus.
func TestUnbound(t *testing.T) {
	s, k := newSignedServer(t)
	address, _ := start(t, s)
	checkUnbound(t, startUnbound(t, address, "fairway.test.", k))
}

func checkUnbound(t *testing.T, resolver string) {
	t.Helper()
	for _, c := range validated {
		reply := askResolver(t, resolver, c.name, c.qtype)
		if reply.Rcode != c.rcode || !reply.AuthenticatedData || (len(reply.Answer) == 0) != c.empty {
			t.Errorf("%s %s: not secure\n%v", c.name, dns.Type(c.qtype), reply)
		}
	}
}

func askResolver(t *testing.T, resolver, name string, qtype uint16) *dns.Msg {
	t.Helper()
	request := query(name, qtype, withDO, func(m *dns.Msg) { m.RecursionDesired = true })
	client := dns.Client{Net: "tcp", Timeout: 30 * time.Second}
	reply, _, err := client.Exchange(request, resolver)
	if err != nil {
		t.Fatalf("%s %s: %v", name, dns.Type(qtype), err)
	}
	return reply
}

// startUnbound runs a resolver that asks address for a zone, until the test ends.
func startUnbound(t *testing.T, address, zone string, k *dnssec.Keeper) (resolver string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	resolver = l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(resolver)
	dir := t.TempDir()
	var anchor string
	for _, rr := range k.Apex(zone, dns.TypeDNSKEY) {
		if key := rr.(*dns.DNSKEY); key.Flags&1 == 1 {
			anchor += fmt.Sprintf("  trust-anchor: %q\n", oneLine(key.ToDS(dns.SHA256)))
		}
	}
	config := fmt.Sprintf(`server:
  interface: 127.0.0.1@%s
  directory: %q
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  logfile: ""
  do-daemonize: no
  module-config: "validator iterator"
  do-not-query-localhost: no
  local-zone: "test." nodefault
  aggressive-nsec: yes
  val-log-level: 2
  num-threads: 1
%sstub-zone:
  name: %q
  stub-addr: %s
`, port, dir, anchor, zone, strings.Replace(address, ":", "@", 1))
	path := filepath.Join(dir, "unbound.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("unbound")
	if err != nil {
		program = "/usr/sbin/unbound" // not on everybody's path
	}
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, program, "-d", "-c", path)
	var said bytes.Buffer
	command.Stdout, command.Stderr = &said, &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		command.Wait()
		if t.Failed() {
			t.Logf("unbound said:\n%s", said.String())
		}
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		conn, err := net.Dial("tcp", resolver)
		if err == nil {
			conn.Close()
			return resolver
		}
		if time.Now().After(deadline) {
			t.Fatalf("unbound does not answer: %v\n%s", err, said.String())
		}
	}
}
