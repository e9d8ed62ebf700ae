package dnsserver

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/miekg/dns"

	"fairway/steering"
)

// zoneSet is every zone of a layout, compiled. It never changes, and its records
// are shared: whoever puts one into an answer copies it.
type zoneSet struct {
	layout   *steering.Layout
	byName   map[string]*zone
	services []offer    // as in the layout
	awaited  []string   // zones whose records have not come from their primary yet
	copies   Copies     // nil for none
	aliases  Aliases    // nil for none
	err      error      // why the layout cannot be served; nil otherwise
	names    *nameTable // what is prepared for the fast path; nil for nothing
	signed   bool       // some zone is
}

// zone is one zone as a flat table of names. Every name between the apex and a
// name with data is in it, so that a name which is not in it does not exist
// (RFC 8020).
type zone struct {
	name     string
	labels   int // of name
	soa      *dns.SOA
	negative *dns.SOA // the same with the TTL of negative answers (RFC 2308 §5)
	signer   Signer   // nil = the zone is not signed
	nodes    map[string]*node
	moving   bool // its serial moves while the layout stays; see Copies

	signals map[*node]string // names that speak for another zone of ours; see signal
}

// offer is what the endpoints of a service can answer at all, whichever is
// chosen.
type offer struct{ host, ipv4, ipv6, https bool }

// has tells whether any endpoint of the service has an answer for the type, so
// that a decision makes a difference. A CNAME answers every type.
func (o offer) has(qtype uint16) bool {
	return o.host || o.ipv4 && qtype == dns.TypeA || o.ipv6 && qtype == dns.TypeAAAA || o.https && qtype == dns.TypeHTTPS
}

// offers is what the name of a node can be answered at all, nothing for one that no
// service steers. Where a name is an alias, there are addresses in place of hosts,
// which are known only when they are asked for.
func (z *zoneSet) offers(n *node) offer {
	if n.service == noService {
		return offer{}
	}
	o := z.services[n.service]
	if n.alias && o.host {
		return offer{ipv4: true, ipv6: true, https: true}
	}
	return o
}

// find returns the zone that answers for a canonical name: the longest that
// holds it, nil for none. DS belongs to the parent's side of a cut (RFC 4035
// §3.1.4.1), so at an apex the parent zone answers for it where it is ours and
// knows the cut.
func (z *zoneSet) find(name string, qtype uint16) *zone {
	nearest := z.longest(name, 0)
	if nearest == nil || qtype != dns.TypeDS || nearest.name != name || name == "." {
		return nearest
	}
	if parent := z.longest(name, 1); parent != nil && parent.nodes[name] != nil {
		return parent
	}
	return nearest
}

// longest returns the zone with the longest name that is name without its first
// skip labels or more.
func (z *zoneSet) longest(name string, skip int) *zone {
	starts := dns.Split(name)
	for _, start := range starts[min(skip, len(starts)):] {
		if found := z.byName[name[start:]]; found != nil {
			return found
		}
	}
	return z.byName["."]
}

// lookup walks from the apex towards a canonical name (RFC 1034 §4.3.2, step 3).
// It returns the node, which for a cut may stand above the name; or the wildcard
// that stands for the name; or nil when the name does not exist.
func (z *zone) lookup(name string) *node {
	starts := dns.Split(name)
	encloser := z.name
	found := z.nodes[z.name]
	for i := len(starts) - z.labels - 1; i >= 0; i-- {
		next := z.nodes[name[starts[i]:]]
		if next == nil {
			// RFC 4592 §3.3.1: the wildcard that counts is the one right below the
			// closest encloser; a longer or shorter one does not.
			return z.nodes[wildcardBelow(encloser)]
		}
		if next.cut {
			return next
		}
		encloser, found = name[starts[i]:], next
	}
	return found
}

// rrset returns a node's records of a type, which are the caller's to change; those
// of keys come from the signer.
func (z *zone) rrset(n *node, rrtype uint16) []dns.RR {
	set := n.rrset(rrtype)
	if z.signer != nil && n == z.nodes[z.name] {
		for _, rr := range z.signer.Apex(z.name, rrtype) {
			set = append(set, dns.Copy(rr))
		}
	}
	for _, rr := range z.signalled(n, rrtype) {
		set = append(set, dns.Copy(rr))
	}
	return set
}

func wildcardBelow(name string) string {
	if name == "." {
		return "*."
	}
	return "*." + name
}

// keptLayouts is how many compiled layouts are kept: the one that is served, the
// one that is about to be, and a few for reloads in quick succession.
const keptLayouts = 4

// zoneCache keeps the compiled zones of the newest layouts. Reading takes no
// lock.
type zoneCache struct {
	log     *slog.Logger
	signer  Signer
	copies  Copies
	aliases Aliases
	kept    atomic.Pointer[[]*zoneSet] // newest first; never changed, only replaced
	compile sync.Mutex                 // held while compiling and replacing
}

// of returns the zones of a layout. When nobody has prepared it they are
// compiled now, once, and an error is kept with them.
func (c *zoneCache) of(l *steering.Layout) *zoneSet {
	if z := c.find(l); z != nil {
		return z
	}
	c.compile.Lock()
	defer c.compile.Unlock()
	if z := c.find(l); z != nil {
		return z
	}
	z := compile(l, c.signer, c.copies, c.aliases)
	if z.err != nil {
		c.log.Error("dns door: the zones of the current revision have errors; every query is answered SERVFAIL until a correct revision is published",
			"revision", l.Revision.Hash, "error", z.err)
	}
	c.keep(z)
	return z
}

// prepare compiles and keeps the zones of a layout, unless they have errors.
func (c *zoneCache) prepare(l *steering.Layout) error {
	if l == nil {
		return errors.New("dns door: there is no layout to prepare")
	}
	c.compile.Lock()
	defer c.compile.Unlock()
	if z := c.find(l); z != nil {
		return z.err
	}
	z := compile(l, c.signer, c.copies, c.aliases)
	if z.err == nil {
		c.keep(z)
	}
	return z.err
}

func (c *zoneCache) find(l *steering.Layout) *zoneSet {
	kept := c.kept.Load()
	if kept == nil {
		return nil
	}
	for _, z := range *kept {
		if z.layout == l {
			return z
		}
	}
	return nil
}

func (c *zoneCache) keep(z *zoneSet) {
	next := []*zoneSet{z}
	if kept := c.kept.Load(); kept != nil {
		next = slices.Concat(next, (*kept)[:min(len(*kept), keptLayouts-1)])
	}
	c.kept.Store(&next)
}
