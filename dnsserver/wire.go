package dnsserver

import (
	"encoding/binary"
	"errors"

	"github.com/miekg/dns"
)

// The header of RFC 1035 §4.1.1, as far as it is read from the octets.
const (
	headerLength         = 12
	flagResponse         = 1 << 15
	opcodeMask           = 0xF << 11
	flagRecursionDesired = 1 << 8
)

var errShort = errors.New("the message ends before its counts say")

// edns is what the OPT record of a query says.
type edns struct {
	records int // OPT records; 0 = the client does not know EDNS
	udpSize uint16
	ttl     uint32 // extended RCODE, version and flags
	options options

	from, to int // where the data of the record lie in the message
}

func (e *edns) version() uint8 { return uint8(e.ttl >> 16) }
func (e *edns) dnssecOK() bool { return e.ttl&flagDNSSECOK != 0 }

// compactOK tells whether the client takes NXDOMAIN with the proof of RFC 9824,
// which reads like one for an empty name (§5.1).
func (e *edns) compactOK() bool { return e.ttl&flagCompactOK != 0 }

// udpLimit is the largest answer that the client takes over UDP: 512 octets
// without EDNS (RFC 1035 §4.2.1); smaller announcements mean 512 too (RFC 6891
// §6.2.3: "Values lower than 512 MUST be treated as equal to 512").
func (e *edns) udpLimit() int {
	if e.records == 0 {
		return dns.MinMsgSize
	}
	return ednsLimit(e.udpSize)
}

func ednsLimit(announced uint16) int { return min(max(int(announced), dns.MinMsgSize), maxUDP) }

// parse reads a query. It returns no message for what cannot or must not be
// answered: less than a header, or a response, since two servers that answer
// responses would never end. A malformed query gives a message with as much as
// could be read, so that the FORMERR fits it: header, question, and what EDNS says
// but for its options.
//
// dns.Msg.Unpack alone will not do: it accepts counts larger than the content,
// ECS addresses of any length, and it refuses options that mean nothing to us for
// what is wrong in them.
func parse(packet []byte) (request *dns.Msg, e edns, malformed bool) {
	if len(packet) < headerLength || binary.BigEndian.Uint16(packet[2:])&flagResponse != 0 {
		return nil, e, false
	}
	e, questions, err := scan(packet)
	request = new(dns.Msg)
	unpacked := request.Unpack(packet)
	if unpacked != nil && err == nil && e.records == 1 {
		request = new(dns.Msg)
		unpacked = request.Unpack(withoutOptions(packet, e))
	}
	if unpacked == nil && err == nil {
		return request, e, false
	}
	if !questions || len(request.Question) > 1 {
		request.Question = nil
	}
	request.Answer, request.Ns, request.Extra = nil, nil, nil
	e.options = options{}
	return request, e, true
}

// withoutOptions is the message with an OPT record that has none.
func withoutOptions(packet []byte, e edns) []byte {
	cut := append(make([]byte, 0, len(packet)), packet[:e.from]...)
	cut[e.from-1], cut[e.from-2] = 0, 0
	return append(cut, packet[e.to:]...)
}

// scan walks over every record that the header counts. The error says what is
// wrong; what was found before stands, such as whether the questions are whole.
func scan(packet []byte) (e edns, questions bool, err error) {
	count := func(i int) int { return int(binary.BigEndian.Uint16(packet[4+2*i:])) }
	off := headerLength
	for range count(0) {
		if off, err = skipName(packet, off); err != nil {
			return e, false, err
		}
		if off += 4; off > len(packet) {
			return e, false, errShort
		}
	}
	for range count(1) + count(2) {
		if _, off, err = nextRecord(packet, off); err != nil {
			return e, true, err
		}
	}
	for range count(3) {
		start := off
		var r record
		if r, off, err = nextRecord(packet, off); err != nil {
			return e, true, err
		}
		if r.rrtype != dns.TypeOPT {
			continue
		}
		e = edns{records: e.records + 1, udpSize: r.class, ttl: r.ttl, from: off - len(r.data), to: off}
		if packet[start] != 0 {
			return e, true, errors.New("the OPT record's name is not the root") // RFC 6891 §6.1.2: "MUST be 0 (root domain)"
		}
		if err = e.options.read(r.data); err != nil {
			return e, true, err
		}
	}
	return e, true, nil
}

// record is one resource record as it stands in the message.
type record struct {
	rrtype, class uint16
	ttl           uint32
	data          []byte
}

// nextRecord reads the record at off and returns the offset behind it.
func nextRecord(packet []byte, off int) (record, int, error) {
	off, err := skipName(packet, off)
	if err != nil {
		return record{}, 0, err
	}
	if off+10 > len(packet) {
		return record{}, 0, errShort
	}
	fixed := packet[off : off+10]
	off += 10
	end := off + int(binary.BigEndian.Uint16(fixed[8:]))
	if end > len(packet) {
		return record{}, 0, errShort
	}
	return record{
		rrtype: binary.BigEndian.Uint16(fixed),
		class:  binary.BigEndian.Uint16(fixed[2:]),
		ttl:    binary.BigEndian.Uint32(fixed[4:]),
		data:   packet[off:end],
	}, end, nil
}

// skipName returns the offset behind the name at off. Where a pointer leads is
// for dns.Msg.Unpack to check.
func skipName(packet []byte, off int) (int, error) {
	for off < len(packet) {
		switch length := int(packet[off]); {
		case length == 0:
			return off + 1, nil
		case length >= 0xC0 && off+2 <= len(packet):
			return off + 2, nil
		case length < 0x40:
			off += 1 + length
		default:
			return 0, errors.New("a label has a reserved type") // RFC 6891 §5
		}
	}
	return 0, errShort
}
