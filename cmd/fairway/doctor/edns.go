package doctor

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// checkEDNS asks what new clients may ask one day: another version must be
// answered BADVERS (RFC 6891 §6.1.3), an unknown option ignored (§6.1.2).
func (v *visit) checkEDNS(ctx context.Context) {
	const remedy = "update the server's software: it does not follow RFC 6891, and resolvers lose time on it (RFC 8906)"
	if reply, err := v.udp(ctx, v.addr, question(v.zone, dns.TypeSOA)); err == nil && reply.IsEdns0() == nil {
		v.find("edns", Warning, remedy, "answers without an OPT record")
		return
	}
	newer := question(v.zone, dns.TypeSOA)
	newer.IsEdns0().SetVersion(1)
	if reply, err := v.udp(ctx, v.addr, newer); err != nil || reply.Rcode != dns.RcodeBadVers {
		v.find("edns", Warning, remedy, "does not answer EDNS version 1 with BADVERS")
		return
	}
	unknown := question(v.zone, dns.TypeSOA)
	opt := unknown.IsEdns0()
	opt.Option = append(opt.Option, &dns.EDNS0_LOCAL{Code: dns.EDNS0LOCALSTART, Data: []byte{1}})
	if reply, err := v.udp(ctx, v.addr, unknown); err != nil || reply.Rcode != dns.RcodeSuccess {
		v.find("edns", Warning, remedy, "does not ignore an unknown EDNS option")
		return
	}
	v.find("edns", OK, "", "version 0; unknown versions and options as RFC 6891 wants")
}

// unfragmented is the largest packet that passes every common path in one piece
// (DNS flag day 2020).
const unfragmented = 1232

// checkSize looks for answers that only pass in fragments, which get lost, and
// can be forged.
func (v *visit) checkSize(ctx context.Context) {
	size := 0
	for _, qtype := range []uint16{dns.TypeDNSKEY, dns.TypeTXT, dns.TypeNS, dns.TypeSOA} {
		reply, err := v.udp(ctx, v.addr, question(v.zone, qtype))
		if err != nil {
			continue
		}
		size = max(size, reply.size)
		if !reply.Truncated {
			continue
		}
		if whole, err := v.tcp(ctx, v.addr, question(v.zone, qtype)); err != nil || whole.Truncated {
			v.find("size", Error, "make "+v.addr.String()+" answer over TCP", "the %s answer is cut over UDP and does not come over TCP", dns.TypeToString[qtype])
			return
		}
	}
	if reply, err := v.udp(ctx, v.addr, plainQuestion(v.zone, dns.TypeDNSKEY)); err == nil && reply.size > dns.MinMsgSize {
		v.find("size", Error, "update the server's software: RFC 1035 §4.2.1", "sends %d octets to clients without EDNS, who take 512", reply.size)
		return
	}
	if size > unfragmented {
		v.find("size", Warning, fmt.Sprintf("limit UDP answers to %d octets (max-udp-size in BIND, max-udp-payload in Knot, ipv4-edns-size in NSD)", unfragmented),
			"sends UDP answers of %d octets, which many paths pass in fragments or not at all", size)
		return
	}
	v.find("size", OK, "", "nothing above %d octets over UDP", unfragmented)
}

// checkSubnet compares the answers for clients in several networks (RFC 7871).
func (v *visit) checkSubnet(ctx context.Context) {
	malformed := question(v.zone, dns.TypeSOA)
	opt := malformed.IsEdns0()
	opt.Option = append(opt.Option, &dns.EDNS0_LOCAL{Code: dns.EDNS0SUBNET, Data: []byte{0, 1, 20, 0, 192, 0, 0xFF}})
	reply, err := v.udp(ctx, v.addr, malformed)
	if err == nil && reply.Rcode == dns.RcodeSuccess && subnetIn(reply) != nil {
		// §7.2.1: "A query with a wrongly formatted option […] MUST be rejected and a FORMERR response MUST be returned".
		v.find("subnet", Warning, "update the server's software: RFC 7871 §7.2.1", "answers a wrongly formatted client subnet as if it were right")
	}
	names := v.names
	if len(names) == 0 {
		names = []string{v.zone}
	}
	for _, name := range names {
		v.checkSubnetOf(ctx, name)
	}
}

func (v *visit) checkSubnetOf(ctx context.Context, name string) {
	answers, scopes := make(map[string]bool), make(map[string]bool)
	for _, client := range v.clients {
		reply, err := v.udp(ctx, v.addr, withSubnet(name, client))
		if err != nil {
			v.find("subnet", Error, "let queries with a client subnet pass: resolvers send them (RFC 7871)", "no answer to a query with a client subnet: %v", err)
			return
		}
		got := subnetIn(reply)
		switch {
		case got == nil && name == v.zone:
			v.find("subnet", Note, "name a steered name with --name, to see what clients in several networks get", "the zone's apex is answered without regard to the client subnet")
			return
		case got == nil:
			v.find("subnet", Warning, "switch client subnet (ECS, RFC 7871) on at "+v.addr.String()+": without it, all clients of a public resolver get what the resolver's place gets",
				"%s is answered without regard to the client subnet", name)
			return
		case !sameSubnet(got, client):
			v.find("subnet", Error, "update the server's software: RFC 7871 §7.2.1 wants FAMILY, SOURCE PREFIX-LENGTH and ADDRESS as in the query, resolvers drop other answers",
				"%s: the answer for %s says another client subnet", name, client)
			return
		}
		answers[content(reply)] = true
		scopes[fmt.Sprintf("/%d", got.SourceScope)] = true
	}
	v.find("subnet", OK, "", "%s: %d networks asked, %s, scopes %s", name, len(v.clients),
		plural(len(answers), "different answer"), strings.Join(slices.Sorted(maps.Keys(scopes)), " "))
}

// withSubnet asks as a resolver would for a client.
func withSubnet(name string, client netip.Prefix) *dns.Msg {
	q := question(name, dns.TypeA)
	option := &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: uint8(client.Bits()), Address: client.Masked().Addr().AsSlice()}
	if client.Addr().Is6() {
		option.Family = 2
	}
	opt := q.IsEdns0()
	opt.Option = append(opt.Option, option)
	return q
}

func sameSubnet(got *dns.EDNS0_SUBNET, client netip.Prefix) bool {
	family := uint16(1)
	if client.Addr().Is6() {
		family = 2
	}
	a, ok := netip.AddrFromSlice(got.Address)
	return ok && got.Family == family && int(got.SourceNetmask) == client.Bits() && int(got.SourceScope) <= client.Addr().BitLen() &&
		netip.PrefixFrom(a.Unmap(), client.Bits()).Masked() == client.Masked()
}

func subnetIn(reply answer) *dns.EDNS0_SUBNET { return option[*dns.EDNS0_SUBNET](reply) }

// option finds an EDNS option of an answer.
func option[T dns.EDNS0](reply answer) (found T) {
	if opt := reply.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if t, ok := o.(T); ok {
				return t
			}
		}
	}
	return found
}

// content writes what an answer says, without TTLs and order.
func content(reply answer) string {
	var lines []string
	for _, rr := range reply.Answer {
		if rr.Header().Rrtype == dns.TypeRRSIG {
			continue
		}
		rr = dns.Copy(rr)
		rr.Header().Ttl = 0
		lines = append(lines, rr.String())
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// checkOptions asks for what helps against forgery and in the search for faults.
func (v *visit) checkOptions(ctx context.Context) {
	const client = "0123456789abcdef"
	q := question(v.zone, dns.TypeSOA)
	opt := q.IsEdns0()
	opt.Option = append(opt.Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: client}, &dns.EDNS0_NSID{Code: dns.EDNS0NSID})
	reply, err := v.udp(ctx, v.addr, q)
	if err != nil {
		v.find("cookie", Warning, "let queries with EDNS options pass: resolvers send cookies (RFC 7873)", "no answer to a query with a cookie: %v", err)
		return
	}
	switch cookie := option[*dns.EDNS0_COOKIE](reply); {
	case cookie == nil:
		v.find("cookie", Note, "", "none: forged answers are harder to tell (RFC 7873)")
	case !strings.HasPrefix(cookie.Cookie, client) || len(cookie.Cookie) < len(client)+16:
		v.find("cookie", Warning, "update the server's software: RFC 7873 §5.2", "the answer's cookie does not belong to the query's")
	default:
		v.find("cookie", OK, "", "given")
	}
	nsid := option[*dns.EDNS0_NSID](reply)
	if nsid == nil {
		v.find("nsid", Note, "", "none: which instance answered cannot be told (RFC 5001)")
		return
	}
	text := nsid.Nsid
	if raw, err := hex.DecodeString(text); err == nil && printable(raw) {
		text = string(raw)
	}
	v.find("nsid", OK, "", "%s", text)
}

func printable(raw []byte) bool {
	return !slices.ContainsFunc(raw, func(b byte) bool { return b < ' ' || b > '~' })
}

// plural writes a number with its noun.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
