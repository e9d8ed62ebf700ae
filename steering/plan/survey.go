package plan

import (
	"encoding/binary"
	"net/netip"

	"fairway/steering"
)

// stratum is the part of the address space that is in one cell before and in
// one cell after, with clients spread evenly over it.
type stratum struct {
	before, after uint32
	networks      float64 // client networks: /24 of IPv4, or /56 where there is only IPv6
	clients       []netip.Addr
}

// pair names a stratum.
type pair struct{ before, after uint32 }

// stretches is what a stratum owns of one kind of space, in order.
type stretches struct {
	starts []uint64
	ends   []uint64 // running total of the lengths
}

func (s *stretches) add(start, length uint64) {
	s.starts = append(s.starts, start)
	s.ends = append(s.ends, s.total()+length)
}

func (s *stretches) total() uint64 {
	if len(s.ends) == 0 {
		return 0
	}
	return s.ends[len(s.ends)-1]
}

// spread calls yield for n positions, evenly spaced.
func (s *stretches) spread(n int, yield func(uint64)) {
	i, begin := 0, uint64(0)
	for k := range n {
		at := uint64((float64(k) + 0.5) / float64(n) * float64(s.total()))
		for s.ends[i] <= at && i < len(s.ends)-1 {
			begin = s.ends[i]
			i++
		}
		yield(s.starts[i] + at - begin)
	}
}

// ground is the space of one stratum. IPv4 counts addresses, IPv6 counts /64.
type ground struct{ public, private, six stretches }

// maxSix bounds what IPv6-only ground counts for: nobody's /20 is worth a
// continent.
const maxSix = 1 << 16

// survey walks both tables over the whole address space. perRegion is how many
// clients a region (of the after table) gets, at least a few for each stratum.
func survey(before, after steering.Table, perRegion int) []stratum {
	grounds, order := walk(before, after)
	regions := make(map[string]float64)
	cells := after.Cells()
	for _, p := range order {
		regions[cells[p.after].Region] += grounds[p].networks()
	}
	strata := make([]stratum, 0, len(order))
	for _, p := range order {
		g := grounds[p]
		s := stratum{before: p.before, after: p.after, networks: g.networks()}
		s.clients = g.clients(max(16, int(float64(perRegion)*s.networks/regions[cells[p.after].Region])))
		strata = append(strata, s)
	}
	return strata
}

// walk cuts the address space wherever one of the tables does.
func walk(before, after steering.Table) (map[pair]*ground, []pair) {
	grounds := make(map[pair]*ground)
	var order []pair
	at := func(a netip.Addr) (*ground, int) {
		b, bits := before.Locate(a)
		c, more := after.Locate(a)
		p := pair{b, c}
		if grounds[p] == nil {
			grounds[p] = new(ground)
			order = append(order, p)
		}
		return grounds[p], max(bits, more)
	}
	for next, end := uint64(1<<24), uint64(224<<24); next < end; { // 0/8 is nobody, from 224/8 on are no clients
		g, bits := at(addr4(next))
		length := rest(next, end, 32-bits)
		g.four(next, length)
		next += length
	}
	for _, part := range [][2]uint64{{0x2 << 60, 0x4 << 60}, {0xfc << 56, 0xfe << 56}} { // 2000::/3 and fc00::/7 (RFC 4291, RFC 4193)
		for next := part[0]; next < part[1]; {
			g, bits := at(addr6(next))
			length := rest(next, part[1], 64-min(bits, 64))
			g.six.add(next, length)
			next += length
		}
	}
	// Ground that is in no client's space is in no stratum.
	kept := order[:0]
	for _, p := range order {
		if grounds[p].networks() > 0 {
			kept = append(kept, p)
		}
	}
	return grounds, kept
}

// rest is how far it is from next to the end of the aligned block of 2^bits
// around it, or to end if that is nearer.
func rest(next, end uint64, bits int) uint64 {
	block := uint64(1) << bits
	if block == 0 {
		return end - next
	}
	return min(block-next&(block-1), end-next)
}

// four files a stretch of IPv4 by whether clients on the Internet have it.
func (g *ground) four(start, length uint64) {
	for length > 0 {
		n, private := length, false
		for _, r := range reserved {
			if first, last := r[0], r[1]; start >= first && start <= last {
				n, private = min(n, last+1-start), true
			} else if start < first {
				n = min(n, first-start)
			}
		}
		if private {
			g.private.add(start, n)
		} else {
			g.public.add(start, n)
		}
		start, length = start+n, length-n
	}
}

// reserved is where clients come from only if the network map says so: private,
// shared, loopback and link-local space (RFC 6890 §2.2.2).
var reserved = [...][2]uint64{
	{10 << 24, 10<<24 | 0xffffff},
	{100<<24 | 64<<16, 100<<24 | 127<<16 | 0xffff},
	{127 << 24, 127<<24 | 0xffffff},
	{169<<24 | 254<<16, 169<<24 | 254<<16 | 0xffff},
	{172<<24 | 16<<16, 172<<24 | 31<<16 | 0xffff},
	{192<<24 | 168<<16, 192<<24 | 168<<16 | 0xffff},
}

// networks is how much the ground counts: its public part, else its private
// one, else its IPv6.
func (g *ground) networks() float64 {
	switch {
	case g.public.total() > 0:
		return float64(g.public.total()) / 256
	case g.private.total() > 0:
		return float64(g.private.total()) / 256
	}
	return float64(min((g.six.total()+255)/256, maxSix))
}

// clients returns at most n clients of different networks, spread evenly.
func (g *ground) clients(n int) []netip.Addr {
	n = max(1, min(n, int(g.networks())))
	list := make([]netip.Addr, 0, n)
	four := func(at uint64) { list = append(list, addr4(at)) }
	switch {
	case g.public.total() > 0:
		g.public.spread(n, four)
	case g.private.total() > 0:
		g.private.spread(n, four)
	default:
		g.six.spread(n, func(at uint64) { list = append(list, addr6(at)) })
	}
	return list
}

func addr4(at uint64) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(at))
	return netip.AddrFrom4(b)
}

// addr6 is the first address of a /64, given by its number.
func addr6(high uint64) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], high)
	return netip.AddrFrom16(b)
}
