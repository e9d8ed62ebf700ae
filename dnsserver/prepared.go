package dnsserver

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/miekg/dns"

	"fairway/steering"
)

// section is the records of an answer as octets, to be put behind a question.
// Names in them may point to the question's name as a whole, which then stands
// there in the case that was asked, and to names in the section, but never into
// the question's name: data keep their own case.
type section struct {
	octets             []byte
	answers, authority uint16
	rcode              uint8
	nxname             bool // it proves that a name does not exist (RFC 9824)
	// spare is how much shorter the general path writes the same, as it compresses
	// names by the question's: what is that little too large is left to it.
	spare uint16
}

// empty tells that nothing was prepared, since every answer has a record.
func (s *section) empty() bool { return len(s.octets) == 0 }

// given is the section for an endpoint that a decision has chosen. It does not
// depend on the decision: where its TTL goes is left open.
type given struct {
	section
	qtype   uint16 // 0 = every type that has no section of its own
	handOut bool   // the endpoint is in it, not only that it has no such record
	maxTTL  uint32 // of the records whose TTL is the decision's
	ttls    []byte // where these are in the octets, two octets for each
	// Of a chain that goes on behind its first CNAME, the octets of this one and its
	// signatures, and their number; else 0 (see tailor).
	head, heads uint16
}

// tailored is the section for a client whose network is known.
func (g *given) tailored() section {
	if g.head == 0 {
		return g.section
	}
	return section{octets: g.octets[:g.head], answers: g.heads}
}

// maxSection bounds the octets of what is worth preparing: more does not fit any
// answer over UDP.
const maxSection = maxUDP - headerLength - 1 - 4

// preparer makes answers before they are asked for: it asks the general path, so
// that both say the same.
type preparer struct {
	zones   *zoneSet
	message []byte // where answers are packed, one after the other
	// mint is set where answers are to be signed: whether what a question makes up
	// may be.
	mint     func() bool
	unproven bool // the last answer could not be signed
}

func newPreparer(z *zoneSet) *preparer {
	return &preparer{zones: z, message: make([]byte, headerLength+maxNameLength+4+2*maxSection)}
}

// rehearse starts a lookup that has neither snapshot nor client.
func (p *preparer) rehearse(name string, qtype uint16) *lookup {
	return &lookup{reply: &reply{}, zones: p.zones, qtype: qtype}
}

// static gives the answer to a question, valid until the next one; an empty one
// when it depends on decisions, is a referral, or is too large. length is that of
// the name on the wire.
func (p *preparer) static(name string, qtype uint16, length int) section {
	l := p.rehearse(name, qtype)
	l.resolve(name)
	p.prove(l)
	s, _ := p.pack(l, name, length)
	return s
}

// given gives the answer to a question for a steered name when this endpoint is
// chosen.
func (p *preparer) given(name string, qtype uint16, length int, e *steering.Endpoint) given {
	l := p.rehearse(name, qtype)
	l.followed, l.last = []string{name}, name
	l.msg.Authoritative = true
	z := p.zones.find(name, qtype)
	next, handOut := l.give(z, z.nodes[name], name, e, math.MaxInt32)
	g := given{qtype: qtype, handOut: handOut, maxTTL: math.MaxUint32}
	if l.undecided {
		return g // it is looked up when it is asked for
	}
	if len(l.msg.Answer) == 0 { // the SOA record takes their place
		g.maxTTL = l.msg.Ns[0].Header().Ttl
	}
	if next != "" {
		l.resolve(next)
	}
	p.prove(l)
	timed := leadingTTL(l)
	s, starts := p.pack(l, name, length)
	g.section = s
	g.octets = slices.Clone(s.octets)
	for _, start := range starts[:min(timed, len(starts))] {
		end, _ := skipName(g.octets, start)
		g.ttls = binary.BigEndian.AppendUint16(g.ttls, uint16(end+4))
	}
	if next != "" && len(starts) > timed {
		g.head, g.heads = uint16(starts[timed]), uint16(timed)
	}
	return g
}

// leadingTTL counts the leading records that share the decision's TTL: those of the
// endpoint, or of its denial, with their signatures.
func leadingTTL(l *lookup) (n int) {
	records := slices.Concat(l.msg.Answer, l.msg.Ns)
	for n < len(records) && records[n].Header().Ttl == records[0].Header().Ttl {
		n++
	}
	return n
}

// prove signs an answer where that is wanted.
func (p *preparer) prove(l *lookup) {
	if p.mint == nil {
		return
	}
	l.mint = p.mint
	l.prove()
	p.unproven = l.unproven
}

// pack writes the records of a lookup, and says where each starts.
func (p *preparer) pack(l *lookup, name string, length int) (s section, starts []int) {
	if l.undecided || !l.msg.Authoritative || len(l.msg.Extra) > 0 || p.mint == nil && p.moves(l) {
		return section{}, nil
	}
	begin, general := headerLength+length+4, generalLength(l, name) // before packRecord takes names away
	end, compression := begin, make(map[string]int)
	for i, rr := range slices.Concat(l.msg.Answer, l.msg.Ns) {
		starts = append(starts, end-begin)
		asked := rr.Header().Name == name && (i < len(l.msg.Answer) || aboutName(rr))
		if end = packRecord(rr, asked, p.message, end, compression); end == 0 || end-begin > maxSection {
			return section{}, nil
		}
	}
	return section{
		octets: p.message[begin:end], spare: uint16(max(end-general, 0)),
		answers: uint16(len(l.msg.Answer)), authority: uint16(len(l.msg.Ns)), rcode: uint8(l.msg.Rcode), nxname: l.nxname,
	}, starts
}

// moves tells whether an answer has a serial that will move. Signed ones are made again
// then.
func (p *preparer) moves(l *lookup) bool {
	return slices.ContainsFunc(l.msg.Ns, func(rr dns.RR) bool {
		z := p.zones.byName[rr.Header().Name]
		return rr.Header().Rrtype == dns.TypeSOA && z != nil && z.moving
	})
}

// generalLength is the octets of the same answer as the general path writes it.
func generalLength(l *lookup, name string) int {
	msg := l.msg
	msg.Compress, msg.Question = true, []dns.Question{{Name: name, Qtype: l.qtype, Qclass: dns.ClassINET}}
	octets, err := msg.Pack()
	if err != nil {
		return 0
	}
	return len(octets)
}

// aboutName tells whether a record of the authority section is about the name that
// was asked, in the case that was asked.
func aboutName(rr dns.RR) bool {
	sig, ok := rr.(*dns.RRSIG)
	return rr.Header().Rrtype == dns.TypeNSEC || ok && sig.TypeCovered == dns.TypeNSEC
}

// packRecord writes one record at off and returns the offset behind it, 0 when it
// does not fit. The name that was asked is a pointer to the question. It is not
// given to the compression, which would have names below it point there as well.
func packRecord(rr dns.RR, asked bool, message []byte, off int, compression map[string]int) int {
	if !asked {
		end, err := dns.PackRR(rr, message, off, compression, true)
		if err != nil {
			return 0
		}
		return end
	}
	rr.Header().Name = "." // one octet, the second one of the pointer
	end, err := dns.PackRR(rr, message, off+1, compression, true)
	if err != nil {
		return 0
	}
	binary.BigEndian.PutUint16(message[off:], pointer|headerLength)
	return end
}

// pointer marks a compressed name (RFC 1035 §4.1.4).
const pointer = 0xC000

// denial is the authority section of a zone's negative answers, which all its
// names share. Its compressed names count from its own start until it is put into
// an answer.
type denial struct {
	octets   []byte
	pointers []int // where the compressed names are

	copies Copies // knows the serial of a zone that moves; nil for others
	zone   string
	serial int // where it is
}

func newDenial(soa dns.RR) denial {
	buffer := make([]byte, 2*maxSection)
	end, err := dns.PackRR(dns.Copy(soa), buffer, 0, make(map[string]int), true)
	if err != nil || end > maxSection {
		return denial{} // not prepared
	}
	d := denial{octets: slices.Clone(buffer[:end])}
	off, _ := skipName(d.octets, 0)
	off += 10
	for range 2 { // MNAME and RNAME
		for d.octets[off] != 0 && d.octets[off] < 0xC0 {
			off += 1 + int(d.octets[off])
		}
		if d.octets[off] == 0 {
			off++
			continue
		}
		d.pointers = append(d.pointers, off)
		off += 2
	}
	d.serial = off
	return d
}

// renumber puts the serial that the zone has now where the section stands in an answer.
func (d *denial) renumber(answer []byte, at int) {
	if d.copies == nil {
		return
	}
	if serial, known := d.copies.Serial(d.zone); known {
		binary.BigEndian.PutUint32(answer[at+d.serial:], serial)
	}
}

// epoch changes when signed answers of the zone should be made again: with the keys,
// and with the serial that negative ones prove.
func (d *denial) epoch(signer Signer) uint64 {
	epoch := signer.Epoch()
	if d.copies != nil {
		if serial, known := d.copies.Serial(d.zone); known {
			epoch = epoch<<32 | uint64(serial)
		}
	}
	return epoch
}

// relocate makes the compressed names right where the section stands in an answer.
func (d *denial) relocate(answer []byte, at int) {
	for _, p := range d.pointers {
		to := answer[at+p:]
		binary.BigEndian.PutUint16(to, binary.BigEndian.Uint16(to)+uint16(at))
	}
}
