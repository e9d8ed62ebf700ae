package policies

import (
	"time"

	"github.com/miekg/dns"

	"fairway/steering"
)

// The defaults of a signed zone: one ECDSA key for everything (RFC 8624 §3.1),
// signatures of two weeks, and a parent as most registries are.
const (
	defaultAlgorithm         = "ecdsap256sha256"
	defaultKeys              = "csk"
	defaultValidity          = 14 * 24 * time.Hour
	defaultKeyTTL            = time.Hour
	defaultPropagation       = 5 * time.Minute
	defaultZSKLifetime       = 90 * 24 * time.Hour
	defaultParentTTL         = 24 * time.Hour
	defaultParentPropagation = time.Hour
	shortestValidity         = 3 * 24 * time.Hour
	longestValidity          = 60 * 24 * time.Hour
	shortestLifetime         = 24 * time.Hour
	longestLifetime          = 10 * 365 * 24 * time.Hour
	never                    = "never"
)

// dnssec reads how a zone is signed; nil when it is not.
func (f fields) dnssec(z *steering.Zone) *steering.DNSSEC {
	v, ok := f.under("dnssec")
	if !ok {
		return nil
	}
	d, _ := v.as("dnssec of %s", f.subject).fields("algorithm keys validity zsk_lifetime ksk_lifetime key_ttl propagation parent state")
	s := &steering.DNSSEC{
		Algorithm:   map[string]uint8{defaultAlgorithm: dns.ECDSAP256SHA256, "ed25519": dns.ED25519}[d.choice("algorithm", defaultAlgorithm, defaultAlgorithm, "ed25519")],
		SplitKeys:   d.choice("keys", defaultKeys, defaultKeys, "ksk-zsk") == "ksk-zsk",
		Validity:    d.seconds("validity", defaultValidity, shortestValidity, longestValidity),
		KeyTTL:      d.seconds("key_ttl", defaultKeyTTL, time.Second, longestTTL),
		Propagation: d.duration("propagation", defaultPropagation, 0, 7*24*time.Hour),
		KSKLifetime: d.lifetime("ksk_lifetime", 0),
		Leave:       d.choice("state", "signed", "signed", "leaving") == "leaving",
		Place:       d.home(),
	}
	if s.SplitKeys {
		s.ZSKLifetime = d.lifetime("zsk_lifetime", defaultZSKLifetime)
	} else if zsk, ok := d.under("zsk_lifetime"); ok {
		zsk.fault("take it out, or write keys: ksk-zsk", "there is no ZSK: one key signs everything")
	}
	d.dnssecParent(s)
	d.checkValidity(s, z)
	return s
}

// checkKeys warns of signed zones whose keys no other node of a fleet would find: one
// control node makes them, and each node looks into its own data folder.
func (c *compiler) checkKeys(n Node, zones []steering.Zone) {
	if n.Consul == nil || n.KeysInStore || n.KeyFolder != "" {
		return
	}
	for _, z := range zones {
		if z.DNSSEC != nil {
			c.warn(z.DNSSEC.Place, "add a section dnssec: {keys: store, secret_file: PATH}, or with folder: PATH one that all of them share",
				"zone %s: of several nodes only the one that makes the keys has them; the others answer SERVFAIL to who asks for signatures, as most resolvers do", z.Name)
		}
	}
}

// lifetime reads how long a key serves; 0 for never to be replaced by itself.
func (f fields) lifetime(key string, fallback time.Duration) time.Duration {
	if v, ok := f.under(key); ok && v.node.Value == never {
		return 0
	}
	return f.duration(key, fallback, shortestLifetime, longestLifetime)
}

// dnssecParent reads what concerns the delegation.
func (f fields) dnssecParent(s *steering.DNSSEC) {
	s.ParentTTL, s.ParentPropagation, s.Announce = defaultParentTTL, defaultParentPropagation, true
	if v, ok := f.under("parent"); ok {
		p, _ := v.fields("ttl propagation cds servers")
		s.ParentTTL = p.seconds("ttl", s.ParentTTL, time.Second, 30*24*time.Hour)
		s.ParentPropagation = p.duration("propagation", s.ParentPropagation, 0, 7*24*time.Hour)
		s.Announce = p.choice("cds", "publish", "publish", "none") == "publish"
		for _, item := range p.oneOrMore("servers") {
			if address, ok := item.listener(); ok {
				s.ParentServers = append(s.ParentServers, address)
			}
		}
	}
	if lifetime, ok := f.under("ksk_lifetime"); ok && s.KSKLifetime > 0 && len(s.ParentServers) == 0 {
		lifetime.warn("add parent: {servers: [ADDRESS:53]}, or confirm each time with: fairway dnssec roll ZONE --ds-seen",
			"a new key waits for its DS at the parent, and nobody is named to ask for it")
	}
}

// checkValidity holds TTLs to a third of the validity: then no cache keeps an
// answer for longer than its signature holds.
func (f fields) checkValidity(s *steering.DNSSEC, z *steering.Zone) {
	longest := max(z.TTL, z.SOA.TTL, s.KeyTTL)
	for i := range z.Records {
		longest = max(longest, z.Records[i].TTL)
	}
	if longest > s.Validity/3 {
		f.fault("use a validity of "+FormatDuration((3*longest).Truncate(time.Hour)+time.Hour)+", or shorter TTLs",
			"%s: validity %s is less than three times the longest TTL, %s: caches would keep answers that are not valid any more", f.subject, FormatDuration(s.Validity), FormatDuration(longest))
	}
}
