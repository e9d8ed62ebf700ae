package load

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Mix says what queries are like. Shares are of 0 to 1.
type Mix struct {
	// Names are asked for in equal parts. In *.zone.example the star is another
	// random label each time.
	Names []string
	// Types are asked for in equal parts.
	Types []uint16
	// ECS is the share of queries with a client subnet (RFC 7871): a /24, or a /56.
	ECS float64
	// IPv6 is the share of these whose subnet is an IPv6 one, where Clients names
	// none.
	IPv6 float64
	// Clients are networks to draw client subnets from; none = everywhere.
	Clients []netip.Prefix
	// DO is the share of queries that want signatures, Cookie of those with a
	// client cookie (RFC 7873).
	DO, Cookie float64
	// Size is the EDNS size announced; 0 = no EDNS where nothing else needs it.
	Size uint16
	// Seed makes the same queries again.
	Seed uint64
}

// ednsSize is announced where EDNS is needed and no size is given.
const ednsSize = 1232

// Queries makes so many queries, each with its index as id.
func (m Mix) Queries(count int) ([][]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(m.Seed, 7871))
	out := make([][]byte, min(count, MaxQueries))
	for i := range out {
		query := m.query(r, uint16(i))
		packet, err := query.Pack()
		if err != nil {
			return nil, fmt.Errorf("load: %s: %w", query.Question[0].Name, err)
		}
		out[i] = packet
	}
	return out, nil
}

func (m Mix) check() error {
	var findings []error
	if len(m.Names) == 0 || len(m.Types) == 0 {
		findings = append(findings, errors.New("load: no name or no type to ask for"))
	}
	for what, share := range map[string]float64{"ECS": m.ECS, "IPv6": m.IPv6, "DO": m.DO, "cookie": m.Cookie} {
		if !(share >= 0 && share <= 1) {
			findings = append(findings, fmt.Errorf("load: a %s share of %v is not between 0 and 1", what, share))
		}
	}
	return errors.Join(findings...)
}

func (m Mix) query(r *rand.Rand, id uint16) *dns.Msg {
	q := new(dns.Msg)
	name := dns.Fqdn(m.Names[r.IntN(len(m.Names))])
	if rest, star := strings.CutPrefix(name, "*."); star {
		name = fmt.Sprintf("r%08x.%s", r.Uint32(), rest)
	}
	q.SetQuestion(name, m.Types[r.IntN(len(m.Types))])
	q.Id, q.RecursionDesired = id, false
	var options []dns.EDNS0
	if r.Float64() < m.ECS {
		options = append(options, subnetOf(m.client(r)))
	}
	if r.Float64() < m.Cookie {
		options = append(options, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: fmt.Sprintf("%016x", r.Uint64())})
	}
	signed := r.Float64() < m.DO
	if len(options) > 0 || signed || m.Size > 0 {
		size := m.Size
		if size == 0 {
			size = ednsSize
		}
		q.SetEdns0(size, signed)
		q.IsEdns0().Option = options
	}
	return q
}

// client draws an address.
func (m Mix) client(r *rand.Rand) netip.Addr {
	from := netip.MustParsePrefix("0.0.0.0/0")
	switch {
	case len(m.Clients) > 0:
		from = m.Clients[r.IntN(len(m.Clients))]
	case r.Float64() < m.IPv6:
		from = netip.MustParsePrefix("2000::/3") // what is global (RFC 4291 §2.4)
	}
	octets := from.Addr().AsSlice()
	for i := range octets {
		mask := byte(0xFF) >> min(8, max(0, from.Bits()-8*i))
		octets[i] = octets[i]&^mask | byte(r.Uint32())&mask
	}
	if len(m.Clients) == 0 && len(octets) == 4 {
		octets[0] = byte(1 + r.IntN(223)) // unicast
	}
	address, _ := netip.AddrFromSlice(octets)
	return address
}

func subnetOf(client netip.Addr) *dns.EDNS0_SUBNET {
	family, bits := uint16(1), 24
	if client.Is6() {
		family, bits = 2, 56
	}
	network, err := client.Prefix(bits)
	if err != nil {
		panic("load: " + err.Error()) // neither length is too long
	}
	return &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: family, SourceNetmask: uint8(bits), Address: network.Addr().AsSlice()}
}

// TypeOf is the type with a name.
func TypeOf(name string) (uint16, error) {
	if t, known := dns.StringToType[strings.ToUpper(name)]; known && !slices.Contains([]uint16{dns.TypeNone, dns.TypeOPT}, t) {
		return t, nil
	}
	return 0, fmt.Errorf("there is no type %q", name)
}
