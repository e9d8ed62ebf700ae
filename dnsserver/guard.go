package dnsserver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"

	"github.com/miekg/dns"
)

// Limits bound what is sent over UDP to an address that may be forged. Who has
// shown a valid cookie (RFC 7873) is met without them; over TCP nobody is forged.
type Limits struct {
	// Answers, Negatives (NXDOMAIN, NODATA, referrals) and Errors are responses per
	// second that one client network gets; as many may come at once. 0 = no limit.
	Answers, Negatives, Errors int
	// Slip lets every so many response that is over the limit go out after all,
	// as a short one that sends an honest client over TCP, or, if it knows cookies,
	// back with one. The rest get nothing. 0 = none goes out.
	Slip int
	// IPv4Bits and IPv6Bits are the length of a client network. Default 24 and 56;
	// IPv6Bits is at most 64.
	IPv4Bits, IPv6Bits int
	// Exempt are the networks that are never limited.
	Exempt []netip.Prefix
	// Amplification and SignedAmplification bound how many octets an answer has for
	// each octet of the query, the latter where the query asks for signatures (DO).
	// A larger answer is sent over TCP. 0 = no bound.
	Amplification, SignedAmplification int
}

const (
	defaultIPv4Bits = 24
	defaultIPv6Bits = 56
)

func (l *Limits) defaults() {
	if l.IPv4Bits == 0 {
		l.IPv4Bits = defaultIPv4Bits
	}
	if l.IPv6Bits == 0 {
		l.IPv6Bits = defaultIPv6Bits
	}
}

func (l *Limits) check() error {
	var findings []error
	for what, n := range map[string]int{
		"answers": l.Answers, "negatives": l.Negatives, "errors": l.Errors, "slip": l.Slip,
		"amplification": l.Amplification, "signed amplification": l.SignedAmplification,
	} {
		if n < 0 {
			findings = append(findings, fmt.Errorf("dns door: limits: %s is %d; use 0 for no limit", what, n))
		}
	}
	if l.IPv4Bits < 1 || l.IPv4Bits > 32 || l.IPv6Bits < 1 || l.IPv6Bits > 64 {
		findings = append(findings, fmt.Errorf("dns door: limits: networks of /%d and /%d; use 1 to 32 for IPv4, 1 to 64 for IPv6", l.IPv4Bits, l.IPv6Bits))
	}
	return errors.Join(findings...)
}

// guard stands between the answers and UDP. It works on the octets of whichever
// path made them.
type guard struct {
	limits        Limits
	limiter       *limiter // nil = none
	requireCookie bool
	verdicts      [responseKinds][verdicts]atomic.Uint64
}

// verdict is what becomes of a response.
type verdict uint8

const (
	verdictPass      verdict = iota
	verdictDrop              // over the limit: silence
	verdictSlip              // over the limit: come over TCP
	verdictBadCookie         // come with the cookie that you find here
	verdictLarge             // too large for an address that may be forged: come over TCP
	verdicts
)

func (v verdict) String() string {
	return [verdicts]string{"pass", "drop", "slip", "badcookie", "large"}[v]
}

func newGuard(limits Limits, requireCookie bool) *guard {
	return &guard{limits: limits, limiter: newLimiter(limits), requireCookie: requireCookie}
}

// pass gives what is sent in the end: the response, a short one in its place, or
// nil for nothing.
func (g *guard) pass(m *scratch, query, response []byte, client netip.Addr) []byte {
	if m.cookie == cookieValid {
		return response
	}
	kind := kindOf(response)
	// Who asks for nothing but a cookie gets it in an answer (RFC 7873 §5.4).
	onlyCookie := response[4]|response[5] == 0 && response[3]&0xF == dns.RcodeSuccess
	v := g.judge(m, kind, len(query), len(response), client, onlyCookie)
	if v == verdictPass {
		return response
	}
	g.verdicts[kind][v].Add(1)
	m.decided = false
	switch v {
	case verdictDrop:
		return nil
	case verdictBadCookie:
		m.rcode = dns.RcodeBadCookie
		return shorten(response, dns.RcodeBadCookie)
	}
	return shorten(response, -1)
}

func (g *guard) judge(m *scratch, kind responseKind, query, response int, client netip.Addr, onlyCookie bool) verdict {
	if g.limiter != nil && !g.limiter.allow(client, kind, m.began) {
		m.limited++
		switch {
		case g.limits.Slip == 0 || m.limited%uint64(g.limits.Slip) != 0:
			return verdictDrop
		case m.cookie != cookieNone:
			return verdictBadCookie
		}
		return verdictSlip
	}
	if g.requireCookie && m.cookie != cookieNone && !onlyCookie {
		return verdictBadCookie
	}
	factor := g.limits.Amplification
	if m.dnssecOK {
		factor = g.limits.SignedAmplification
	}
	if factor > 0 && response > factor*query {
		return verdictLarge
	}
	return verdictPass
}

func kindOf(response []byte) responseKind {
	switch rcode := response[3] & 0xF; {
	case rcode == dns.RcodeNameError:
		return kindNegative
	case rcode != dns.RcodeSuccess:
		return kindError
	case response[6]|response[7] != 0:
		return kindAnswer
	}
	return kindNegative
}

// shorten cuts a response of ours, in place, to header, question and OPT record. It
// sets TC or, if it is not -1, another
// response code: RFC 7873 §5.2.3 has a server answer BADCOOKIE "as a 'short
// response'" with "the BADCOOKIE extended RCODE" and the right cookie.
func shorten(response []byte, rcode int) []byte {
	big := binary.BigEndian
	end := headerLength
	if big.Uint16(response[4:]) == 1 {
		end, _ = skipName(response, end)
		end += 4
	}
	records := int(big.Uint16(response[6:])) + int(big.Uint16(response[8:])) + int(big.Uint16(response[10:]))
	var opt []byte
	for off := end; records > 0; records-- {
		r, next, err := nextRecord(response, off)
		if err != nil {
			break // no response of ours is malformed
		}
		if r.rrtype == dns.TypeOPT {
			opt = response[off:next]
		}
		off = next
	}
	flags := big.Uint16(response[2:])
	extended := uint8(0)
	if rcode < 0 {
		flags |= flagTruncated
	} else {
		flags = flags&^(flagAuthoritative|0xF) | uint16(rcode&0xF)
		extended = uint8(rcode >> 4)
	}
	big.PutUint16(response[2:], flags)
	clear(response[6:headerLength])
	if opt == nil {
		return response[:end]
	}
	length := copy(response[end:], opt)
	big.PutUint16(response[10:], 1)
	if rcode >= 0 {
		response[end+5] = extended
	}
	return response[:end+length]
}
