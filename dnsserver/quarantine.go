package dnsserver

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

const (
	// quarantineSize bounds the queries that are kept; the oldest go first.
	quarantineSize = 64
	// quarantineTime is how long one that comes again is refused. After it the query
	// has another chance: a new generation, or a new table, may have cured it.
	quarantineTime = 10 * time.Minute
	// maxStack bounds what is kept of a stack, in octets.
	maxStack = 8 << 10
)

// Quarantined is a query that made the answer function panic. It holds the client's
// address, without which the panic may not come again; it is kept in memory only,
// for the operator.
type Quarantined struct {
	Fingerprint string     `json:"fingerprint"` // of the query without its id, in lower case, and the client
	Packet      []byte     `json:"packet"`
	Client      netip.Addr `json:"client"`
	Transport   string     `json:"transport"`
	At          time.Time  `json:"at"`
	Panic       string     `json:"panic"`
	Stack       string     `json:"stack"`
	Refused     uint64     `json:"refused"` // how often it came again and was refused
}

// quarantine keeps queries that made the answer function panic, and refuses them
// when they come again. The client is part of what makes a query the same: where a
// client's address is the cause, nobody else's query is.
type quarantine struct {
	seed    maphash.Seed
	mu      sync.Mutex
	kept    []*quarantined // oldest first
	refused atomic.Pointer[map[uint64]*quarantined]
}

type quarantined struct {
	Quarantined
	fingerprint uint64
	until       time.Duration
	again       atomic.Uint64
}

func newQuarantine() *quarantine { return &quarantine{seed: maphash.MakeSeed()} }

// refuses tells whether a query is one of those. As long as there is none, that
// costs one look.
func (q *quarantine) refuses(packet []byte, client netip.Addr, now time.Duration) bool {
	refused := q.refused.Load()
	if refused == nil {
		return false
	}
	found := (*refused)[q.fingerprint(packet, client)]
	if found == nil || now > found.until {
		return false
	}
	found.again.Add(1)
	return true
}

// fingerprint leaves out the id, and the case of letters, which resolvers vary.
func (q *quarantine) fingerprint(packet []byte, client netip.Addr) uint64 {
	var h maphash.Hash
	h.SetSeed(q.seed)
	address := client.As16()
	h.Write(address[:])
	var chunk [64]byte
	for rest := packet[min(2, len(packet)):]; len(rest) > 0; {
		n := copy(chunk[:], rest)
		for i, c := range chunk[:n] {
			if 'A' <= c && c <= 'Z' {
				chunk[i] = c + 'a' - 'A'
			}
		}
		h.Write(chunk[:n])
		rest = rest[n:]
	}
	return h.Sum64()
}

// take keeps a query, or puts off the end of one that had its time.
func (q *quarantine) take(packet []byte, client netip.Addr, transport string, fault any, stack []byte, now time.Duration) {
	fingerprint := q.fingerprint(packet, client)
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.IndexFunc(q.kept, func(k *quarantined) bool { return k.fingerprint == fingerprint }); i >= 0 {
		q.kept = slices.Delete(q.kept, i, i+1)
	}
	if len(q.kept) == quarantineSize {
		q.kept = slices.Delete(q.kept, 0, 1)
	}
	q.kept = append(q.kept, &quarantined{
		Quarantined: Quarantined{
			Fingerprint: fmt.Sprintf("%016x", fingerprint), Packet: slices.Clone(packet), Client: client, Transport: transport,
			At: time.Now(), Panic: fmt.Sprint(fault), Stack: string(stack[:min(len(stack), maxStack)]),
		},
		fingerprint: fingerprint, until: now + quarantineTime,
	})
	refused := make(map[uint64]*quarantined, len(q.kept))
	for _, k := range q.kept {
		refused[k.fingerprint] = k
	}
	q.refused.Store(&refused)
}

// Quarantine returns the queries that made the answer function panic, the newest
// first; of very many the last 64.
func (s *Server) Quarantine() []Quarantined {
	s.quarantine.mu.Lock()
	defer s.quarantine.mu.Unlock()
	shown := make([]Quarantined, 0, len(s.quarantine.kept))
	for _, k := range slices.Backward(s.quarantine.kept) {
		one := k.Quarantined
		one.Refused = k.again.Load()
		shown = append(shown, one)
	}
	return shown
}

// survive keeps a query that made the answer function panic, logs it, and answers
// SERVFAIL. Only the 1st, 2nd, 4th, 8th … panic is logged, so that the log survives
// too.
func (s *Server) survive(packet []byte, client netip.Addr, transport string, fault any) []byte {
	stack := debug.Stack()
	s.quarantine.take(packet, client, transport, fault, stack, s.clock())
	if n := s.panics.Add(1); n&(n-1) == 0 {
		s.log.Error("dns door: a query made the answer function panic; answered SERVFAIL and went on; fairway quarantine shows it",
			"panic", fault, "panics", n, "stack", string(stack))
	}
	return bareAnswer(packet, dns.RcodeServerFailure)
}

// bareAnswer makes an answer out of the query's octets alone, for when nothing else
// can be relied on. Without a question and an OPT record it is still an answer that
// resolvers accept by its id. What is no query gets none.
func bareAnswer(packet []byte, rcode uint16) []byte {
	if len(packet) < headerLength || packet[2]&0x80 != 0 {
		return nil
	}
	header := make([]byte, headerLength)
	copy(header, packet[:2])
	flags := binary.BigEndian.Uint16(packet[2:])
	binary.BigEndian.PutUint16(header[2:], flagResponse|flags&(opcodeMask|flagRecursionDesired)|rcode)
	return header
}
