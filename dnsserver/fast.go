package dnsserver

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// scratch is the memory of one goroutine that answers. Each answer uses it again:
// what is in it holds until the next.
type scratch struct {
	out      []byte           // where the fast path writes; not shorter than maxUDP
	layout   *steering.Layout // that names belongs to
	names    *nameTable
	epoch    uint64 // of what signs the zone at hand
	query    commonQuery
	asked    steering.Query
	decision steering.Decision
	given    given     // for the endpoint of the decision
	decided  bool      // the decision hands an endpoint out
	cutOff   bool      // that of the server, for the query at hand
	opt      optRecord // of the answer; only where the query has one
	cookie   cookieState
	dnssecOK bool   // the query's DO bit
	limited  uint64 // responses over the limit so far
	rcode    uint8
	qtype    string        // of the answer at hand, as it is counted
	cut      bool          // the answer at hand is truncated
	unix     uint32        // the time of day …
	unixAt   time.Duration // … when it was asked for, on the server's clock
	began    time.Duration // on the server's clock, when the messages at hand had arrived
	answered int           // of these
	alike    struct {      // the last of these, of one kind
		kind
		answers int
	}
	ahead *ahead // nil until it pays
	rest  *rest  // of an answer of several messages; nil for none
}

func newScratch() *scratch { return &scratch{out: make([]byte, maxUDP)} }

// fast answers the common query that was read from what was prepared, or gives nil
// for what the general path must answer: what is refused, failing, a referral,
// from a wildcard, or too large to prepare. What it answers, it answers as the
// general path would, octet for octet but for the compression of names. It
// allocates nothing.
func (m *scratch) fast(t *nameTable, snapshot *steering.Snapshot, resolver netip.Addr, transport string) []byte {
	q := &m.query
	m.decided = false
	e, exists := t.find(q.lower)
	if !exists {
		var ok bool
		if e, ok = t.encloser(q.lower); !ok || e.flags&(flagUnprepared|flagWildcard) != 0 {
			return nil
		}
		return m.deny(&t.denials[e.denial], dns.RcodeNameError, transport)
	}
	if e.flags&flagUnprepared != 0 {
		return nil
	}
	if e.steered != notSteered {
		if name := t.steeredAt(e.steered); name.offer.has(q.qtype) {
			return m.steer(&name, snapshot, resolver, transport)
		}
	}
	s, exists := e.static(q.qtype)
	switch {
	case exists:
		return m.write(&s, transport)
	case e.flags&flagAlias != 0:
		return nil
	}
	return m.deny(&t.denials[e.denial], dns.RcodeSuccess, transport)
}

// choose decides for the client that a query tells of, and reads what is prepared for
// the endpoint, whose place in the service it returns; false where nothing is.
func (m *scratch) choose(name *steeredName, snapshot *steering.Snapshot, resolver netip.Addr) (endpoint int, ok bool) {
	m.asked = steering.Query{Service: name.service}
	m.asked.Client, m.asked.Source = m.query.options.subnet.client(resolver)
	snapshot.DecideInto(&m.asked, &m.decision)
	chosen := m.decision.Endpoint()
	if chosen == nil {
		return 0, false
	}
	endpoint = name.index(chosen)
	return endpoint, endpoint >= 0 && name.find(endpoint, m.query.qtype, &m.given)
}

// steer answers for a steered name with the endpoint that the snapshot chooses.
func (m *scratch) steer(name *steeredName, snapshot *steering.Snapshot, resolver netip.Addr, transport string) []byte {
	if _, ok := m.choose(name, snapshot, resolver); !ok {
		return nil
	}
	g := &m.given
	subnet := &m.query.options.subnet
	m.opt.scope = subnet.scope(m.decision.Scope, true)
	m.opt.error = trouble(m.decision.Split, m.cutOff)
	if subnet.tells() && m.decision.Scope > 0 {
		g.section = g.tailored()
	}
	answer := m.write(&g.section, transport)
	if answer == nil {
		return nil
	}
	m.decided = g.handOut
	m.setTTL(answer, g)
	return answer
}

// setTTL puts the decision's TTL where it goes in what was given.
func (m *scratch) setTTL(answer []byte, g *given) {
	if m.cut {
		return
	}
	ttl := min(seconds(m.decision.TTL), g.maxTTL)
	body := answer[headerLength+len(m.query.question):]
	for at := g.ttls; len(at) > 0; at = at[2:] {
		binary.BigEndian.PutUint32(body[binary.BigEndian.Uint16(at):], ttl)
	}
}

// deny answers that the name or the type does not exist.
func (m *scratch) deny(d *denial, rcode uint8, transport string) []byte {
	s := section{octets: d.octets, authority: 1, rcode: rcode}
	answer := m.write(&s, transport)
	if answer != nil && !m.cut {
		at := headerLength + len(m.query.question)
		d.relocate(answer, at)
		d.renumber(answer, at)
	}
	return answer
}

// write puts header, question, section and OPT record together, without the
// section and with TC where the client does not take so much (see truncate); nil
// when there is no section or no room for it.
func (m *scratch) write(s *section, transport string) []byte {
	q, out := &m.query, m.out
	if s.empty() {
		return nil
	}
	end := headerLength + len(q.question) + len(s.octets)
	length := end + m.optLength(end)
	flags := flagResponse | flagAuthoritative | uint16(s.rcode)
	m.rcode, m.cut = s.rcode, false
	switch {
	case transport == transportUDP && length > q.udpLimit():
		if length-int(s.spare) <= q.udpLimit() {
			return nil
		}
		m.cut = true
		flags |= flagTruncated
		s = &section{}
		end = headerLength + len(q.question)
		length = end + m.optLength(end)
	case length > len(out):
		return nil
	}
	big := binary.BigEndian
	copy(out, q.packet[:2])
	big.PutUint16(out[2:], flags|big.Uint16(q.packet[2:])&flagRecursionDesired)
	big.PutUint16(out[4:], 1)
	big.PutUint16(out[6:], s.answers)
	big.PutUint16(out[8:], s.authority)
	big.PutUint16(out[10:], 0)
	off := headerLength + copy(out[headerLength:], q.question)
	copy(out[off:], s.octets)
	if q.edns {
		big.PutUint16(out[10:], 1)
		m.opt.write(out[end:length])
	}
	return out[:length]
}

const (
	flagAuthoritative = 1 << 10
	flagTruncated     = 1 << 9
)

// optLength is the octets of the OPT record behind so many others.
func (m *scratch) optLength(answer int) int {
	if !m.query.edns {
		return 0
	}
	return m.opt.length(answer)
}

// udpLimit is the largest answer that the client takes over UDP.
func (q *commonQuery) udpLimit() int {
	if !q.edns {
		return dns.MinMsgSize
	}
	return ednsLimit(q.udpSize)
}
