package dnsserver

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

// commonQuery is a query of the shape that nearly all have: one question of class
// IN, and at most an OPT record. It is read again and again into the same memory,
// and its slices point into the packet and into that memory.
type commonQuery struct {
	packet   []byte
	question []byte // name, type and class as they stand in the packet
	lower    []byte // the name in wire form and lower case
	qtype    uint16

	edns      bool
	udpSize   uint16
	dnssecOK  bool
	compactOK bool // see edns.compactOK
	options   options

	// folded is where lower lies: a whole number of words, as it is folded word
	// by word.
	folded [maxNameLength + 1]byte
}

const (
	maxNameLength = 255 // RFC 1035 §2.3.4
	oneQuestion   = 1 << 48
	flagDNSSECOK  = 1 << 15
	flagCompactOK = 1 << 14
	ednsVersionAt = 6
)

// read takes a packet in; false for what is not common or not well formed, which
// the general path tells apart. It may refuse anything, but accepts nothing that
// the general path would answer with FORMERR.
func (q *commonQuery) read(packet []byte) bool {
	if len(packet) < headerLength || binary.BigEndian.Uint16(packet[2:])&(flagResponse|opcodeMask) != 0 {
		return false
	}
	counts := binary.BigEndian.Uint64(packet[4:])
	if counts&^1 != oneQuestion {
		return false
	}
	q.packet = packet
	end := q.readQuestion()
	if end == 0 {
		return false
	}
	q.edns, q.dnssecOK, q.options = false, false, options{}
	if counts&1 == 0 {
		return end == len(packet)
	}
	return q.readOPT(packet[end:])
}

// readQuestion returns the offset behind the question, 0 when it is not common.
func (q *commonQuery) readQuestion() int {
	packet, off := q.packet, headerLength
	for {
		if off >= len(packet) || packet[off] > 63 {
			return 0
		}
		if packet[off] == 0 {
			break
		}
		off += 1 + int(packet[off])
	}
	off++
	length, end := off-headerLength, off+4
	if length > maxNameLength || end > len(packet) || binary.BigEndian.Uint16(packet[off+2:]) != dns.ClassINET {
		return 0
	}
	q.question = packet[headerLength:end]
	q.qtype = binary.BigEndian.Uint16(packet[off:])
	q.fold(packet[headerLength:off])
	if !commonType(q.qtype) {
		return 0
	}
	return end
}

// commonType leaves out what is no type of data (RFC 6895 §3.1), DS, which may belong
// to another zone than its name, and what is made when it is asked for.
func commonType(qtype uint16) bool {
	switch {
	case qtype == dns.TypeNone, qtype == dns.TypeOPT, qtype == dns.TypeDS, aboutProofs(qtype), qtype >= 128 && qtype <= 255:
		return false
	}
	return true
}

// fold writes the name in lower case, eight octets at a time. The length octets
// of labels are below 64 and no letters.
func (q *commonQuery) fold(name []byte) {
	const ones = 0x0101010101010101
	n := copy(q.folded[:], name)
	for i := 0; i < n; i += 8 {
		word := binary.LittleEndian.Uint64(q.folded[i:])
		low := word &^ (0x80 * ones)
		fromA := low + (0x80-'A')*ones // the top bit of each octet says: 'A' or above
		aboveZ := low + (0x7F-'Z')*ones
		upper := (fromA ^ aboveZ) &^ word & (0x80 * ones)
		binary.LittleEndian.PutUint64(q.folded[i:], word|upper>>2)
	}
	q.lower = q.folded[:n]
}

// readOPT reads the one additional record, which must be the last octets of the
// packet.
func (q *commonQuery) readOPT(r []byte) bool {
	if len(r) < optFixed || r[0] != 0 || binary.BigEndian.Uint16(r[1:]) != dns.TypeOPT || r[ednsVersionAt] != 0 ||
		int(binary.BigEndian.Uint16(r[9:])) != len(r)-optFixed {
		return false
	}
	q.edns = true
	q.udpSize = binary.BigEndian.Uint16(r[3:])
	flags := binary.BigEndian.Uint16(r[7:])
	q.dnssecOK, q.compactOK = flags&flagDNSSECOK != 0, flags&flagCompactOK != 0
	return q.options.read(r[optFixed:]) == nil
}
