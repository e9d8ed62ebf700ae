package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// cat makes Common Access Tokens: a CBOR Web Token (RFC 8392) in COSE (RFC 9052),
// with an HMAC where the key is a secret and an ES256 signature where it is a
// private key.
type cat struct{ config *Config }

// COSE and CWT by number (RFC 9052 §3.1 and §4, RFC 8392 §4, CTA-5007 §4).
const (
	tagCWT, tagMac0, tagSign1 = 61, 17, 18
	headerAlg, headerKid      = 1, 4
	algHMAC256, algES256      = 5, -7
	claimIss, claimSub        = 1, 2
	claimExp                  = 4
	claimCatnip, claimCatu    = 311, 312
	uriHost, uriPath          = 1, 3
	matchExact, matchPrefix   = 0, 1
)

func (c *cat) load(k Key) (any, error) {
	if block, _ := pem.Decode(k.Secret); block != nil {
		if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil && key.Curve == elliptic.P256() {
			return key, nil
		}
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if key, ok := key.(*ecdsa.PrivateKey); ok && key.Curve == elliptic.P256() {
				return key, nil
			}
		}
		return nil, errors.New("a CAT key in PEM is a P-256 private key, as SEC 1 or PKCS #8")
	}
	secret, err := hex.DecodeString(strings.TrimSpace(string(k.Secret)))
	if err != nil || len(secret) < 16 {
		return nil, errors.New("a CAT key is 16 octets or more in hexadecimal, or a P-256 private key in PEM")
	}
	return secret, nil
}

func (c *cat) sign(key loaded, t target, until time.Time, r Request) (string, error) {
	path, wild := c.config.covered(t)
	match := matchExact
	if wild {
		match = matchPrefix
	}
	claims := map[int]any{
		claimExp: until.Unix(),
		claimCatu: map[int]any{
			uriHost: map[int]string{matchExact: t.host},
			uriPath: map[int]string{match: path},
		},
	}
	if c.config.Issuer != "" {
		claims[claimIss] = c.config.Issuer
	}
	if r.Session != "" {
		claims[claimSub] = r.Session
	}
	if c.config.BindClient && r.Client.IsValid() {
		claims[claimCatnip] = []any{network(r)}
	}
	encode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return "", err
	}
	payload, err := encode.Marshal(claims)
	if err != nil {
		return "", err
	}
	sealed, err := seal(encode, key, payload)
	if err != nil {
		return "", err
	}
	made, err := encode.Marshal(cbor.Tag{Number: tagCWT, Content: sealed})
	return c.config.param("CAT") + "=" + base64.RawURLEncoding.EncodeToString(made), err
}

// network is the viewer's address as CBOR has it (RFC 9164 §3.1.1).
func network(r Request) cbor.Tag {
	const tagIPv4, tagIPv6 = 52, 54
	address := r.Client.Unmap()
	if address.Is4() {
		return cbor.Tag{Number: tagIPv4, Content: address.AsSlice()}
	}
	return cbor.Tag{Number: tagIPv6, Content: address.AsSlice()}
}

// seal puts a payload into COSE, as COSE_Mac0 or COSE_Sign1.
func seal(encode cbor.EncMode, key loaded, payload []byte) (cbor.Tag, error) {
	algorithm, context, tag := algHMAC256, "MAC0", uint64(tagMac0)
	private, asymmetric := key.secret.(*ecdsa.PrivateKey)
	if asymmetric {
		algorithm, context, tag = algES256, "Signature1", tagSign1
	}
	protected, err := encode.Marshal(map[int]int{headerAlg: algorithm})
	if err != nil {
		return cbor.Tag{}, err
	}
	sealed, err := structure(encode, context, protected, payload)
	if err != nil {
		return cbor.Tag{}, err
	}
	var seal []byte
	if asymmetric {
		sum := sha256.Sum256(sealed)
		x, y, err := ecdsa.Sign(rand.Reader, private, sum[:])
		if err != nil {
			return cbor.Tag{}, err
		}
		seal = make([]byte, 64) // both numbers at full length (RFC 9053 §2.1)
		x.FillBytes(seal[:32])
		y.FillBytes(seal[32:])
	} else {
		seal = mac(key.secret, string(sealed))
	}
	open := map[int]any{}
	if key.ID != "" {
		open[headerKid] = []byte(key.ID)
	}
	return cbor.Tag{Number: tag, Content: []any{protected, open, payload, seal}}, nil
}

// structure is what is signed: a name, the protected header, no additional data, and the
// payload (RFC 9052 §4.4, §6.3).
func structure(encode cbor.EncMode, context string, protected, payload []byte) ([]byte, error) {
	return encode.Marshal([]any{context, protected, []byte{}, payload})
}
