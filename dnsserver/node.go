package dnsserver

import (
	"errors"
	"slices"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// node is one name of a zone. Without records it is an empty non-terminal, unless
// a service steers it.
//
// Its records stay as the revision holds them, in octets, and are unpacked for the
// few questions that need them: a zone of a million names is cheap to keep.
type node struct {
	records []*steering.Record // those of one type together, types in rising order
	service int32              // index in the layout, noService when the name is not steered
	cut     bool
	alias   bool // steered, and answered with addresses even where an endpoint has a host
}

const noService = -1

// has tells whether the name has a record of the type.
func (n *node) has(rrtype uint16) bool {
	return slices.ContainsFunc(n.records, func(r *steering.Record) bool { return r.Type == rrtype })
}

// types returns the types that the name has records of, in rising order.
func (n *node) types() []uint16 {
	var types []uint16
	for _, r := range n.records {
		if len(types) == 0 || types[len(types)-1] != r.Type {
			types = append(types, r.Type)
		}
	}
	return types
}

// rrset returns the records of a type, which are the caller's to change.
func (n *node) rrset(rrtype uint16) []dns.RR {
	var rrset []dns.RR
	for _, r := range n.records {
		if r.Type != rrtype {
			continue
		}
		if rr, err := Unpack(r); err == nil { // compile has seen that it can be
			rrset = append(rrset, rr)
		}
	}
	return rrset
}

// target returns where the name's CNAME leads, "" when it has none.
func (n *node) target() string {
	if rrset := n.rrset(dns.TypeCNAME); len(rrset) > 0 {
		return rrset[0].(*dns.CNAME).Target
	}
	return ""
}

// place is where the name's first record was written.
func (n *node) place() steering.Place {
	if len(n.records) == 0 {
		return steering.Place{}
	}
	return n.records[0].Place
}

var errData = errors.New("the data are not those of its type")

// Unpack gives a record as miekg/dns has it.
func Unpack(r *steering.Record) (dns.RR, error) {
	rr, end, err := dns.UnpackRRWithHeader(dns.RR_Header{
		Name: r.Name, Rrtype: r.Type, Class: dns.ClassINET, Ttl: wholeSeconds(r.TTL), Rdlength: uint16(len(r.Data)),
	}, []byte(r.Data), 0)
	switch _, known := dns.TypeToRR[r.Type]; {
	case err != nil:
	case r.Data == "" && !known: // RFC 3597 §5: "\# 0"
		rr = &dns.RFC3597{Hdr: *rr.Header()}
	case end != len(r.Data), end == 0:
		err = errData
	}
	return rr, err
}

// Pack is the other way round.
func Pack(rr dns.RR, place steering.Place) (*steering.Record, error) {
	buffer := make([]byte, dns.Len(rr))
	end, err := dns.PackRR(rr, buffer, 0, nil, false)
	if err != nil {
		return nil, err
	}
	packed, _, err := nextRecord(buffer[:end], 0)
	if err != nil {
		return nil, err
	}
	header := rr.Header()
	return &steering.Record{
		Name: header.Name, Type: header.Rrtype, TTL: time.Duration(header.Ttl) * time.Second, Data: string(packed.data), Place: place,
	}, nil
}
