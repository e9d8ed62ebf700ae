package transfer

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"time"

	"github.com/miekg/dns"
)

// Key is a TSIG key. Both sides know it by its name.
type Key struct {
	Name      string // canonical, with the final dot
	Algorithm string // dns.HmacSHA256 or dns.HmacSHA512
	Secret    []byte
}

// shortestSecret is a HMAC key of 128 bits: RFC 8945 §8 asks for no less than the
// digest is long, in new keys.
const shortestSecret = 16

// ParseSecret reads what the file of a key's secret holds: base64, as the files of other
// name servers have it. An error does not tell what stands in the file.
func ParseSecret(path, text string) ([]byte, error) {
	secret, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%s does not hold base64", path)
	}
	if len(secret) < shortestSecret {
		return nil, fmt.Errorf("the secret in %s has %d octets, and %d are the least", path, len(secret), shortestSecret)
	}
	return secret, nil
}

// fudge is how far the clocks of both sides may differ (RFC 8945 §10: "The
// recommended value […] is 300 seconds").
const fudge = 300

func (k *Key) mac(message []byte) ([]byte, error) {
	var made hash.Hash
	switch k.Algorithm {
	case dns.HmacSHA256:
		made = hmac.New(sha256.New, k.Secret)
	case dns.HmacSHA512:
		made = hmac.New(sha512.New, k.Secret)
	default:
		return nil, dns.ErrKeyAlg
	}
	made.Write(message)
	return made.Sum(nil), nil
}

// Generate implements dns.TsigProvider.
func (k *Key) Generate(message []byte, _ *dns.TSIG) ([]byte, error) { return k.mac(message) }

// Verify implements dns.TsigProvider. RFC 8945 §5.2.2.1 would allow shorter MACs;
// nobody needs them.
func (k *Key) Verify(message []byte, t *dns.TSIG) error {
	want, err := k.mac(message)
	if err != nil {
		return err
	}
	if got, err := hex.DecodeString(t.MAC); err != nil || !hmac.Equal(got, want) {
		return dns.ErrSig
	}
	return nil
}

// signer signs the messages of one exchange, one after the other.
type signer struct {
	key    *Key
	mac    string // of the request, then of the message before
	timers bool   // RFC 8945 §5.3.1: behind the first message, the timers alone are signed
	// What failed in the request, if anything did, and when it was signed.
	failure uint16
	signed  uint64
}

// pack writes a message with its signature; a nil signer leaves it unsigned.
func (s *signer) pack(m *dns.Msg) ([]byte, error) {
	if s == nil {
		return m.Pack()
	}
	now := uint64(time.Now().Unix())
	t := &dns.TSIG{
		Hdr:       dns.RR_Header{Name: s.key.Name, Rrtype: dns.TypeTSIG, Class: dns.ClassANY},
		Algorithm: s.key.Algorithm, TimeSigned: now, Fudge: fudge, OrigId: m.Id, Error: s.failure,
	}
	if s.failure == dns.RcodeBadTime {
		// RFC 8945 §5.2.3: the client's time, and ours in the other data.
		t.TimeSigned, t.OtherLen, t.OtherData = s.signed, 6, fmt.Sprintf("%012x", now)
	}
	m.Extra = append(m.Extra, t)
	packed, mac, err := dns.TsigGenerateWithProvider(m, s.key, s.mac, s.timers)
	s.mac, s.timers = mac, true
	return packed, err
}

// check verifies the signature of a request and returns what signs the answer, nil
// when the request has none. A failure is one of RFC 8945 §5.2; the signer then says
// so, as far as it may sign.
func check(keys map[string]*Key, packet []byte, m *dns.Msg) (s *signer, failure uint16) {
	t := m.IsTsig()
	if t == nil {
		return nil, dns.RcodeSuccess
	}
	name := dns.CanonicalName(t.Hdr.Name)
	key := keys[name]
	if key == nil || key.Algorithm != dns.CanonicalName(t.Algorithm) {
		unknown := &Key{Name: name, Algorithm: dns.CanonicalName(t.Algorithm)}
		return &signer{key: unknown, failure: dns.RcodeBadKey}, dns.RcodeBadKey
	}
	s = &signer{key: key, mac: t.MAC, signed: t.TimeSigned}
	switch err := dns.TsigVerifyWithProvider(append([]byte(nil), packet...), key, "", false); {
	case errors.Is(err, dns.ErrTime):
		s.failure = dns.RcodeBadTime
	case err != nil:
		s.failure = dns.RcodeBadSig
	}
	return s, s.failure
}

// verifyAnswer checks a message that answers ours. The signer holds our MAC, and
// then each that was verified.
func (s *signer) verifyAnswer(packet []byte, m *dns.Msg) error {
	if s == nil {
		return nil
	}
	t := m.IsTsig()
	if t == nil {
		return errors.New("the answer is not signed")
	}
	if t.Error != 0 {
		return fmt.Errorf("the key was refused: %s", dns.RcodeToString[int(t.Error)])
	}
	if err := dns.TsigVerifyWithProvider(append([]byte(nil), packet...), s.key, s.mac, s.timers); err != nil {
		return fmt.Errorf("the answer's signature: %w", err)
	}
	s.mac, s.timers = t.MAC, true
	return nil
}
