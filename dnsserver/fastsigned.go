package dnsserver

import (
	"bytes"
	"hash/maphash"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// signedAnswer is an answer with what proves it, made by asking the general path
// when it was first needed. It never changes.
type signedAnswer struct {
	given
	id    answerID
	name  []byte        // in lower case, of a name that does not exist; nil for others
	epoch uint64        // of the signer
	until time.Duration // on the server's clock: then it is made again
}

// answerID says which answer of a name it is.
type answerID struct {
	at       uint32 // the name's place in the table; 0 for one that does not exist
	qtype    uint16 // 0 = every type that the name has no data of
	endpoint uint16 // one more than the index of the chosen endpoint; 0 = nothing was to be chosen
}

// keepSigned is how long a signed answer is kept before it is put together again,
// which is cheap while its signatures hold: the signer keeps those, and renews them
// days before they end.
const keepSigned = time.Hour

// exchangeSigned is fast for a query that asks for proof. The first answer of its
// kind is made on the way, which costs a few times what it costs the general path;
// all others allocate nothing.
func (s *Server) exchangeSigned(m *scratch, snapshot *steering.Snapshot, resolver netip.Addr, transport string) []byte {
	q, t := &m.query, m.names
	m.decided = false
	m.opt.compactOK = q.compactOK
	e, exists := t.find(q.lower)
	if !exists {
		encloser, ok := t.encloser(q.lower)
		if !ok || encloser.flags&(flagUnprepared|flagWildcard) != 0 {
			return nil
		}
		m.epoch = t.denials[encloser.denial].epoch(s.config.Signer)
		return m.writeSigned(s.signedAnswer(m, answerID{}, nil, transport), transport)
	}
	if e.flags&flagUnprepared != 0 {
		return nil
	}
	m.epoch = t.denials[e.denial].epoch(s.config.Signer)
	if e.steered != notSteered {
		if name := t.steeredAt(e.steered); name.offer.has(q.qtype) {
			return s.steerSigned(m, e.at, &name, snapshot, resolver, transport)
		}
	}
	id := answerID{at: e.at}
	if static, exists := e.static(q.qtype); exists {
		if id.qtype = q.qtype; static.empty() {
			return nil
		}
	} else if e.flags&flagAlias != 0 {
		return nil
	}
	return m.writeSigned(s.signedAnswer(m, id, nil, transport), transport)
}

func (s *Server) steerSigned(m *scratch, at uint32, name *steeredName, snapshot *steering.Snapshot, resolver netip.Addr, transport string) []byte {
	q := &m.query
	subnet := &q.options.subnet
	endpoint, ok := m.choose(name, snapshot, resolver)
	if !ok {
		return nil
	}
	id := answerID{at: at, qtype: m.given.qtype, endpoint: uint16(endpoint) + 1}
	if !m.given.handOut {
		id.qtype = q.qtype // the denial names the other types
	}
	signed := s.signedAnswer(m, id, name.endpoints[endpoint], transport)
	if signed == nil {
		return nil
	}
	m.opt.scope = subnet.scope(m.decision.Scope, true)
	m.opt.error = trouble(m.decision.Split, m.cutOff)
	var answer []byte
	if subnet.tells() && m.decision.Scope > 0 && signed.head > 0 {
		tailored := signed.tailored()
		answer = m.write(&tailored, transport)
	} else {
		answer = m.writeSigned(signed, transport)
	}
	if answer != nil {
		m.decided = signed.handOut
		m.setTTL(answer, &signed.given)
	}
	return answer
}

// writeSigned writes an answer; nil when there is none.
func (m *scratch) writeSigned(signed *signedAnswer, transport string) []byte {
	if signed == nil {
		return nil
	}
	out := signed.section
	if out.nxname && m.query.compactOK {
		out.rcode = dns.RcodeNameError
	}
	return m.write(&out, transport)
}

// signedAnswer finds the answer that is kept, or makes it; nil when it cannot be
// signed now. One that is too large, or a referral, is kept as empty.
func (s *Server) signedAnswer(m *scratch, id answerID, e *steering.Endpoint, transport string) *signedAnswer {
	t := m.names
	kept, name := &t.proofs.standing, []byte(nil)
	if id.at == 0 {
		kept, name = &t.proofs.minted, m.query.lower
	}
	hash := t.hashOf(id, name)
	if found := kept.find(hash, id, name); found != nil && found.epoch == m.epoch && m.began < found.until {
		return found
	}
	p := newPreparer(t.proofs.zones)
	p.mint = s.mintOver(transport)
	made := p.signed(m.query.lower, m.query.qtype, e)
	if made == nil {
		return nil
	}
	made.id, made.name, made.epoch, made.until = id, bytes.Clone(name), m.epoch, m.began+keepSigned
	kept.put(hash, made)
	return made
}

// signed makes the signed answer to a question for a name in wire form, and where an
// endpoint is chosen, with it; nil when it cannot be signed now.
func (p *preparer) signed(wire []byte, qtype uint16, e *steering.Endpoint) *signedAnswer {
	name, _, err := dns.UnpackDomainName(wire, 0)
	if err != nil {
		return nil
	}
	made := &signedAnswer{}
	if e != nil {
		made.given = p.given(name, qtype, len(wire), e)
	} else {
		made.section = p.static(name, qtype, len(wire))
		made.octets = slices.Clone(made.octets)
	}
	if p.unproven {
		return nil
	}
	return made
}

// proofs are the signed answers of a table's names, as far as they were asked for.
type proofs struct {
	zones    *zoneSet
	standing answerCache // of names that exist
	minted   answerCache // of those that do not
}

// The most answers that are kept: about 50 MB, and 8 MB.
const (
	maxStanding = 1 << 17
	maxMinted   = 1 << 14
)

func newProofs(z *zoneSet, names int) *proofs {
	return &proofs{zones: z, standing: newAnswerCache(min(4*names, maxStanding)), minted: newAnswerCache(maxMinted)}
}

func (t *nameTable) hashOf(id answerID, name []byte) uint64 {
	if name != nil {
		return maphash.Bytes(t.seed, name)
	}
	h := (uint64(id.at)<<32 | uint64(id.qtype)<<16 | uint64(id.endpoint)) * 0x9E3779B97F4A7C15
	return h ^ h>>32
}

// answerCache is a bounded table that is read and written without a lock. An
// answer has a few places; when others have them all, one makes room.
type answerCache struct {
	slots []atomic.Pointer[signedAnswer]
	next  atomic.Uint32
}

// answerWays is how many places an answer has.
const answerWays = 4

func newAnswerCache(size int) answerCache {
	slots := answerWays
	for slots < size {
		slots *= 2
	}
	return answerCache{slots: make([]atomic.Pointer[signedAnswer], slots)}
}

func (c *answerCache) places(hash uint64) []atomic.Pointer[signedAnswer] {
	at := hash & uint64(len(c.slots)-1) &^ (answerWays - 1)
	return c.slots[at : at+answerWays]
}

func (c *answerCache) find(hash uint64, id answerID, name []byte) *signedAnswer {
	places := c.places(hash)
	for i := range places {
		if a := places[i].Load(); a != nil && a.id == id && bytes.Equal(a.name, name) {
			return a
		}
	}
	return nil
}

// put keeps an answer. Two that are put at once may overwrite each other: one of
// them is then made again.
func (c *answerCache) put(hash uint64, made *signedAnswer) {
	places := c.places(hash)
	for i := range places {
		if a := places[i].Load(); a == nil || a.id == made.id && bytes.Equal(a.name, made.name) {
			places[i].Store(made)
			return
		}
	}
	places[c.next.Add(1)%answerWays].Store(made)
}

// maxWarm bounds the answers that are signed before a layout serves, about a second
// of work.
const maxWarm = 20_000

// warm signs what players will ask for as soon as a layout serves: every endpoint
// of every steered name, for addresses. The rest is signed when it is first asked
// for.
func (s *Server) warm(t *nameTable) {
	if t == nil || !t.signed {
		return
	}
	p, left := newPreparer(t.proofs.zones), maxWarm
	p.mint = func() bool { return true }
	t.each(func(wire []byte, at, denial, steered uint32) {
		if steered == notSteered {
			return
		}
		name, epoch := t.steeredAt(steered), t.denials[denial].epoch(s.config.Signer)
		for i, endpoint := range name.endpoints {
			name.each(i, func(g *given) {
				if left--; left < 0 || !g.handOut {
					return
				}
				qtype := g.qtype
				if qtype == 0 {
					qtype = dns.TypeA
				}
				if made := p.signed(wire, qtype, endpoint); made != nil {
					made.id, made.epoch, made.until = answerID{at, g.qtype, uint16(i) + 1}, epoch, s.clock()+keepSigned
					t.proofs.standing.put(t.hashOf(made.id, nil), made)
				}
			})
		}
	})
}
