package dnssec

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/miekg/dns"
)

// Role says what a key signs.
type Role string

// The roles: a CSK is KSK and ZSK in one.
const (
	KSK Role = "ksk"
	ZSK Role = "zsk"
	CSK Role = "csk"
)

// anchors tells whether the parent's DS is about such a key.
func (r Role) anchors() bool { return r != ZSK }

// signsZone tells whether such a key signs what is not about keys.
func (r Role) signsZone() bool { return r != KSK }

// Key is a key with the events of its life; a time that is zero has not come.
// It never changes; a later event makes another Key.
type Key struct {
	Role      Role   `json:"role"`
	Algorithm uint8  `json:"algorithm"`
	Tag       uint16 `json:"tag"`
	Public    string `json:"public"`  // as in DNSKEY
	Private   []byte `json:"private"` // PKCS #8

	Published  time.Time `json:"published"`           // in the DNSKEY RRset since (Tpub)
	Active     time.Time `json:"active,omitzero"`     // signs the zone since (Tact); a KSK signs as soon as it is published
	Retired    time.Time `json:"retired,omitzero"`    // does not sign the zone any more (Tret)
	Announced  time.Time `json:"announced,omitzero"`  // the parent may take its DS (Tsbm)
	Trusted    time.Time `json:"trusted,omitzero"`    // the parent has its DS
	Superseded time.Time `json:"superseded,omitzero"` // the parent has the successor's DS
}

// generate makes a key.
func generate(role Role, algorithm uint8, zone string, now time.Time) (Key, error) {
	var private crypto.Signer
	var err error
	switch algorithm {
	case dns.ECDSAP256SHA256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case dns.ED25519:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("algorithm %d is not made here", algorithm)
	}
	if err != nil {
		return Key{}, fmt.Errorf("make a %s for %s: %w", role, zone, err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return Key{}, fmt.Errorf("make a %s for %s: %w", role, zone, err)
	}
	k := Key{Role: role, Algorithm: algorithm, Private: der, Published: now}
	k.Public, err = publicText(private.Public())
	k.Tag = k.record(zone, 0).KeyTag()
	return k, err
}

// publicText is a public key as in DNSKEY: for ECDSA the curve point without its
// first octet (RFC 6605 §4), for Ed25519 the 32 octets (RFC 8080 §3).
func publicText(public crypto.PublicKey) (string, error) {
	var octets []byte
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		point, err := p.Bytes()
		if err != nil {
			return "", err
		}
		octets = point[1:]
	case ed25519.PublicKey:
		octets = p
	default:
		return "", fmt.Errorf("a public key of type %T is not known", public)
	}
	return base64.StdEncoding.EncodeToString(octets), nil
}

// private gives the private key, and checks that it belongs to the public one.
func (k *Key) private() (crypto.Signer, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(k.Private)
	if err != nil {
		return nil, fmt.Errorf("key %d: %w", k.Tag, err)
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("key %d: a %T cannot sign", k.Tag, parsed)
	}
	public, err := publicText(signer.Public())
	switch {
	case err != nil:
	case public != k.Public:
		err = errors.New("the private key belongs to another public key")
	case !k.fits(signer):
		err = fmt.Errorf("a %T is no key of algorithm %d", parsed, k.Algorithm)
	}
	if err != nil {
		return nil, fmt.Errorf("key %d: %w", k.Tag, err)
	}
	return signer, nil
}

// fits tells whether a private key is one of the key's algorithm.
func (k *Key) fits(private crypto.Signer) bool {
	switch private := private.(type) {
	case *ecdsa.PrivateKey:
		return k.Algorithm == dns.ECDSAP256SHA256 && private.Curve == elliptic.P256()
	case ed25519.PrivateKey:
		return k.Algorithm == dns.ED25519
	}
	return false
}

const (
	flagZone = 0x100 // RFC 4034 §2.1.1
	flagSEP  = 0x001 // RFC 3757: secure entry point
)

// record is the key's DNSKEY record.
func (k *Key) record(zone string, ttl uint32) *dns.DNSKEY {
	flags := uint16(flagZone)
	if k.Role.anchors() {
		flags |= flagSEP
	}
	return &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: zone, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: ttl},
		Flags: flags, Protocol: 3, Algorithm: k.Algorithm, PublicKey: k.Public,
	}
}

// ds is the record that the parent should have: SHA-256, the one digest that
// RFC 8624 §3.3 makes mandatory for delegations.
func (k *Key) ds(zone string, ttl uint32) *dns.DS {
	ds := k.record(zone, ttl).ToDS(dns.SHA256)
	ds.Hdr = dns.RR_Header{Name: zone, Rrtype: dns.TypeDS, Class: dns.ClassINET, Ttl: ttl}
	return ds
}
