package doctor

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// delegation is what the parent says of the zone.
type delegation struct {
	names   []string // of the zone's servers, canonical, sorted
	ttl     uint32
	glue    map[string][]netip.Addr
	ds      []*dns.DS
	dsKnown bool // the parent answered the question for DS
	shared  bool // the parent's server serves the zone too: what it says is the zone's own word
}

// findDelegation asks the parent zone's servers, until one answers.
func (x *examination) findDelegation(ctx context.Context) {
	parents := x.config.Parents
	if len(parents) == 0 && x.config.Resolver.IsValid() && x.zone != "." {
		parents = x.findParent(ctx)
	}
	if len(parents) == 0 {
		switch {
		case x.zone == ".":
		case x.config.Resolver.IsValid():
			x.find("parent", Error, "check the resolver, or name a server of the parent zone with --parent",
				"resolver %s does not find the parent zone's servers: delegation, glue and DS were not looked at", x.config.Resolver)
		default:
			x.find("parent", Note, "", "neither resolver nor parent given: delegation, glue and DS were not looked at")
		}
		return
	}
	var last string
	for _, parent := range parents {
		reply, err := x.whole(ctx, parent, question(x.zone, dns.TypeNS))
		switch {
		case err != nil:
			last = parent.String() + ": " + err.Error()
		case reply.Rcode == dns.RcodeNameError:
			x.report.Parent = parent.String()
			x.find("delegation", Error, "have the parent zone delegate "+x.zone+" to your servers (NS records at your registrar, or in the parent zone's file)",
				"the parent's server %s says that %s does not exist", parent, x.zone)
			return
		default:
			if d := x.readDelegation(ctx, parent, reply); d != nil {
				x.report.Parent, x.delegation = parent.String(), d
				return
			}
			last = parent.String() + " answers " + rcode(reply) + " without NS records"
		}
	}
	x.find("delegation", Error, "have the parent zone delegate "+x.zone+" to your servers (NS records at your registrar, or in the parent zone's file)",
		"no server of the parent zone delegates it: %s", last)
}

// findParent walks up to the next zone above, and gives its servers' addresses.
func (x *examination) findParent(ctx context.Context) (servers []netip.AddrPort) {
	for name := x.zone; name != "."; {
		_, above, _ := strings.Cut(name, ".")
		if name = above; name == "" {
			name = "."
		}
		soa, err := x.whole(ctx, x.config.Resolver, recursive(name, dns.TypeSOA))
		if err != nil || len(records[*dns.SOA](soa.Answer, name)) == 0 {
			continue
		}
		reply, err := x.whole(ctx, x.config.Resolver, recursive(name, dns.TypeNS))
		if err != nil {
			return nil
		}
		for _, host := range hosts(records[*dns.NS](reply.Answer, name)) {
			for _, a := range x.lookup(ctx, host) {
				servers = append(servers, netip.AddrPortFrom(a, 53))
			}
			if len(servers) >= 4 {
				break // enough to find one that answers
			}
		}
		return servers
	}
	return nil
}

// readDelegation reads a referral, or what a server of both zones answers; nil
// when it has no NS records of the zone.
func (x *examination) readDelegation(ctx context.Context, parent netip.AddrPort, reply answer) *delegation {
	referred, own := records[*dns.NS](reply.Ns, x.zone), records[*dns.NS](reply.Answer, x.zone)
	servers := slices.Concat(referred, own)
	if len(servers) == 0 {
		return nil
	}
	d := &delegation{names: hosts(servers), ttl: servers[0].Hdr.Ttl, glue: make(map[string][]netip.Addr), shared: len(referred) == 0}
	for _, rr := range reply.Extra {
		name := dns.CanonicalName(rr.Header().Name)
		d.glue[name] = append(d.glue[name], addressesIn([]dns.RR{rr})...)
	}
	if ds, err := x.whole(ctx, parent, question(x.zone, dns.TypeDS)); err == nil && ds.Rcode == dns.RcodeSuccess {
		d.ds, d.dsKnown = records[*dns.DS](ds.Answer, x.zone), true
	}
	return d
}

// compareDelegation holds what the parent says against what the zone says of
// itself (RFC 1034 §4.2.2: the NS records and glue of both sides "should be
// consistent and remain so").
func (x *examination) compareDelegation() {
	d := x.delegation
	if d == nil {
		return
	}
	if d.shared {
		x.find("parent", Note, "", "the parent's server answers for the zone itself: what the parent zone delegates cannot be told from it")
	}
	ns, sourced := x.zoneServers()
	if !sourced {
		x.find("delegation", OK, "", "the parent delegates to %s (no server of the zone said what it should be)", list(d.names))
		return
	}
	missing, extra := without(ns, d.names), without(d.names, ns)
	switch {
	case len(missing)+len(extra) == 0:
		x.find("delegation", OK, "", "parent and zone name the same servers: %s", list(ns))
	case len(extra) == len(d.names):
		x.find("delegation", Error, "have the parent zone delegate to "+list(ns), "the parent delegates to %s, none of which the zone names (%s)", list(d.names), list(ns))
	default:
		if len(extra) > 0 {
			x.find("delegation", Warning, "take "+list(extra)+" out at the parent, or add NS records for it to the zone", "the parent delegates to %s, which the zone does not name", list(extra))
		}
		if len(missing) > 0 {
			x.find("delegation", Warning, "have the parent delegate to "+list(missing)+" too, or take its NS records out of the zone", "the zone names %s, to which the parent does not delegate", list(missing))
		}
	}
	for _, name := range d.names {
		x.compareGlue(name)
	}
}

// compareGlue looks at the addresses of a name server inside the zone, which
// nobody finds without glue.
func (x *examination) compareGlue(name string) {
	d := x.delegation
	if !dns.IsSubDomain(x.zone, name) || d.shared {
		return
	}
	glue := texts(d.glue[name])
	own, known := x.zoneAddresses(name)
	switch {
	case len(glue) == 0:
		x.find("glue", Error, "give the parent glue for "+name+": "+list(own), "%s lies in the zone and the parent has no glue for it: nobody can find it", name)
	case !known:
	case len(own) == 0:
		x.find("glue", Error, "add A and AAAA records for "+name+" to the zone: "+list(glue), "the zone has no address for its own name server %s (the parent's glue says %s)", name, list(glue))
	case !slices.Equal(glue, own):
		x.find("glue", Error, "have the parent's glue for "+name+" say "+list(own), "the parent's glue for %s is %s, the zone says %s", name, list(glue), list(own))
	default:
		x.find("glue", OK, "", "%s: %s", name, list(glue))
	}
}

// without gives those of names that are not in others.
func without(names, others []string) (left []string) {
	for _, name := range names {
		if !slices.Contains(others, name) {
			left = append(left, name)
		}
	}
	return left
}

// texts writes addresses, sorted.
func texts(addresses []netip.Addr) (out []string) {
	for _, a := range addresses {
		out = append(out, a.String())
	}
	slices.Sort(out)
	return slices.Compact(out)
}
