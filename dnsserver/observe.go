package dnsserver

import (
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// door is our name in what observers are told.
const door = "dns"

// Observer is told of every answer after it was made. It is called from many
// goroutines at once and must not wait. A decision must not be changed, and not
// be kept: its memory serves the next answer.
type Observer interface {
	// Decided is called for every answer that hands out an endpoint, or fails
	// because the decision has none to hand out.
	Decided(door string, d *steering.Decision)
	// Answered is called for so many answers that are alike. All values are from small,
	// closed sets; a query type that is not in ours is "other".
	Answered(transport, qtype, rcode string, answers int)
	// Took is called for answers to queries that were read together, once they are
	// written: how many there are, and how long that took.
	Took(transport string, answers int, took time.Duration)
}

// silent is the observer of those who want none.
type silent struct{}

func (silent) Decided(string, *steering.Decision)   {}
func (silent) Answered(string, string, string, int) {}
func (silent) Took(string, int, time.Duration)      {}

// typeLabel names the type that a request asks for.
func typeLabel(request *dns.Msg) string {
	if len(request.Question) != 1 {
		return otherType
	}
	return typeName(request.Question[0].Qtype)
}

const otherType = "other"

// typeName names a query type, within bounds: whoever asks for 65,536 types must
// not make as many time series.
func typeName(qtype uint16) string {
	switch qtype {
	case dns.TypeA:
		return "A"
	case dns.TypeAAAA:
		return "AAAA"
	case dns.TypeHTTPS:
		return "HTTPS"
	case dns.TypeANY, dns.TypeAXFR, dns.TypeCAA, dns.TypeCNAME, dns.TypeDNSKEY, dns.TypeDS, dns.TypeIXFR,
		dns.TypeMX, dns.TypeNAPTR, dns.TypeNS, dns.TypePTR, dns.TypeSOA, dns.TypeSRV, dns.TypeSVCB,
		dns.TypeTLSA, dns.TypeTXT:
		return dns.TypeToString[qtype]
	}
	return otherType
}

// rcodeLabel names the response code. 16 has two names; only the EDNS one is
// ever ours.
func rcodeLabel(rcode int) string {
	switch rcode {
	case dns.RcodeSuccess:
		return "NOERROR"
	case dns.RcodeBadVers:
		return "BADVERS"
	}
	return dns.RcodeToString[rcode]
}
