package dnsserver

import (
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// door is our name in what observers are told.
const door = "dns"

// Observer is told of every answer after it was made. It is called from many
// goroutines at once and must not wait. The decision stays valid and must not
// be changed.
type Observer interface {
	// Decided is called for every answer that hands out an endpoint, or fails
	// because the decision has none to hand out.
	Decided(door string, d *steering.Decision)
	// Answered is called for every answer. All values but took are from small,
	// closed sets; a query type that is not in ours is "other".
	Answered(transport, qtype, rcode string, took time.Duration)
}

// silent is the observer of those who want none.
type silent struct{}

func (silent) Decided(string, *steering.Decision)             {}
func (silent) Answered(string, string, string, time.Duration) {}

// typeLabel names the query type, within bounds: whoever asks for 65,536 types
// must not make as many time series.
func typeLabel(request *dns.Msg) string {
	if len(request.Question) != 1 {
		return "other"
	}
	switch t := request.Question[0].Qtype; t {
	case dns.TypeA, dns.TypeAAAA, dns.TypeANY, dns.TypeAXFR, dns.TypeCAA, dns.TypeCNAME, dns.TypeDNSKEY,
		dns.TypeDS, dns.TypeHTTPS, dns.TypeIXFR, dns.TypeMX, dns.TypeNAPTR, dns.TypeNS, dns.TypePTR,
		dns.TypeSOA, dns.TypeSRV, dns.TypeSVCB, dns.TypeTLSA, dns.TypeTXT:
		return dns.TypeToString[t]
	}
	return "other"
}

// rcodeLabel names the response code. 16 has two names; only the EDNS one is
// ever ours.
func rcodeLabel(rcode int) string {
	if rcode == dns.RcodeBadVers {
		return "BADVERS"
	}
	return dns.RcodeToString[rcode]
}
