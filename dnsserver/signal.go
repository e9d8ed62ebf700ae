package dnsserver

import (
	"github.com/miekg/dns"

	"fairway/steering"
)

// signal has the names of a zone's servers speak for it, so that its parent can take a
// first DS without anybody's word (RFC 9615): what is proven there is said by whoever
// runs the server. §4.1: the operator "MUST co-publish" the CDS and CDNSKEY RRsets "at
// the corresponding signaling name under each signaling domain, excluding those that
// would fall within the child domain". That is done where the server's name lies in a
// zone that is ours and signed as well.
//
// A wish to leave DNSSEC is not signalled: that takes the keys that the parent knows
// (RFC 8078 §4).
func (c *compiler) signal(child *steering.Zone) {
	if child.DNSSEC == nil || !child.DNSSEC.Announce || child.DNSSEC.Leave {
		return
	}
	name, ok := canonical(child.Name)
	if !ok {
		return // reported by zone
	}
	for _, server := range child.NS {
		host, ok := canonical(server)
		if !ok || dns.IsSubDomain(name, host) {
			continue
		}
		signalling, ok := canonical(SignalName(name, host))
		if !ok {
			continue // it would be longer than a name may be
		}
		home := c.set.longest(signalling, 0)
		if home == nil || home.signer == nil {
			continue
		}
		if n := home.lookup(signalling); n != nil && n.cut {
			continue // somebody else answers for it, and "there MUST NOT be a zone cut" at the name itself
		}
		if home.signals == nil {
			home.signals = make(map[*node]string)
		}
		home.signals[home.node(signalling)] = name
	}
}

// SignalName is where a name server says what a zone's parent should know (RFC 9615
// §2).
func SignalName(zone, server string) string { return "_dsboot." + zone + "_signal." + server }

// signalTypes are what is said there.
func signalTypes() []uint16 { return []uint16{dns.TypeCDS, dns.TypeCDNSKEY} }

// signalled gives what a name says of another zone: the records of this one's apex
// ("Its contents MUST be identical", RFC 9615 §4.1). They are shared, under the apex's name.
func (z *zone) signalled(n *node, rrtype uint16) []dns.RR {
	child := z.signals[n]
	if child == "" || rrtype != dns.TypeCDS && rrtype != dns.TypeCDNSKEY {
		return nil
	}
	return z.signer.Apex(child, rrtype)
}

// signalRecords are all of them under their own names, for copies of the zone.
func (z *zone) signalRecords() (records []*steering.Record, err error) {
	for name, n := range z.nodes {
		if len(z.signals) == 0 {
			break
		}
		for _, rrtype := range signalTypes() {
			for _, rr := range z.signalled(n, rrtype) {
				own := dns.Copy(rr)
				own.Header().Name = name
				r, err := Pack(own, steering.Place{})
				if err != nil {
					return nil, err
				}
				records = append(records, r)
			}
		}
	}
	return records, nil
}
