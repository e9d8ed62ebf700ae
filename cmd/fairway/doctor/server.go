package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// visit is what one server says.
type visit struct {
	*Doctor
	server   Server
	addr     netip.AddrPort
	now      time.Time
	findings []Finding

	soa       *dns.SOA // nil when the server does not answer for the zone
	ns        []*dns.NS
	addresses map[string][]netip.Addr // of name servers inside the zone, as far as they were asked for
	keys      []*dns.DNSKEY
	keySigs   []*dns.RRSIG
	soaSigs   []*dns.RRSIG
	cds       []dns.RR // what the zone asks its parent to take up
	cdnskey   []dns.RR
}

func (x *examination) newVisit(server Server, addr netip.AddrPort) *visit {
	return &visit{Doctor: x.Doctor, server: server, addr: addr, now: x.now, addresses: make(map[string][]netip.Addr)}
}

func (v *visit) find(check string, result Result, remedy, format string, args ...any) {
	v.findings = append(v.findings, Finding{
		Check: check, Server: v.server.label(), Result: result, Message: fmt.Sprintf(format, args...), Remedy: remedy,
	})
}

// label is how a server is called in findings.
func (s Server) label() string {
	if s.Name == "" {
		return s.Address
	}
	return s.Name + " " + s.Address
}

// run asks everything that one server alone can tell. What does not answer, or
// not for the zone, is not asked any more.
func (v *visit) run(ctx context.Context) {
	if !v.reach(ctx) {
		return
	}
	v.checkSOA()
	v.readZone(ctx)
	if len(v.keys) > 0 {
		v.checkSignatures()
	}
	v.checkRecursion(ctx)
	v.checkTransfer(ctx)
	v.checkEDNS(ctx)
	v.checkSize(ctx)
	v.checkSubnet(ctx)
	v.checkOptions(ctx)
	v.checkCase(ctx)
	v.checkDenial(ctx)
	for _, name := range v.names {
		v.checkName(ctx, name)
	}
}

// reach asks for the SOA over both transports; false when the server does not
// answer for the zone.
func (v *visit) reach(ctx context.Context) bool {
	reply, errUDP := v.udp(ctx, v.addr, question(v.zone, dns.TypeSOA))
	overTCP, errTCP := v.tcp(ctx, v.addr, question(v.zone, dns.TypeSOA))
	if errors.Is(errUDP, errUnreachable) && errors.Is(errTCP, errUnreachable) {
		v.find("udp", Note, "", "not looked at: %v", errUDP)
		return false
	}
	if errUDP != nil {
		v.explainSilence(ctx, errUDP)
	} else {
		v.find("udp", OK, "", "answers")
	}
	if errTCP != nil {
		// RFC 7766 §5: "All general-purpose DNS implementations MUST support both UDP and TCP transport."
		v.find("tcp", Error, "open TCP port "+fmt.Sprint(v.addr.Port())+" of "+v.addr.Addr().String()+" in firewalls and load balancers: cut answers, and many resolvers, come over TCP",
			"no answer over TCP: %v", errTCP)
	} else {
		v.find("tcp", OK, "", "answers")
	}
	switch {
	case errUDP != nil && errTCP != nil:
		return false
	case errUDP != nil, reply.Truncated && errTCP == nil:
		reply = overTCP
	}
	return v.checkAuthority(ctx, reply)
}

// explainSilence tells a server that is dead over UDP from one that drops EDNS.
func (v *visit) explainSilence(ctx context.Context, err error) {
	if _, errPlain := v.udp(ctx, v.addr, plainQuestion(v.zone, dns.TypeSOA)); errPlain == nil {
		v.find("edns", Error, "let queries with an OPT record pass: every resolver sends them (RFC 6891; a firewall may be too old)",
			"answers queries without EDNS only")
		v.find("udp", OK, "", "answers, without EDNS")
		return
	}
	v.find("udp", Error, "start the server at "+v.addr.String()+", open UDP port "+fmt.Sprint(v.addr.Port())+" in firewalls, or take it out of the delegation",
		"no answer over UDP: %v", err)
}

// checkAuthority finds lame servers: those that are named for a zone and know
// nothing of it.
func (v *visit) checkAuthority(ctx context.Context, reply answer) bool {
	soa := records[*dns.SOA](reply.Answer, v.zone)
	switch {
	case reply.Rcode == dns.RcodeServerFailure:
		v.explainFailure(ctx, reply)
	case reply.Rcode != dns.RcodeSuccess:
		v.find("authority", Error, "configure zone "+v.zone+" on "+v.addr.String()+" (a secondary: check its transfers), or take it out of the delegation",
			"lame: answers %s for the zone", rcode(reply))
	case len(soa) == 0 || !reply.Authoritative:
		v.find("authority", Error, "configure zone "+v.zone+" on "+v.addr.String()+" (a secondary: check its transfers), or take it out of the delegation",
			"lame: its answer for the zone is not authoritative")
	default:
		v.find("authority", OK, "", "answers for the zone")
		v.soa = soa[0]
		v.soaSigs = records[*dns.RRSIG](reply.Answer, v.zone)
		return true
	}
	return false
}

// explainFailure tells a zone that cannot be signed now from one that cannot be
// answered for at all.
func (v *visit) explainFailure(ctx context.Context, reply answer) {
	why := ""
	if said := reasons(reply); said != "" {
		why = ": " + said
	}
	plain, err := v.tcp(ctx, v.addr, plainQuestion(v.zone, dns.TypeSOA))
	if err == nil && plain.Rcode == dns.RcodeSuccess && plain.Authoritative {
		v.find("authority", Error, "bring the zone's keys to "+v.addr.String()+", the same as on its other servers (Fairway: fairway dnssec status says what is wrong)",
			"answers SERVFAIL to who asks for signatures, as most resolvers do, and only others as usual%s", why)
		return
	}
	v.find("authority", Error, "see in its log why zone "+v.zone+" cannot be answered for on "+v.addr.String()+" (a secondary: check its transfers), or take it out of the delegation",
		"answers SERVFAIL for the zone%s", why)
}

// checkSOA looks at the timers, by which secondaries live (RFC 1912 §2.2).
func (v *visit) checkSOA() {
	s := v.soa
	switch {
	case s.Expire <= s.Refresh+s.Retry:
		v.find("soa", Warning, "raise the zone's expire above refresh + retry, 14 days is usual", "expire (%d s) is not above refresh + retry (%d s): one missed transfer takes a secondary's zone away", s.Expire, s.Refresh+s.Retry)
	case s.Retry >= s.Refresh:
		v.find("soa", Warning, "make the zone's retry shorter than its refresh", "retry (%d s) is not below refresh (%d s)", s.Retry, s.Refresh)
	default:
		v.find("soa", OK, "", "refresh %d s, retry %d s, expire %d s", s.Refresh, s.Retry, s.Expire)
	}
}

// readZone fetches what is compared with other servers and with the parent.
func (v *visit) readZone(ctx context.Context) {
	if reply, err := v.whole(ctx, v.addr, question(v.zone, dns.TypeNS)); err == nil {
		v.ns = records[*dns.NS](reply.Answer, v.zone)
	}
	for _, name := range hosts(v.ns) {
		if !dns.IsSubDomain(v.zone, name) {
			continue
		}
		v.addresses[name] = nil
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
			if reply, err := v.whole(ctx, v.addr, question(name, qtype)); err == nil {
				v.addresses[name] = append(v.addresses[name], addressesIn(reply.Answer)...)
			}
		}
	}
	if reply, err := v.whole(ctx, v.addr, question(v.zone, dns.TypeDNSKEY)); err == nil {
		v.keys = records[*dns.DNSKEY](reply.Answer, v.zone)
		v.keySigs = records[*dns.RRSIG](reply.Answer, v.zone)
	}
	if len(v.keys) > 0 {
		for qtype, into := range map[uint16]*[]dns.RR{dns.TypeCDS: &v.cds, dns.TypeCDNSKEY: &v.cdnskey} {
			if reply, err := v.whole(ctx, v.addr, question(v.zone, qtype)); err == nil {
				*into = ofType(reply.Answer, v.zone, qtype)
			}
		}
	}
}

// checkRecursion finds servers that work for everybody, and so for attackers.
func (v *visit) checkRecursion(ctx context.Context) {
	reply, err := v.udp(ctx, v.addr, recursive("a.root-servers.net.", dns.TypeA))
	if err == nil && reply.RecursionAvailable {
		v.find("recursion", Warning, "switch recursion off on "+v.addr.String()+", or allow it to your own networks only", "offers recursion")
		return
	}
	v.find("recursion", OK, "", "off")
}

// checkTransfer tries to get the whole zone without a key.
func (v *visit) checkTransfer(ctx context.Context) {
	q := plainQuestion(v.zone, dns.TypeAXFR)
	reply, err := v.tcp(ctx, v.addr, q)
	if err == nil && reply.Rcode == dns.RcodeSuccess && len(reply.Answer) > 0 {
		v.find("transfer", Warning, "allow transfers on "+v.addr.String()+" to your secondaries only, by address and TSIG key", "gives the whole zone to this machine, without a key")
		return
	}
	v.find("transfer", OK, "", "not without a key")
}
