package dnssec

import (
	"fmt"
	"slices"
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// Ring is the keys of a zone, oldest first. It never changes once it serves.
type Ring struct {
	Zone string `json:"zone"` // canonical
	Keys []Key  `json:"keys"`
}

// signing returns the key that signs the zone's data: the newest active one; nil
// for none.
func (r *Ring) signing() *Key {
	for i := len(r.Keys) - 1; i >= 0; i-- {
		if k := &r.Keys[i]; k.Role.signsZone() && !k.Active.IsZero() && k.Retired.IsZero() {
			return k
		}
	}
	return nil
}

// anchors are the keys that sign the DNSKEY RRset.
func (r *Ring) anchors() (keys []*Key) {
	for i := range r.Keys {
		if r.Keys[i].Role.anchors() {
			keys = append(keys, &r.Keys[i])
		}
	}
	return keys
}

// announced is the key whose DS the parent should have, and no other; nil while
// there is none.
func (r *Ring) announced() *Key {
	for _, k := range slices.Backward(r.anchors()) {
		if !k.Announced.IsZero() {
			return k
		}
	}
	return nil
}

// dnskeys is the DNSKEY RRset.
func (r *Ring) dnskeys(ttl uint32) (set []dns.RR) {
	for i := range r.Keys {
		set = append(set, r.Keys[i].record(r.Zone, ttl))
	}
	return set
}

// forParent is the CDS and CDNSKEY RRsets: what the parent's DS RRset should be
// (RFC 7344 §3), or that it should be removed (RFC 8078 §4, the one record that
// says so).
func (r *Ring) forParent(p *steering.DNSSEC) (cds, cdnskey []dns.RR) {
	ttl := wholeSeconds(p.KeyTTL)
	head := func(rrtype uint16) dns.RR_Header {
		return dns.RR_Header{Name: r.Zone, Rrtype: rrtype, Class: dns.ClassINET, Ttl: ttl}
	}
	if p.Leave {
		return []dns.RR{&dns.CDS{DS: dns.DS{Hdr: head(dns.TypeCDS), Digest: "00"}}},
			[]dns.RR{&dns.CDNSKEY{DNSKEY: dns.DNSKEY{Hdr: head(dns.TypeCDNSKEY), Protocol: 3, PublicKey: "AA=="}}}
	}
	k := r.announced()
	if k == nil || !p.Announce {
		return nil, nil
	}
	ds, key := k.ds(r.Zone, ttl), k.record(r.Zone, ttl)
	ds.Hdr, key.Hdr = head(dns.TypeCDS), head(dns.TypeCDNSKEY)
	return []dns.RR{&dns.CDS{DS: *ds}}, []dns.RR{&dns.CDNSKEY{DNSKEY: *key}}
}

// check tells what is wrong with a ring that was read.
func (r *Ring) check() error {
	if r.signing() == nil || len(r.anchors()) == 0 {
		return fmt.Errorf("the keys of %s: none signs the zone, or none stands for it at the parent", r.Zone)
	}
	for i := range r.Keys {
		k := &r.Keys[i]
		if k.Role != KSK && k.Role != ZSK && k.Role != CSK {
			return fmt.Errorf("the keys of %s: key %d has role %q, and csk, ksk and zsk are what there is", r.Zone, k.Tag, k.Role)
		}
		if _, err := k.private(); err != nil {
			return fmt.Errorf("the keys of %s: %w", r.Zone, err)
		}
		if k.record(r.Zone, 0).KeyTag() != k.Tag {
			return fmt.Errorf("the keys of %s: key %d has another tag", r.Zone, k.Tag)
		}
	}
	return nil
}

// fits tells whether the keys are what the policy asks for.
func (r *Ring) fits(p *steering.DNSSEC) error {
	for i := range r.Keys {
		k := &r.Keys[i]
		if k.Algorithm != p.Algorithm || (k.Role == CSK) == p.SplitKeys {
			have := "a KSK and a ZSK"
			if k.Role == CSK {
				have = "one key for both"
			}
			return fmt.Errorf("zone %s has %s of algorithm %s, and its dnssec asks for something else; put that back, or leave DNSSEC first (docs/DNSSEC.md, \"Leave DNSSEC\")",
				r.Zone, have, dns.AlgorithmToString[k.Algorithm])
		}
	}
	return nil
}

func wholeSeconds(d time.Duration) uint32 { return uint32(max(d/time.Second, 0)) }
