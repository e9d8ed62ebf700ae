package doctor

import (
	"context"

	"github.com/miekg/dns"
)

// askResolver looks at the zone through the resolver, as clients do.
func (x *examination) askResolver(ctx context.Context) {
	if !x.config.Resolver.IsValid() {
		return
	}
	through := x.config.Resolver
	reply, err := x.whole(ctx, through, recursive(x.zone, dns.TypeSOA))
	switch {
	case err != nil:
		x.find("resolver", Warning, "check the resolver, or name another one with --resolver", "%s: %v", through, err)
		return
	case reply.Rcode == dns.RcodeServerFailure:
		x.explainFailure(ctx)
		return
	case reply.Rcode != dns.RcodeSuccess:
		x.find("resolver", Error, "wait for the negative answer to leave the resolver's cache after the delegation is mended", "%s answers %s for the zone", through, rcode(reply))
		return
	}
	seen := records[*dns.SOA](reply.Answer, x.zone)
	if len(seen) == 0 {
		x.find("resolver", Error, "check that the delegation is in place", "%s finds no SOA record of the zone", through)
		return
	}
	x.compareSerial(seen[0])
	if d := x.delegation; d != nil && len(d.ds) > 0 {
		if reply.AuthenticatedData {
			x.find("resolver", OK, "", "%s validates the zone", through)
		} else {
			x.find("resolver", Note, "", "%s does not say that the zone's signatures are sound; it may not validate", through)
		}
	}
	for _, name := range x.names {
		x.askResolverFor(ctx, name)
	}
}

// explainFailure tells a broken chain of trust from servers out of reach: a
// resolver that is told not to check (CD, RFC 4035 §3.2.2) answers all the same.
func (x *examination) explainFailure(ctx context.Context) {
	q := recursive(x.zone, dns.TypeSOA)
	q.CheckingDisabled = true
	reply, err := x.whole(ctx, x.config.Resolver, q)
	if err == nil && reply.Rcode == dns.RcodeSuccess {
		x.find("resolver", Error, "mend the chain of trust (findings ds and signatures), or take the DS records out at the parent", "%s answers SERVFAIL unless told not to validate: the chain of trust is broken", x.config.Resolver)
		return
	}
	x.find("resolver", Error, "see that the zone's servers answer the resolver: firewalls, delegation, glue", "%s answers SERVFAIL: it gets no usable answer from the zone's servers", x.config.Resolver)
}

// compareSerial holds the resolver's SOA against the servers'. An older one is
// what caches are for, as long as its TTL.
func (x *examination) compareSerial(seen *dns.SOA) {
	for _, v := range x.visits {
		if v.soa != nil && v.soa.Serial == seen.Serial {
			x.find("resolver", OK, "", "%s has serial %d", x.config.Resolver, seen.Serial)
			return
		}
	}
	x.find("resolver", Note, "", "%s has serial %d, no server has it now; it asks again in %d s", x.config.Resolver, seen.Serial, seen.Hdr.Ttl)
}

func (x *examination) askResolverFor(ctx context.Context, name string) {
	reply, err := x.whole(ctx, x.config.Resolver, recursive(name, dns.TypeA))
	switch {
	case err != nil:
		x.find("resolver", Error, "see what the resolver says of it: a CNAME may lead to a name that does not resolve", "%s: %v", name, err)
	case reply.Rcode != dns.RcodeSuccess:
		x.find("resolver", Error, "see what the resolver says of it: a CNAME may lead to a name that does not resolve", "%s resolves to %s", name, rcode(reply))
	case len(addressesIn(reply.Answer)) == 0:
		x.find("resolver", Warning, "give "+name+" addresses, or a CNAME to a name that has some", "%s resolves to no IPv4 address", name)
	default:
		x.find("resolver", OK, "", "%s: %s", name, brief(reply))
	}
}
