package dnsserver

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"math"

	"fairway/steering"
)

// nameTable finds what is prepared for a name. It is made once, read by all, and
// never changes. Names and static answers lie in one slice of octets, which has
// no pointers for the garbage collector to follow: a million names cost it
// nothing, and a query two or three cache misses.
type nameTable struct {
	seed      maphash.Seed
	slots     []slot // open addressing with linear probing, at most half full
	octets    []byte // see put, and putSteered
	denials   []denial
	endpoints []*steering.Endpoint // of the steered names, one name's after the other's
	signed    bool                 // some zone is signed
	proofs    *proofs              // nil unless signed
	far       bool                 // with its splits it is larger than nearMemory
}

// slot is where a name's entry lies, 0 for none, and a part of its hash, which
// spares looking at most others.
type slot struct{ hash, at uint32 }

// entry is what is prepared for a name.
type entry struct {
	at      uint32 // where it lies in the table
	flags   uint8
	denial  uint32 // index
	steered uint32 // where what is steered lies, notSteered for none
	answers []byte // static answers, see put
}

const (
	// flagUnprepared is on names at and below cuts, of which the general path knows.
	flagUnprepared = 1 << iota
	// flagWildcard is on names right above a wildcard: what does not exist below
	// them may be answered from it.
	flagWildcard
	// flagAlias is on names with a CNAME, which answers for every type.
	flagAlias
)

const (
	notSteered   = math.MaxUint32
	entryFixed   = 1 + 4 + 4 + 2
	answerFixed  = 2 + 1 + 2 + 2 + 2 + 2
	averageEntry = 96 // octets, only to begin with
)

// newNameTable makes a table for so many names, among which so many endpoints are chosen.
func newNameTable(names, endpoints int) *nameTable {
	size := 2
	for size < 2*names {
		size *= 2
	}
	t := &nameTable{seed: maphash.MakeSeed(), slots: make([]slot, size)}
	t.octets = append(make([]byte, 0, averageEntry*(names+endpoints)), 0) // offset 0 means none
	return t
}

// staticAnswer is the answer that is prepared for a type; with an empty section, that
// there is one but not prepared.
type staticAnswer struct {
	qtype uint16
	section
}

// put adds a name, in wire form and lower case, that is not there yet. False when
// the table is full. An entry is the name behind its length, then the fields of
// entry with the number of answers; an answer is its type, the fields of section
// and its octets behind their length.
func (t *nameTable) put(name []byte, e entry, answers []staticAnswer) bool {
	at := len(t.octets)
	if uint64(at) > math.MaxUint32-1<<20 {
		return false
	}
	big := binary.BigEndian
	b := append(t.octets, uint8(len(name)))
	b = append(b, name...)
	b = append(b, e.flags)
	b = big.AppendUint32(b, e.denial)
	b = big.AppendUint32(b, e.steered)
	b = big.AppendUint16(b, uint16(len(answers)))
	for _, a := range answers {
		b = big.AppendUint16(b, a.qtype)
		b = append(b, a.rcode)
		b = big.AppendUint16(b, a.answers)
		b = big.AppendUint16(b, a.authority)
		b = big.AppendUint16(b, a.spare)
		b = big.AppendUint16(b, uint16(len(a.octets)))
		b = append(b, a.octets...)
	}
	t.octets = b
	hash := maphash.Bytes(t.seed, name)
	i := hash & uint64(len(t.slots)-1)
	for t.slots[i].at != 0 {
		i = (i + 1) & uint64(len(t.slots)-1)
	}
	t.slots[i] = slot{uint32(hash >> 32), uint32(at)}
	return true
}

// find returns the entry of a name in wire form and lower case.
func (t *nameTable) find(name []byte) (e entry, ok bool) {
	hash := maphash.Bytes(t.seed, name)
	mask := uint64(len(t.slots) - 1)
	for i := hash & mask; t.slots[i].at != 0; i = (i + 1) & mask {
		if t.slots[i].hash != uint32(hash>>32) {
			continue
		}
		b := t.octets[t.slots[i].at:]
		length := int(b[0])
		if length != len(name) || !bytes.Equal(b[1:1+length], name) {
			continue
		}
		b = b[1+length:]
		return entry{
			at:      t.slots[i].at,
			flags:   b[0],
			denial:  binary.BigEndian.Uint32(b[1:]),
			steered: binary.BigEndian.Uint32(b[5:]),
			answers: b[9:],
		}, true
	}
	return entry{}, false
}

// each calls f with the name, the place, the denial's index and the steered place of every
// entry.
func (t *nameTable) each(f func(wire []byte, at, denial, steered uint32)) {
	for _, slot := range t.slots {
		if slot.at != 0 {
			b := t.octets[slot.at:]
			length := int(b[0])
			f(b[1:1+length], slot.at, binary.BigEndian.Uint32(b[1+length+1:]), binary.BigEndian.Uint32(b[1+length+5:]))
		}
	}
}

// encloser returns the entry of the nearest name above one that is not there
// (RFC 4592 §3.3.1, the closest encloser).
func (t *nameTable) encloser(name []byte) (entry, bool) {
	for name[0] != 0 {
		name = name[1+int(name[0]):]
		if e, ok := t.find(name); ok {
			return e, true
		}
	}
	return entry{}, false
}

// static returns the answer for a type; false when the name has no such data.
func (e *entry) static(qtype uint16) (s section, ok bool) {
	big := binary.BigEndian
	b := e.answers[2:]
	for range big.Uint16(e.answers) {
		length := int(big.Uint16(b[9:]))
		if big.Uint16(b) == qtype {
			return section{
				octets: b[answerFixed : answerFixed+length],
				rcode:  b[2], answers: big.Uint16(b[3:]), authority: big.Uint16(b[5:]), spare: big.Uint16(b[7:]),
			}, true
		}
		b = b[answerFixed+length:]
	}
	return section{}, false
}
