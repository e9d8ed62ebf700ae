package dnsserver

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"runtime/debug"

	"fairway/steering"
)

// ahead looks ahead over the queries of a batch before they are answered one by one.
//
// To answer from a large world is a chain of waits for memory: the slot says where the
// name lies, the name what is steered, the service and the region which split, the split
// which endpoint, and this which octets. Each wait is longer than all else that an answer
// takes. So all queries of a batch take the first step, then all of them the second, and
// the processor waits for many of them at once. Nothing is kept but what is then in its
// caches: what is answered does not depend on it, and it may stop anywhere.
//
// A small world is in the caches anyway, and is answered without.
type ahead struct {
	queries int
	hashes  [mostAhead]uint64
	clients [mostAhead]netip.Addr
	sources [mostAhead]steering.Source
	slots   [mostAhead]slot
	names   [mostAhead]uint32 // where they lie in the table, 0 for those that do not
	steered [mostAhead]uint32 // where what is steered of these lies

	soon    int
	asked   [mostAhead]steering.Soon      // those that are steered …
	offsets [mostAhead]uint32             // … where what is prepared for them lies …
	first   [mostAhead]*steering.Endpoint // … and the first of their endpoints

	off     bool   // it has failed
	touched uint32 // keeps the compiler from leaving a look out
}

const (
	// mostAhead is how many queries are looked at together.
	mostAhead = 64
	// fewestAhead is from how many on that pays.
	fewestAhead = 4
	// nearMemory is how much memory, in octets, a processor's own cache is trusted to
	// hold: the second level of what servers have is 1 or 2 MiB.
	nearMemory = 2 << 20
)

// Expecter is an Observer that can look ahead too: it is told of decisions that it will
// soon be told of. It does not keep them.
type Expecter interface {
	Expect(door string, soon []steering.Soon)
}

// expect takes a query that will be answered soon into account; false when there is no
// use in telling of more. A query that makes it panic will do so again when it is
// answered, and costs what it costs there.
func (s *Server) expect(m *scratch, packet []byte, client netip.Addr) (more bool) {
	defer func() {
		if recover() != nil {
			more = true
		}
	}()
	a := m.ahead
	if a == nil || a.queries == 0 {
		if !s.far(m) {
			return false
		}
		if a == nil {
			a = new(ahead)
			m.ahead = a
		}
	}
	if a.off || a.queries == mostAhead {
		return false
	}
	if q := &m.query; q.read(packet) {
		a.hashes[a.queries] = maphash.Bytes(m.names.seed, q.lower)
		a.clients[a.queries], a.sources[a.queries] = q.options.subnet.client(s.behind(client))
		a.queries++
	}
	return true
}

// far tells whether the world is so large that looking ahead pays.
func (s *Server) far(m *scratch) bool {
	snapshot := s.current.Load()
	if s.config.General || snapshot == nil {
		return false
	}
	s.attend(m, snapshot)
	return m.names != nil && m.names.far
}

// lookAhead brings near what answering the queries will read that were expected.
func (s *Server) lookAhead(m *scratch) {
	a := m.ahead
	if a == nil || a.queries == 0 {
		return
	}
	defer func() {
		a.queries = 0
		if fault := recover(); fault != nil {
			a.off = true
			s.log.Error("dns door: looking ahead failed; answers go on without", "panic", fault, "stack", string(debug.Stack()))
		}
	}()
	snapshot := s.current.Load()
	if snapshot == nil || snapshot.Layout.Base() != m.layout {
		return // it was swapped a moment ago
	}
	a.find(m.names)
	a.open(m.names)
	snapshot.LookAhead(a.asked[:a.soon])
	if s.expecter != nil {
		s.expecter.Expect(door, a.asked[:a.soon])
	}
	a.prepared(m.names)
}

// find finds where the names lie.
func (a *ahead) find(t *nameTable) {
	mask := uint64(len(t.slots) - 1)
	for i, hash := range a.hashes[:a.queries] {
		a.slots[i] = t.slots[hash&mask]
	}
	for i, hash := range a.hashes[:a.queries] {
		at, found := hash&mask, a.slots[i]
		for found.at != 0 && found.hash != uint32(hash>>32) {
			at = (at + 1) & mask
			found = t.slots[at]
		}
		a.names[i] = found.at
	}
	sum := uint32(0)
	for _, at := range a.names[:a.queries] {
		sum += uint32(t.octets[at])
	}
	a.touched += sum
}

// open reads the entries as far as that takes to find the services.
func (a *ahead) open(t *nameTable) {
	a.soon = 0
	for i, at := range a.names[:a.queries] {
		if a.steered[i] = notSteered; at != 0 {
			fixed := at + 1 + uint32(t.octets[at])
			a.steered[i] = binary.BigEndian.Uint32(t.octets[fixed+5:])
		}
	}
	for i, at := range a.steered[:a.queries] {
		if at != notSteered {
			q := &a.asked[a.soon]
			q.Service = int(binary.BigEndian.Uint32(t.octets[at:]))
			q.Client, q.Source = a.clients[i], a.sources[i]
			a.offsets[a.soon] = at
			a.soon++
		}
	}
}

// prepared looks at what is prepared for the endpoints.
func (a *ahead) prepared(t *nameTable) {
	for i := range a.asked[:a.soon] {
		a.first[i] = t.steeredAt(a.offsets[i]).endpoints[0]
	}
	for i := range a.asked[:a.soon] {
		name := t.steeredAt(a.offsets[i])
		if endpoint := name.index(a.asked[i].Endpoint); endpoint >= 0 {
			a.offsets[i] += binary.BigEndian.Uint32(name.octets[steeredFixed+4*endpoint:])
		}
	}
	sum := uint32(0)
	for _, at := range a.offsets[:a.soon] {
		sum += uint32(t.octets[at]) + uint32(t.octets[min(int(at)+64, len(t.octets)-1)])
	}
	a.touched += sum
}
