package transfer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"

	"github.com/miekg/dns"

	"fairway/dnsserver"
	"fairway/steering"
)

// version is a zone at one time. It never changes.
type version struct {
	soa      *dns.SOA
	layout   *steering.Layout // that the static records come from
	static   []*steering.Record
	steered  []*steering.Record
	proofs   []*steering.Record // of a signed zone: keys, NSEC records, signatures
	soaSigs  []*steering.Record // the signatures over the SOA record
	proofsOf int                // the round in which the proofs were made
	hash     string             // of everything but the serial
	journal  []step             // how it came here, the oldest step first
}

// lists are the records but for the SOA record, in parts that change together.
func (v *version) lists() [4][]*steering.Record {
	return [4][]*steering.Record{v.static, v.steered, v.proofs, v.soaSigs}
}

// step is the difference between two versions that follow each other.
type step struct {
	from, to       *dns.SOA
	deleted, added []*steering.Record
}

func (s *step) size() int { return len(s.deleted) + len(s.added) + 2 }

// hashOf is the same for the same content, on every node and after a restart.
func hashOf(soa *dns.SOA, lists ...[]*steering.Record) string {
	plain := dns.Copy(soa).(*dns.SOA)
	plain.Serial = 0
	h := sha256.New()
	fmt.Fprintln(h, plain)
	var fixed [16]byte
	for _, list := range lists {
		for _, r := range list {
			binary.BigEndian.PutUint16(fixed[:], r.Type)
			binary.BigEndian.PutUint32(fixed[2:], uint32(r.TTL.Seconds()))
			binary.BigEndian.PutUint32(fixed[6:], uint32(len(r.Name)))
			binary.BigEndian.PutUint32(fixed[10:], uint32(len(r.Data)))
			h.Write(fixed[:])
			h.Write([]byte(r.Name))
			h.Write([]byte(r.Data))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// succeed makes v the next version after old: it takes over old's journal with one
// more step. The journal is kept to so many steps, and to fewer records than the
// zone has: beyond that the whole zone is shorter (RFC 1995 §5).
func (v *version) succeed(old *version, steps int) {
	next := step{from: old.soa, to: v.soa}
	before, after := old.lists(), v.lists()
	for i := range before {
		if len(before[i]) > 0 && len(after[i]) > 0 && &before[i][0] == &after[i][0] {
			continue // the same list
		}
		deleted, added := difference(before[i], after[i])
		next.deleted, next.added = append(next.deleted, deleted...), append(next.added, added...)
	}
	journal := append(slices.Clone(old.journal), next)
	total, most := 0, max(len(v.static)+len(v.steered)+len(v.proofs), smallZone)
	for i := len(journal) - 1; i >= 0; i-- {
		if total += journal[i].size(); total > most || len(journal)-i > steps {
			journal = journal[i+1:]
			break
		}
	}
	v.journal = slices.Clone(journal)
}

// smallZone is so many records that their journal may be as long whatever the zone.
const smallZone = 200

// difference walks over two lists in order and tells what is in one alone.
func difference(old, next []*steering.Record) (deleted, added []*steering.Record) {
	for len(old) > 0 || len(next) > 0 {
		order := -1
		switch {
		case len(old) == 0:
			order = 1
		case len(next) > 0:
			order = dnsserver.CompareRecords(old[0], next[0])
		}
		if order < 0 {
			deleted = append(deleted, old[0])
		}
		if order > 0 {
			added = append(added, next[0])
		}
		if order <= 0 {
			old = old[1:]
		}
		if order >= 0 {
			next = next[1:]
		}
	}
	return deleted, added
}

// since gives the steps from a serial to this version; false when the journal does
// not reach so far back.
func (v *version) since(serial uint32) ([]step, bool) {
	at := slices.IndexFunc(v.journal, func(s step) bool { return s.from.Serial == serial })
	if at < 0 {
		return nil, false
	}
	return v.journal[at:], true
}

// whole is the zone as a transfer has it (RFC 5936 §2.2): the SOA record first and
// last.
func (v *version) whole() iter.Seq[dns.RR] {
	return func(yield func(dns.RR) bool) {
		if !yield(v.soa) {
			return
		}
		for _, list := range v.lists() {
			if !unpacked(list, yield) {
				return
			}
		}
		yield(v.soa)
	}
}

// increment is the steps as an incremental transfer has them (RFC 1995 §4).
func (v *version) increment(steps []step) iter.Seq[dns.RR] {
	return func(yield func(dns.RR) bool) {
		if !yield(v.soa) {
			return
		}
		for _, s := range steps {
			if !(yield(s.from) && unpacked(s.deleted, yield) && yield(s.to) && unpacked(s.added, yield)) {
				return
			}
		}
		yield(v.soa)
	}
}

func unpacked(records []*steering.Record, yield func(dns.RR) bool) bool {
	for _, r := range records {
		rr, err := dnsserver.Unpack(r)
		if err != nil {
			panic("transfer: a record that was compiled cannot be read: " + err.Error())
		}
		if !yield(rr) {
			return false
		}
	}
	return true
}
