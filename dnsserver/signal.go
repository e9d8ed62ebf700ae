package dnsserver

import (
	"github.com/miekg/dns"

	"fairway/steering"
)

// Signal is what the name of one of a zone's servers says for the zone, so that its parent
// can take a first DS without anybody's word (RFC 9615): what is proven there is said by
// whoever runs the server. §4.1: the operator "MUST co-publish" the CDS and CDNSKEY RRsets
// "at the corresponding signaling name under each signaling domain, excluding those that
// would fall within the child domain". That is done where the server's name lies in a zone
// that is ours and signed as well.
type Signal struct {
	Server string `json:"server"`
	Name   string `json:"name"`             // where it is said
	Silent string `json:"silent,omitempty"` // why nothing is said there; empty = what the zone's apex says
	home   string // the zone of the name
}

// Signals are those of every signed zone that announces its keys, by the zone's canonical
// name. A wish to leave DNSSEC is not signalled: that takes the keys that the parent knows
// (RFC 8078 §4).
func Signals(zones []steering.Zone) map[string][]Signal {
	signed, cuts := make(map[string]bool), make(map[string]bool)
	for i := range zones {
		apex, _ := canonical(zones[i].Name)
		signed[apex] = zones[i].DNSSEC != nil
		for j := range zones[i].Records {
			if r := &zones[i].Records[j]; r.Type == dns.TypeNS {
				if owner, ok := canonical(r.Name); ok && owner != apex {
					cuts[owner] = true
				}
			}
		}
	}
	signals := make(map[string][]Signal)
	for i := range zones {
		z := &zones[i]
		name, ok := canonical(z.Name)
		if !ok || z.DNSSEC == nil || !z.DNSSEC.Announce || z.DNSSEC.Leave {
			continue
		}
		for _, server := range z.NS {
			if host, ok := canonical(server); ok {
				signals[name] = append(signals[name], signalOf(name, host, signed, cuts))
			}
		}
	}
	return signals
}

// signalOf says what is, or why nothing is, at one name. signed are the zones that are
// ours, and whether we sign them; cuts are where they delegate.
func signalOf(zone, host string, signed, cuts map[string]bool) Signal {
	s := Signal{Server: host, Name: SignalName(zone, host)}
	if dns.IsSubDomain(zone, host) {
		s.Silent = "it lies in the zone itself"
		return s
	}
	name, ok := canonical(s.Name)
	if !ok {
		s.Silent = "the name would be longer than a name may be"
		return s
	}
	for above := name; ; {
		ours, home := signed[above]
		switch {
		case home && ours:
			s.home = above
			return s
		case home:
			s.Silent = "zone " + above + " is not signed: give it a dnssec"
			return s
		case cuts[above]:
			// "There MUST NOT be a zone cut" at the name itself; above it, somebody else
			// answers.
			s.Silent = above + " is delegated: whoever runs that zone can publish it"
			return s
		}
		off, end := dns.NextLabel(above, 0)
		switch {
		case above == ".":
			s.Silent = "its zone is not served here: whoever runs that zone can publish it"
			return s
		case end:
			above = "."
		default:
			above = above[off:]
		}
	}
}

// signal has the names of servers speak.
func (c *compiler) signal(zones []steering.Zone) {
	for zone, signals := range Signals(zones) {
		for _, s := range signals {
			home := c.set.byName[s.home]
			if s.Silent != "" || home == nil || home.signer == nil {
				continue
			}
			if home.signals == nil {
				home.signals = make(map[*node]string)
			}
			home.signals[home.node(s.Name)] = zone
		}
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
