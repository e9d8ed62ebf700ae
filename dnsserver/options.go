package dnsserver

import (
	"encoding/binary"
	"errors"

	"github.com/miekg/dns"
)

// options is what the OPT record of a query says by its options. Both paths read
// it here, so that they cannot differ. Its slices point into the packet.
//
// What is not in it has no meaning for us: RFC 6891 §6.1.2, "Any OPTION-CODE
// values not understood by a responder or requestor MUST be ignored."
type options struct {
	subnet     subnet
	subnetData []byte // of the ECS option; nil for none
	cookie     []byte // of the COOKIE option; nil for none
	nsid       bool   // RFC 5001
	keepalive  bool   // RFC 7828
	padding    bool   // RFC 7830
}

// read reads the data of an OPT record (RFC 6891 §6.1.2). The error makes the
// query a FORMERR; what was read before it stands.
func (o *options) read(data []byte) error {
	for len(data) > 0 {
		if len(data) < optionFixed {
			return errShort
		}
		end := optionFixed + int(binary.BigEndian.Uint16(data[2:]))
		if end > len(data) {
			return errShort
		}
		if err := o.readOption(binary.BigEndian.Uint16(data), data[optionFixed:end]); err != nil {
			return err
		}
		data = data[end:]
	}
	return nil
}

// optionFixed is an option's code and length.
const optionFixed = 4

func (o *options) readOption(code uint16, data []byte) (err error) {
	switch code {
	case dns.EDNS0SUBNET:
		if o.subnetData != nil {
			return errTwoSubnets
		}
		if err = o.subnet.read(data); err == nil {
			o.subnetData = data
		} else {
			o.subnet = subnet{}
		}
		return err
	case dns.EDNS0COOKIE:
		if !cookieLength(len(data)) {
			return errors.New("cookie: no cookie is of this length")
		}
		// RFC 7873 §5.2: of several "only the first (the one closest to the DNS
		// header) is considered. All others are ignored."
		if o.cookie == nil {
			o.cookie = data
		}
	case dns.EDNS0NSID:
		// RFC 5001 §2.1: "The name server MUST ignore any NSID payload data that
		// might be present in the query message."
		o.nsid = true
	case dns.EDNS0TCPKEEPALIVE:
		// RFC 7828 §3.2.1: clients "MUST NOT include a TIMEOUT value"; the length
		// of one who does so all the same is 2.
		if len(data) != 0 && len(data) != 2 {
			return errors.New("edns-tcp-keepalive: neither empty nor a timeout")
		}
		o.keepalive = true
	case dns.EDNS0PADDING:
		// RFC 7830 §3: responders "MUST NOT reject messages containing padding
		// octets" that are not 0.
		o.padding = true
	}
	return nil
}

// optRecord is the OPT record of an answer in the making.
type optRecord struct {
	dnssecOK  bool  // RFC 3225 §3: "The DO bit of the query MUST be copied in the response."
	compactOK bool  // RFC 9824 §5.1
	rcode     uint8 // the upper eight bits of the response code
	subnet    []byte
	scope     uint8 // of subnet
	cookie    bool
	cookies   [cookieOctets]byte // client and server cookie
	nsid      []byte
	keepalive uint16 // RFC 7828 §3.1, in units of 100 ms
	idle      bool   // keepalive is told
	error     extendedError
	pad       bool
}

// optFixed is the octets of an OPT record without options.
const optFixed = 11

// length is the octets of the record behind an answer of that many octets.
func (o *optRecord) length(answer int) int {
	n := optFixed
	if o.subnet != nil {
		n += optionFixed + len(o.subnet)
	}
	if o.cookie {
		n += optionFixed + cookieOctets
	}
	if o.nsid != nil {
		n += optionFixed + len(o.nsid)
	}
	if o.idle {
		n += optionFixed + 2
	}
	n += len(o.error)
	if o.pad {
		n += optionFixed + padding(answer+n+optionFixed)
	}
	return n
}

// paddingBlock is what padded answers are a multiple of (RFC 8467 §4.1).
const paddingBlock = 468

// padding is how many octets fill a message up.
func padding(length int) int { return (paddingBlock - length%paddingBlock) % paddingBlock }

// write writes the record into out, which is of its length.
func (o *optRecord) write(out []byte) {
	big := binary.BigEndian
	out[0] = 0
	big.PutUint16(out[1:], dns.TypeOPT)
	big.PutUint16(out[3:], maxUDP)
	out[5], out[ednsVersionAt] = o.rcode, 0
	var flags uint16
	if o.dnssecOK {
		flags = flagDNSSECOK
	}
	if o.compactOK {
		flags |= flagCompactOK
	}
	big.PutUint16(out[7:], flags)
	big.PutUint16(out[9:], uint16(len(out)-optFixed))
	out = out[optFixed:]
	if o.subnet != nil {
		data, rest := option(out, dns.EDNS0SUBNET, len(o.subnet))
		copy(data, o.subnet)
		data[3], out = o.scope, rest
	}
	if o.cookie {
		data, rest := option(out, dns.EDNS0COOKIE, cookieOctets)
		copy(data, o.cookies[:])
		out = rest
	}
	if o.nsid != nil {
		data, rest := option(out, dns.EDNS0NSID, len(o.nsid))
		copy(data, o.nsid)
		out = rest
	}
	if o.idle {
		data, rest := option(out, dns.EDNS0TCPKEEPALIVE, 2)
		big.PutUint16(data, o.keepalive)
		out = rest
	}
	out = out[copy(out, o.error):]
	if o.pad {
		data, _ := option(out, dns.EDNS0PADDING, len(out)-optionFixed)
		clear(data)
	}
}

// option writes code and length, and returns where the data go and what follows.
func option(out []byte, code uint16, length int) (data, rest []byte) {
	binary.BigEndian.PutUint16(out, code)
	binary.BigEndian.PutUint16(out[2:], uint16(length))
	return out[optionFixed : optionFixed+length], out[optionFixed+length:]
}

// extendedError is a whole EDE option (RFC 8914 §2); empty for none.
type extendedError []byte

func newExtendedError(code uint16, text string) extendedError {
	e := make(extendedError, optionFixed+2+len(text))
	data, _ := option(e, dns.EDNS0EDE, 2+len(text))
	binary.BigEndian.PutUint16(data, code)
	copy(data[2:], text)
	return e
}
