package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// countScopes asks every server for the whole of IPv4, one question for each network
// that it announces, and prints how many these are: how many entries a resolver that
// has clients everywhere keeps for the name.
func countScopes(o options) (err error) {
	folder, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	fmt.Printf("| server | networks announced for IPv4 | to one for each /24 |\n|---|--:|--:|\n")
	for i, name := range chosen(o) {
		s, err := begin(name, fmt.Sprintf("127.0.0.1:%d", 5420+i), folder, o, makeQueries()[0])
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		count, err := s.scopes()
		if err = errors.Join(err, s.End()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Printf("| %s | %d | %.2f %% |\n", name, count, 100*float64(count)/(1<<24))
	}
	return nil
}

// scopes walks from one announced network to the one behind it.
func (s *server) scopes() (count int, err error) {
	conn, err := net.Dial("udp", s.address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	buffer := make([]byte, 4096)
	for at := uint64(0); at < 1<<32; count++ {
		scope, err := scopeAt(conn, uint32(at), buffer)
		if err != nil {
			return 0, err
		}
		size := uint64(1) << (32 - scope)
		at = at&^(size-1) + size
	}
	return count, nil
}

// scopeAt asks for one address; a lost packet is asked for again.
func scopeAt(conn net.Conn, address uint32, buffer []byte) (scope int, err error) {
	var octets [4]byte
	binary.BigEndian.PutUint32(octets[:], address)
	m := new(dns.Msg)
	m.SetQuestion(asked, dns.TypeA)
	m.SetEdns0(1232, false)
	m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 32, Address: octets[:]}}
	packet, err := m.Pack()
	if err != nil {
		return 0, err
	}
	for range 10 {
		if _, err = conn.Write(packet); err != nil {
			return 0, err
		}
		conn.SetReadDeadline(time.Now().Add(time.Second))
		var n int
		var reply dns.Msg
		if n, err = conn.Read(buffer); err != nil || reply.Unpack(buffer[:n]) != nil || reply.Id != m.Id {
			continue
		}
		if opt := reply.IsEdns0(); opt != nil {
			for _, option := range opt.Option {
				if e, ok := option.(*dns.EDNS0_SUBNET); ok {
					return int(e.SourceScope), nil
				}
			}
		}
		return 0, fmt.Errorf("no client subnet in the answer for %s: %s", netip.AddrFrom4(octets), strings.TrimSpace(reply.String()))
	}
	return 0, fmt.Errorf("no answer for %s: %w", netip.AddrFrom4(octets), err)
}
