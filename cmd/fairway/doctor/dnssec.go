package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// soon is the validity that a signature should have left: two days is a weekend.
const soon = 48 * time.Hour

// checkTrust follows the chain from the parent's DS to the zone's signatures.
func (x *examination) checkTrust() {
	var signed, unsigned []*visit
	for _, v := range x.visits {
		switch {
		case v.soa == nil:
		case len(v.keys) > 0:
			signed = append(signed, v)
		default:
			unsigned = append(unsigned, v)
		}
	}
	d := x.delegation
	wanted := d != nil && len(d.ds) > 0
	if wanted && len(unsigned) > 0 {
		for _, v := range unsigned {
			x.find("ds", Error, "sign the zone on "+v.server.label()+", or take the DS records out at the parent, now",
				"the parent says that the zone is signed, and %s serves it without keys: resolvers that validate answer SERVFAIL", v.server.label())
		}
	}
	if len(signed) == 0 {
		if !wanted && len(unsigned) > 0 {
			x.find("ds", Note, "", "the zone is not signed")
		}
		return
	}
	switch {
	case d == nil || !d.dsKnown:
		x.find("ds", Note, "", "the zone is signed; the parent's DS was not looked at")
	case !wanted:
		x.find("ds", Warning, "give your registrar: "+list(dsOf(signed[0])), "the zone is signed, and the parent has no DS record: nobody validates it")
	default:
		for _, v := range signed {
			x.compareDS(v)
		}
		x.compareCDS(signed[0])
	}
}

// compareDS wants a DS of the parent that leads to a key by which the keys are
// signed (RFC 4035 §5.2). Further DS records may be there, for a key to come.
func (x *examination) compareDS(v *visit) {
	var orphans []string
	for _, ds := range x.delegation.ds {
		key := keyOf(v.keys, ds)
		switch {
		case key == nil:
			orphans = append(orphans, fmt.Sprint(ds.KeyTag))
		case v.keysSignedBy(key):
			x.find("ds", OK, "", "DS %d leads to a key that signs the zone's keys", ds.KeyTag)
			return
		}
	}
	if len(orphans) == len(x.delegation.ds) {
		x.find("ds", Error, "give your registrar, now: "+list(dsOf(v)), "no DS record of the parent (%s) fits a key on %s: resolvers that validate answer SERVFAIL", list(orphans), v.server.label())
		return
	}
	x.find("ds", Error, "sign the zone's keys anew with the key that the parent's DS names", "the parent's DS fits a key on %s that does not sign the zone's keys: resolvers that validate answer SERVFAIL", v.server.label())
}

func keyOf(keys []*dns.DNSKEY, ds *dns.DS) *dns.DNSKEY {
	for _, key := range keys {
		if made := key.ToDS(ds.DigestType); made != nil && made.KeyTag == ds.KeyTag && made.Algorithm == ds.Algorithm && strings.EqualFold(made.Digest, ds.Digest) {
			return key
		}
	}
	return nil
}

// keysSignedBy tells whether a key has a sound signature over the zone's keys.
func (v *visit) keysSignedBy(key *dns.DNSKEY) bool {
	rrset := make([]dns.RR, len(v.keys))
	for i, k := range v.keys {
		rrset[i] = k
	}
	return slices.ContainsFunc(v.keySigs, func(s *dns.RRSIG) bool {
		return s.TypeCovered == dns.TypeDNSKEY && s.KeyTag == key.KeyTag() && s.Verify(key, rrset) == nil && s.ValidityPeriod(v.now)
	})
}

// dsOf gives the DS records of a server's key-signing keys, as registrars ask for
// them.
func dsOf(v *visit) (lines []string) {
	for _, key := range v.keys {
		if key.Flags&dns.SEP != 0 && key.Flags&dns.REVOKE == 0 {
			ds := key.ToDS(dns.SHA256)
			lines = append(lines, fmt.Sprintf("%d %d %d %s", ds.KeyTag, ds.Algorithm, ds.DigestType, strings.ToUpper(ds.Digest)))
		}
	}
	return lines
}

// compareCDS tells of what the zone asks its parent to take up (RFC 7344).
func (x *examination) compareCDS(v *visit) {
	if len(v.cds) == 0 {
		return
	}
	wanted, given := make(map[string]bool), make(map[string]bool)
	for _, rr := range v.cds {
		c := rr.(*dns.CDS)
		wanted[fmt.Sprint(c.KeyTag, c.Algorithm, c.DigestType, strings.ToLower(c.Digest))] = true
	}
	for _, ds := range x.delegation.ds {
		given[fmt.Sprint(ds.KeyTag, ds.Algorithm, ds.DigestType, strings.ToLower(ds.Digest))] = true
	}
	if !maps.Equal(wanted, given) {
		x.find("ds", Note, "a roll is going on: wait if the parent scans for CDS (RFC 8078), else give your registrar the zone's CDS records as DS", "the zone's CDS records differ from the parent's DS records")
	}
}

// checkSignatures looks at the signatures over keys and SOA: whether they are
// sound, whether they hold now, for how long. The clock that they are held
// against is this machine's.
func (v *visit) checkSignatures() {
	keys := make([]dns.RR, len(v.keys))
	for i, k := range v.keys {
		keys[i] = k
	}
	v.checkSignature("DNSKEY", v.keySigs, dns.TypeDNSKEY, keys)
	v.checkSignature("SOA", v.soaSigs, dns.TypeSOA, []dns.RR{v.soa})
}

func (v *visit) checkSignature(what string, sigs []*dns.RRSIG, covered uint16, rrset []dns.RR) {
	var problem string
	sound := false
	for _, s := range sigs {
		if s.TypeCovered != covered {
			continue
		}
		begins, ends := unixOf(s.Inception, v.now), unixOf(s.Expiration, v.now)
		switch {
		case begins.After(v.now):
			v.find("clock", Error, "set the clocks of the signer and of this machine by NTP", "the signature over %s begins %s from now, by this machine's clock", what, begins.Sub(v.now).Round(time.Second))
			return
		case ends.Before(v.now):
			problem = fmt.Sprintf("the signature over %s ended %s ago", what, v.now.Sub(ends).Round(time.Second))
		case !v.verifies(s, rrset):
			problem = fmt.Sprintf("the signature over %s does not fit the keys", what)
		case ends.Sub(v.now) < soon:
			v.find("signatures", Warning, "see that the zone is signed again in time (and that secondaries transfer it)", "the signature over %s ends in %s", what, ends.Sub(v.now).Round(time.Minute))
			return
		default:
			sound = true
		}
	}
	switch {
	case sound:
		v.find("signatures", OK, "", "%s signed, sound, and good for more than %s", what, soon)
	case problem == "":
		v.find("signatures", Error, "sign the zone on "+v.server.label()+" anew", "%s has no signature, though the zone has keys: resolvers that validate answer SERVFAIL", what)
	default:
		v.find("signatures", Error, "sign the zone on "+v.server.label()+" anew, and check why that did not happen by itself", "%s: resolvers that validate answer SERVFAIL", problem)
	}
}

func (v *visit) verifies(s *dns.RRSIG, rrset []dns.RR) bool {
	return slices.ContainsFunc(v.keys, func(k *dns.DNSKEY) bool { return k.KeyTag() == s.KeyTag && s.Verify(k, rrset) == nil })
}

// unixOf reads a time of a signature, which counts seconds modulo 2³² (RFC 4034
// §3.1.5), as the one that is nearest to now.
func unixOf(t uint32, now time.Time) time.Time {
	return now.Add(time.Duration(int32(t-uint32(now.Unix()))) * time.Second)
}
