package resolvertest

import (
	"errors"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// Internet is a root server and the zones that it delegates, on loopback addresses
// that nobody else uses. It is safe for concurrent use.
type Internet struct {
	t       testing.TB
	root    netip.Addr
	mu      sync.Mutex
	last    netip.Addr                       // the newest address that was given away
	zones   map[string]map[string]netip.Addr // apex → name server → address
	anchors []dns.DS
}

// New starts the root server, which runs until the test ends.
func New(t testing.TB) *Internet {
	t.Helper()
	n := &Internet{t: t, zones: make(map[string]map[string]netip.Addr)}
	for attempt := 1; ; attempt++ {
		n.root = netip.AddrFrom4([4]byte{127, byte(1 + rand.IntN(254)), byte(rand.IntN(256)), 1})
		err := n.serveRoot()
		switch {
		case err == nil:
			n.last = n.root
			return n
		case errors.Is(err, os.ErrPermission):
			t.Fatalf("resolvers ask port 53, and this user may not listen there: %v\n"+
				"    run the tests as root, or: sysctl net.ipv4.ip_unprivileged_port_start=53", err)
		case attempt == 20:
			t.Fatal(err)
		}
	}
}

// Address gives away a loopback address at which port 53 is free.
func (n *Internet) Address() netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = n.last.Next()
	return n.last
}

// Delegate has the root refer to the name servers of a zone.
func (n *Internet) Delegate(zone string, servers map[string]netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.zones[zone] = servers
}

// Trust has resolvers that are started from now on validate what lies below the
// owner of the DS record.
func (n *Internet) Trust(anchors ...dns.DS) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.anchors = append(n.anchors, anchors...)
}

func (n *Internet) trusted() []dns.DS {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.anchors)
}

// serveRoot runs the root server at n.root.
func (n *Internet) serveRoot() error {
	address := netip.AddrPortFrom(n.root, 53).String()
	packets, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		packets.Close()
		return err
	}
	for _, s := range []*dns.Server{{PacketConn: packets}, {Listener: listener}} {
		s.Handler = dns.HandlerFunc(n.answer)
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.ActivateAndServe()
		}()
		n.t.Cleanup(func() {
			s.Shutdown()
			<-done
		})
	}
	return nil
}

// answer refers to the zone that holds the name, or speaks for the root.
func (n *Internet) answer(w dns.ResponseWriter, request *dns.Msg) {
	reply := new(dns.Msg)
	reply.SetReply(request)
	if len(request.Question) == 1 {
		n.fill(reply, dns.CanonicalName(request.Question[0].Name), request.Question[0].Qtype)
	}
	if request.IsEdns0() != nil {
		reply.SetEdns0(1232, request.IsEdns0().Do())
	}
	w.WriteMsg(reply)
}

const ttl = 3600

func header(name string, rrtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: rrtype, Class: dns.ClassINET, Ttl: ttl}
}

func (n *Internet) fill(reply *dns.Msg, name string, qtype uint16) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if zone := n.holder(name); zone != "" && !(qtype == dns.TypeDS && zone == name) {
		for _, server := range slices.Sorted(maps.Keys(n.zones[zone])) {
			reply.Ns = append(reply.Ns, &dns.NS{Hdr: header(zone, dns.TypeNS), Ns: server})
			reply.Extra = append(reply.Extra, &dns.A{Hdr: header(server, dns.TypeA), A: n.zones[zone][server].AsSlice()})
		}
		return
	}
	reply.Authoritative = true
	const rootServer = "a.root."
	switch {
	case name == "." && qtype == dns.TypeNS:
		reply.Answer = []dns.RR{&dns.NS{Hdr: header(".", dns.TypeNS), Ns: rootServer}}
		reply.Extra = []dns.RR{&dns.A{Hdr: header(rootServer, dns.TypeA), A: n.root.AsSlice()}}
	case name == rootServer && qtype == dns.TypeA:
		reply.Answer = []dns.RR{&dns.A{Hdr: header(rootServer, dns.TypeA), A: n.root.AsSlice()}}
	default:
		reply.Ns = []dns.RR{&dns.SOA{Hdr: header(".", dns.TypeSOA), Ns: rootServer, Mbox: rootServer, Serial: 1, Refresh: ttl, Retry: ttl, Expire: ttl, Minttl: ttl}}
		if name != "." && name != rootServer && !n.above(name) {
			reply.Rcode = dns.RcodeNameError
		}
	}
}

// holder is the longest delegated zone that a name is in, "" for none.
func (n *Internet) holder(name string) (longest string) {
	for zone := range n.zones {
		if dns.IsSubDomain(zone, name) && len(zone) > len(longest) {
			longest = zone
		}
	}
	return longest
}

// above tells whether a delegated zone lies below the name, which then exists.
func (n *Internet) above(name string) bool {
	for zone := range n.zones {
		if dns.IsSubDomain(name, zone) {
			return true
		}
	}
	return dns.IsSubDomain(name, "a.root.")
}
