package dnsserver

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// Signer makes the signatures of the zones that are signed. It is called by many
// goroutines at once, while they answer.
type Signer interface {
	// Sign returns the signatures over an RRset of a zone, whose TTL goes into them
	// as the original one. They are shared. allow is nil for what the zone holds;
	// for what a question makes up it is asked before a signature is made, and
	// without its consent there is an error.
	Sign(zone string, rrset []dns.RR, allow func() bool) ([]*dns.RRSIG, error)
	// Apex returns the zone's DNSKEY, CDS or CDNSKEY records. They are shared.
	Apex(zone string, rrtype uint16) []dns.RR
	// Epoch changes when what was signed should be signed again.
	Epoch() uint64
}

// mintRate is how many signatures a second may be made over what questions make up,
// such as that a name does not exist: at about 50 µs each a fifth of a processor.
// UDP and TCP have one each, since over UDP anybody can ask in anybody's name.
const mintRate = 4000

// prove adds to an answer what a validator needs (RFC 4035 §3.1): a signature
// behind every RRset of a signed zone, and where something does not exist, or is
// delegated without keys, an NSEC record that says so. It comes after everything
// else: what is signed is what is answered.
func (l *lookup) prove() {
	if rcode := l.msg.Rcode; rcode != dns.RcodeSuccess && rcode != dns.RcodeNameError {
		return
	}
	err := l.proveAnswer()
	if err == nil && len(l.msg.Ns) > 0 {
		switch first := l.msg.Ns[0].(type) {
		case *dns.SOA:
			err = l.proveDenial(first)
		case *dns.NS:
			err = l.proveReferral(first)
		}
	}
	if err != nil {
		l.unproven = true
	}
}

func (l *lookup) proveAnswer() error {
	proven := make([]dns.RR, 0, 2*len(l.msg.Answer))
	for rest := l.msg.Answer; len(rest) > 0; {
		n := rrsetLength(rest)
		z := l.zones.find(dns.CanonicalName(rest[0].Header().Name), rest[0].Header().Rrtype)
		signed, err := l.withSignatures(z, rest[:n])
		if err != nil {
			return err
		}
		proven, rest = append(proven, signed...), rest[n:]
	}
	l.msg.Answer = proven
	return nil
}

// rrsetLength counts the leading records of one name and type.
func rrsetLength(rrs []dns.RR) int {
	n := 1
	for n < len(rrs) && rrs[n].Header().Rrtype == rrs[0].Header().Rrtype && rrs[n].Header().Name == rrs[0].Header().Name {
		n++
	}
	return n
}

// withSignatures returns an RRset with the signatures behind it, under the name and
// TTL that it has in the answer. What is signed is the TTL that the zone states, or
// the longest that a decision may give: a lower one in the answer is valid
// (RFC 4035 §5.3.3), and one signature serves for all.
//
// What stands for a wildcard is signed under the name that was asked, as if it
// stood there (RFC 9824 §3.3): so no proof is needed that nothing else does.
func (l *lookup) withSignatures(z *zone, rrset []dns.RR) ([]dns.RR, error) {
	if z == nil || z.signer == nil {
		return rrset, nil
	}
	head := *rrset[0].Header()
	original := l.originalTTL(z, &head)
	signed := rrset
	if original != head.Ttl {
		signed = make([]dns.RR, len(rrset))
		for i, rr := range rrset {
			signed[i] = dns.Copy(rr)
			signed[i].Header().Ttl = original
		}
	}
	var allow func() bool
	if z.nodes[dns.CanonicalName(head.Name)] == nil {
		allow = l.mint
	}
	sigs, err := z.signer.Sign(z.name, signed, allow)
	if err != nil {
		return nil, err
	}
	rrset = rrset[:len(rrset):len(rrset)]
	for _, sig := range sigs {
		own := *sig
		own.Hdr.Name, own.Hdr.Ttl = head.Name, head.Ttl
		rrset = append(rrset, &own)
	}
	return rrset, nil
}

// originalTTL is the TTL that is signed.
func (l *lookup) originalTTL(z *zone, head *dns.RR_Header) uint32 {
	switch head.Rrtype {
	case dns.TypeSOA:
		return z.soa.Hdr.Ttl
	case dns.TypeNSEC:
		return z.negative.Hdr.Ttl
	case dns.TypeHINFO: // of the zone, or in place of all types
		return head.Ttl
	}
	n := l.node(z, dns.CanonicalName(head.Name))
	if n != nil && n.service != noService && !n.has(head.Rrtype) {
		return seconds(l.zones.layout.Revision.LongestTTL(l.zones.layout.Services[n.service].Service))
	}
	return head.Ttl
}

// proveDenial proves a negative answer: the SOA record is signed, and an NSEC
// record tells the types that there are.
func (l *lookup) proveDenial(soa *dns.SOA) error {
	z := l.zones.byName[dns.CanonicalName(soa.Hdr.Name)]
	if z == nil || z.signer == nil {
		return nil
	}
	l.nxname = l.msg.Rcode == dns.RcodeNameError
	nsec, err := l.withSignatures(z, []dns.RR{l.nsec(z, l.last, soa.Hdr.Ttl)})
	switch {
	case err != nil:
		return err
	case l.qtype == dns.TypeNSEC:
		// At every name there is one, so it answers questions for it.
		l.msg.Answer, l.msg.Ns = append(l.msg.Answer, nsec...), nil
		l.msg.Rcode = dns.RcodeSuccess
		return nil
	case l.qtype == dns.TypeRRSIG:
		// RFC 8482 §7 on such questions: a subset will do.
		l.msg.Answer, l.msg.Ns = append(l.msg.Answer, nsec[1:]...), nil
		l.msg.Rcode = dns.RcodeSuccess
		return nil
	case l.msg.Rcode == dns.RcodeNameError && !l.edns.compactOK():
		// RFC 9824 §3.1: "a NODATA response (response code NOERROR, empty Answer
		// section) is generated".
		l.msg.Rcode = dns.RcodeSuccess
	}
	signed, err := l.withSignatures(z, []dns.RR{soa})
	l.msg.Ns = append(signed, nsec...)
	return err
}

// strip leaves out what a client that does not set DO has not asked for. RFC 4035
// §3.2.1: it "MUST strip out any authenticating DNSSEC RRs from the response but MUST
// NOT strip any DNSSEC RR types that the initiating query explicitly requested".
func (l *lookup) strip() {
	unasked := func(rr dns.RR) bool {
		rrtype := rr.Header().Rrtype
		return aboutProofs(rrtype) && rrtype != l.qtype
	}
	l.msg.Answer, l.msg.Ns = slices.DeleteFunc(l.msg.Answer, unasked), slices.DeleteFunc(l.msg.Ns, unasked)
}

// proveReferral adds the DS records of a delegation, or proves that it has none
// (RFC 4035 §3.1.4).
func (l *lookup) proveReferral(ns *dns.NS) error {
	name := dns.CanonicalName(ns.Hdr.Name)
	z := l.zones.find(name, dns.TypeDS)
	if z == nil || z.signer == nil || z.name == name {
		return nil
	}
	proof := z.nodes[name].rrset(dns.TypeDS)
	if len(proof) == 0 {
		proof = []dns.RR{l.nsec(z, name, z.negative.Hdr.Ttl)}
	}
	proof, err := l.withSignatures(z, proof)
	l.msg.Ns = append(l.msg.Ns, proof...)
	return err
}

// mintOver says whether a signature may be made over what a question over a
// transport makes up.
func (s *Server) mintOver(transport string) func() bool {
	r := &s.mints[1]
	if transport == transportUDP {
		r = &s.mints[0]
	}
	return func() bool { return r.allow(s.clock()) }
}

// rate allows so many events a second, and a burst of as many as a tenth of that.
// It takes no lock (the generic cell rate algorithm: one time says it all).
type rate struct {
	perSecond int64
	at        atomic.Int64 // when the next one would be due
}

func (r *rate) allow(now time.Duration) bool {
	each := int64(time.Second) / r.perSecond
	for {
		due := r.at.Load()
		next := max(due, int64(now)) + each
		if next-int64(now) > int64(time.Second)/10 {
			return false
		}
		if r.at.CompareAndSwap(due, next) {
			return true
		}
	}
}
