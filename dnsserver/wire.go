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

// parse reads a query. It returns no message for what cannot or must not be
// answered: less than a header, or a response, since two servers that answer
// responses would never end. A malformed query gives a message with as much as
// could be read, so that the FORMERR fits it: header, question and the OPT
// record without options.
//
// dns.Msg.Unpack alone will not do: it accepts counts larger than the content,
// ECS addresses of any length, and when it refuses an option it gives no OPT
// record, which the FORMERR must answer (RFC 6891 §6.1.1: "If an OPT record is
// present in a received request, compliant responders MUST include an OPT record
// in their respective responses").
func parse(packet []byte) (request *dns.Msg, malformed bool) {
	if len(packet) < headerLength || binary.BigEndian.Uint16(packet[2:])&flagResponse != 0 {
		return nil, false
	}
	request = new(dns.Msg)
	unpackErr := request.Unpack(packet)
	outline, err := scan(packet)
	if unpackErr == nil && err == nil {
		return request, false
	}
	if !outline.questions || len(request.Question) > 1 {
		request.Question = nil
	}
	request.Answer, request.Ns, request.Extra = nil, nil, nil
	for range min(outline.opts, 2) {
		request.Extra = append(request.Extra, outline.opt())
	}
	return request, true
}

// outline is what a strict reading of a message's octets tells beyond
// dns.Msg: its OPT records without their options.
type outline struct {
	questions bool // the question section is whole
	opts      int
	udpSize   uint16
	ttl       uint32 // of the last OPT: extended RCODE, version and flags
}

func (o outline) opt() *dns.OPT {
	return &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT, Class: o.udpSize, Ttl: o.ttl}}
}

// scan walks over every record that the header counts. The error says what is
// wrong; the outline holds what was found before.
func scan(packet []byte) (o outline, err error) {
	count := func(i int) int { return int(binary.BigEndian.Uint16(packet[4+2*i:])) }
	off := headerLength
	for range count(0) {
		if off, err = skipName(packet, off); err != nil {
			return o, err
		}
		if off += 4; off > len(packet) {
			return o, errShort
		}
	}
	o.questions = true
	for range count(1) + count(2) {
		if _, off, err = nextRecord(packet, off); err != nil {
			return o, err
		}
	}
	for range count(3) {
		start := off
		var r record
		if r, off, err = nextRecord(packet, off); err != nil {
			return o, err
		}
		if r.rrtype != dns.TypeOPT {
			continue
		}
		o.opts, o.udpSize, o.ttl = o.opts+1, r.class, r.ttl
		if packet[start] != 0 {
			return o, errors.New("the OPT record's name is not the root") // RFC 6891 §6.1.2: "MUST be 0 (root domain)"
		}
		if err = checkOptions(r.data); err != nil {
			return o, err
		}
	}
	return o, nil
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

// checkOptions walks over the options of an OPT record (RFC 6891 §6.1.2) and
// checks the one whose octets dns.Msg reads too leniently.
func checkOptions(data []byte) error {
	subnets := 0
	for len(data) > 0 {
		if len(data) < 4 {
			return errShort
		}
		code, length := binary.BigEndian.Uint16(data), int(binary.BigEndian.Uint16(data[2:]))
		if len(data) < 4+length {
			return errShort
		}
		if code == dns.EDNS0SUBNET {
			if _, err := parseSubnet(data[4 : 4+length]); err != nil {
				return err
			}
			if subnets++; subnets > 1 {
				return errTwoSubnets
			}
		}
		data = data[4+length:]
	}
	return nil
}
