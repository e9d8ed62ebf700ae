package doctor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/miekg/dns"
)

// Bounds beyond which a TTL is told of.
const (
	longNegative = 3600 // a name that is missing for a moment is missing for so long
	longSteered  = 300  // clients stay for so long where a CDN has failed
)

// checkCase asks in mixed case. Resolvers that hide random bits in the case of the
// name drop answers that do not repeat it.
func (v *visit) checkCase(ctx context.Context) {
	mixed := mixCase(v.zone)
	reply, err := v.udp(ctx, v.addr, question(mixed, dns.TypeSOA))
	if err != nil {
		return // it answers to lower case, which is told elsewhere
	}
	if len(reply.Question) != 1 || reply.Question[0].Name != mixed {
		v.find("case", Error, "update the server's software: the question must come back as it was sent (RFC 4343 §4.1), resolvers that mix case drop such answers", "changes the case of the question")
		return
	}
	v.find("case", OK, "", "kept")
}

// mixCase puts every other letter into upper case.
func mixCase(name string) string {
	mixed, upper := []byte(name), true
	for i, b := range mixed {
		if b >= 'a' && b <= 'z' {
			if upper {
				mixed[i] = b - 'a' + 'A'
			}
			upper = !upper
		}
	}
	return string(mixed)
}

// checkDenial asks for a name that nobody has.
func (v *visit) checkDenial(ctx context.Context) {
	name := below(fmt.Sprintf("no-such-name-%08x", rand.Uint32()), v.zone)
	reply, err := v.whole(ctx, v.addr, question(name, dns.TypeA))
	if err != nil {
		v.find("nxdomain", Error, "", "no answer for a name that does not exist: %v", err)
		return
	}
	soa := records[*dns.SOA](reply.Ns, v.zone)
	switch {
	case len(reply.Answer) > 0:
		v.find("nxdomain", Note, "", "every name exists: a wildcard answers")
	case reply.Rcode != dns.RcodeNameError && reply.Rcode != dns.RcodeSuccess:
		v.find("nxdomain", Error, "correct the server's zone or software: a name that does not exist is answered NXDOMAIN", "answers %s for a name that does not exist", rcode(reply))
	case len(soa) == 0:
		// RFC 2308 §3: "Name servers authoritative for a zone MUST include the SOA record […]".
		v.find("nxdomain", Error, "update the server's software: RFC 2308 §3, without the SOA record resolvers ask again every time", "denies a name without the zone's SOA record")
	case min(soa[0].Hdr.Ttl, soa[0].Minttl) > longNegative:
		v.find("nxdomain", Warning, "lower the SOA minimum of the zone to 5 minutes or less", "a name that was missing once stays missing for %d s", min(soa[0].Hdr.Ttl, soa[0].Minttl))
	case len(v.keys) > 0 && len(v.soaSigs) > 0 && !provesDenial(reply):
		v.find("nxdomain", Error, "sign the zone anew, with NSEC or NSEC3: resolvers that validate take such answers for forged", "the zone is signed, and a name is denied without proof")
	default:
		v.find("nxdomain", OK, "", "denied for %d s", min(soa[0].Hdr.Ttl, soa[0].Minttl))
	}
}

func provesDenial(reply answer) bool {
	signed := false
	for _, rr := range reply.Ns {
		if s, ok := rr.(*dns.RRSIG); ok && (s.TypeCovered == dns.TypeNSEC || s.TypeCovered == dns.TypeNSEC3) {
			signed = true
		}
	}
	return signed
}

func below(label, zone string) string {
	if zone == "." {
		return label + "."
	}
	return label + "." + zone
}

// checkName looks at a name that players ask for, and at what lies between it and
// the apex.
func (v *visit) checkName(ctx context.Context, name string) {
	for above := parentOf(name); above != v.zone && dns.IsSubDomain(v.zone, above); above = parentOf(above) {
		if reply, err := v.whole(ctx, v.addr, question(above, dns.TypeA)); err == nil && reply.Rcode == dns.RcodeNameError {
			// RFC 8020 §2: NXDOMAIN means that "there is nothing underneath".
			v.find("names", Error, "update the server's software: RFC 8020, resolvers conclude that nothing below exists",
				"%s is answered NXDOMAIN, though %s lies below it", above, name)
		}
	}
	reply, err := v.whole(ctx, v.addr, question(name, dns.TypeA))
	switch {
	case err != nil:
		v.find("names", Error, "", "%s: %v", name, err)
		return
	case reply.Rcode != dns.RcodeSuccess:
		v.find("names", Error, "add "+name+" to the zone, or correct --name", "%s is answered %s", name, rcode(reply))
		return
	}
	for _, qtype := range []uint16{dns.TypeAAAA, dns.TypeHTTPS, unassigned} {
		if other, err := v.whole(ctx, v.addr, question(name, qtype)); err != nil || other.Rcode != dns.RcodeSuccess {
			v.find("names", Error, "update the server's software: a type without data is answered NOERROR with the SOA record (RFC 2308 §2.2), or resolvers lose the whole name (RFC 8906)",
				"%s has an answer for A and fails for %s", name, dns.Type(qtype))
			return
		}
	}
	v.find("names", OK, "", "%s: %s", name, brief(reply))
	v.checkTTL(name, reply)
}

// unassigned is a type that nobody uses (RFC 6895 §3.1: private use).
const unassigned = 65280

func (v *visit) checkTTL(name string, reply answer) {
	if len(reply.Answer) == 0 {
		return
	}
	switch ttl := reply.Answer[0].Header().Ttl; {
	case ttl == 0:
		v.find("ttl", Warning, "give "+name+" a TTL of some seconds: every player's query would come to you", "%s has TTL 0", name)
	case ttl > longSteered:
		v.find("ttl", Warning, "lower the TTL of "+name+" to a minute or less, if it is steered", "clients of %s stay for %d s where they were sent", name, ttl)
	default:
		v.find("ttl", OK, "", "%s: %d s", name, ttl)
	}
}

// brief writes the first records of an answer.
func brief(reply answer) string {
	var parts []string
	for _, rr := range reply.Answer {
		if rr.Header().Rrtype != dns.TypeRRSIG {
			parts = append(parts, strings.TrimSpace(dns.TypeToString[rr.Header().Rrtype]+" "+strings.TrimPrefix(rr.String(), rr.Header().String())))
		}
	}
	switch {
	case len(parts) == 0:
		return "no address"
	case len(parts) > 2:
		return strings.Join(parts[:2], ", ") + " and " + fmt.Sprint(len(parts)-2) + " more"
	}
	return strings.Join(parts, ", ")
}

func parentOf(name string) string {
	next, end := dns.NextLabel(name, 0)
	if end {
		return "."
	}
	return name[next:]
}
