package main

import (
	"context"
	"net"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
	"github.com/oschwald/maxminddb-golang/v2"
)

// servePlain is what one writes in an afternoon: dns.Server, and a look into the
// geo database for every query.
func servePlain(ctx context.Context, listen string) error {
	text, err := geoDatabase()
	if err != nil {
		return err
	}
	database, err := maxminddb.OpenBytes([]byte(text))
	if err != nil {
		return err
	}
	byContinent := make(map[string]string)
	for _, cdn := range cdns() {
		byContinent[strings.ToUpper(continentOf(cdn))] = hostOf(cdn)
	}
	p, err := net.ListenPacket("udp", listen)
	if err != nil {
		return err
	}
	_ = p.(*net.UDPConn).SetReadBuffer(4 << 20)
	server := &dns.Server{PacketConn: p, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		answer := new(dns.Msg).SetReply(q)
		answer.Authoritative = true
		if opt := q.IsEdns0(); opt != nil && len(opt.Option) == 1 {
			subnet := opt.Option[0].(*dns.EDNS0_SUBNET)
			address, _ := netip.AddrFromSlice(subnet.Address)
			var continent string
			found := database.Lookup(address.Unmap())
			if found.DecodePath(&continent, "continent", "code") == nil {
				answer.Answer = []dns.RR{&dns.CNAME{
					Hdr:    dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 30},
					Target: byContinent[continent],
				}}
			}
			answer.SetEdns0(1232, false)
			scoped := *subnet
			scoped.SourceScope = 24
			answer.IsEdns0().Option = []dns.EDNS0{&scoped}
		}
		_ = w.WriteMsg(answer)
	})}
	context.AfterFunc(ctx, func() { _ = server.Shutdown() })
	return server.ActivateAndServe()
}
