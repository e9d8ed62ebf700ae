package dnsserver

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/dchest/siphash"
)

// Secret is what server cookies are made with (RFC 9018 §4.4): 128 bits, the same
// on every server that answers at one address.
type Secret [16]byte

const (
	clientCookie = 8  // octets, RFC 7873 §4
	serverCookie = 16 // octets of ours, RFC 9018 §4
	cookieOctets = clientCookie + serverCookie

	// RFC 9018 §4.3: a server accepts cookies "within a 1-hour period in the past
	// and a 5-minute period into the future", and one "more than half an hour old"
	// is answered with a new one.
	cookiePast    = 3600
	cookieFuture  = 300
	cookieRenewal = 1800
)

// cookieLength tells whether a COOKIE option may have so many octets. RFC 7873
// §5.2.2: one that is "too short to contain a Client Cookie", or longer "than
// that required to hold a COOKIE option with just a Client Cookie (8 bytes) but
// […] shorter than the minimum COOKIE option with both a Client and Server Cookie
// (16 bytes)", or longer than 40 octets, is answered FORMERR.
func cookieLength(n int) bool { return n == clientCookie || n >= 16 && n <= 40 }

// cookieState is what a query's COOKIE option says of its sender.
type cookieState uint8

const (
	cookieNone   cookieState = iota
	cookieClient             // a client cookie alone: we have not met, or it forgot
	cookieBad                // a server cookie that is not ours, or too old
	cookieValid              // the sender has been told this cookie: its address is no forgery
	cookieStates
)

func (c cookieState) String() string {
	return [cookieStates]string{"none", "client", "bad", "valid"}[c]
}

// Cookies is the configuration of DNS cookies.
type Cookies struct {
	// Off ignores the option.
	Off bool
	// Secrets are the server's: the first makes cookies, all are accepted.
	// Default: one made at random, which other servers do not know and which a
	// restart forgets; clients with its cookies get new ones.
	Secrets []Secret
	// SecretFile is read instead (see ReadSecrets), and again when it changes. As
	// long as it cannot be read, the secrets that were in it stand, or one made at
	// random.
	SecretFile string
	// Require answers a query that comes over UDP with a COOKIE option and without
	// a valid server cookie with BADCOOKIE and the right one, and nothing else
	// (RFC 7873 §5.2.3 and §5.2.4). Queries without the option are answered all the
	// same: most clients know no cookies.
	Require bool
}

// cookieJar holds the secrets. The first makes cookies, all of them are accepted,
// so that a new one can be brought to every server before any uses it
// (RFC 9018 §5).
type cookieJar struct {
	secrets atomic.Pointer[[]Secret] // nil = no cookies
	seen    [cookieStates]atomic.Uint64
	file    followed
}

// fill takes the secrets in. With an error there are those of before, or one made
// at random.
func (j *cookieJar) fill(c Cookies) (err error) {
	if c.Off {
		return nil
	}
	secrets := slices.Clone(c.Secrets)
	if c.SecretFile != "" {
		if j.file.names == nil {
			j.file = look(c.SecretFile)
		}
		secrets, err = ReadSecrets(c.SecretFile)
	}
	switch {
	case len(secrets) > 0:
		j.secrets.Store(&secrets)
	case !j.enabled():
		j.secrets.Store(&[]Secret{NewSecret()})
	}
	return err
}

// follow takes up the secrets whenever their file changes.
func (j *cookieJar) follow(ctx context.Context, c Cookies, log *slog.Logger) {
	if c.Off || c.SecretFile == "" {
		return
	}
	j.file.follow(ctx, func() {
		if err := j.fill(c); err != nil {
			log.Error("dns door: the cookie secrets have changed and cannot be read; the old ones stand", "error", err)
			return
		}
		log.Info("dns door: took up the cookie secrets", "file", c.SecretFile, "count", len(*j.secrets.Load()))
	})
}

// NewSecret makes a secret at random.
func NewSecret() (s Secret) {
	rand.Read(s[:]) // never fails (crypto/rand)
	return s
}

// enabled tells whether there is a secret. RFC 7873 §5.2.1 lets a server without
// cookies ignore the option.
func (j *cookieJar) enabled() bool { return j.secrets.Load() != nil }

// answer gives the COOKIE option's data of the answer, from that of the query.
// Time is in seconds since 1970.
func (j *cookieJar) answer(out *[cookieOctets]byte, asked []byte, client netip.Addr, now uint32) cookieState {
	copy(out[:], asked[:clientCookie])
	secrets := *j.secrets.Load()
	state := cookieClient
	if len(asked) > clientCookie {
		state = cookieBad
	}
	if len(asked) == cookieOctets && asked[clientCookie] == 1 {
		// RFC 9018 §4.3 compares by serial number arithmetic.
		age := int32(now - binary.BigEndian.Uint32(asked[clientCookie+4:]))
		if age <= cookiePast && age >= -cookieFuture {
			for i := range secrets {
				copy(out[clientCookie:], asked[clientCookie:clientCookie+8])
				secrets[i].seal(out, client)
				if subtle.ConstantTimeCompare(out[:], asked) == 0 {
					continue
				}
				if i == 0 && age <= cookieRenewal {
					return cookieValid // the same again
				}
				state = cookieValid
				break
			}
		}
	}
	// RFC 9018 §4: version 1, three reserved octets of 0, the time, the hash.
	binary.BigEndian.PutUint32(out[clientCookie:], 1<<24)
	binary.BigEndian.PutUint32(out[clientCookie+4:], now)
	secrets[0].seal(out, client)
	return state
}

// seal puts the hash behind the rest (RFC 9018 §4.4): SipHash-2-4 of client
// cookie, version, reserved octets, time and client address.
func (s *Secret) seal(cookie *[cookieOctets]byte, client netip.Addr) {
	var message [16 + 16]byte
	n := copy(message[:], cookie[:16])
	if client.Is4() {
		address := client.As4()
		n += copy(message[n:], address[:])
	} else {
		address := client.As16()
		n += copy(message[n:], address[:])
	}
	// SipHash reads its key and writes its result with the lowest octet first.
	little := binary.LittleEndian
	little.PutUint64(cookie[16:], siphash.Hash(little.Uint64(s[:8]), little.Uint64(s[8:]), message[:n]))
}
