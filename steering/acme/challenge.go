package acme

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"
)

// Challenge is an authority's question, and what answers it. Nothing in it is secret once
// it has been asked.
type Challenge struct {
	Type             Kind      `json:"type"`
	Domain           string    `json:"domain"` // without final dot, and without the star of a wildcard
	Token            string    `json:"token"`
	KeyAuthorization string    `json:"key_authorization"`
	Until            time.Time `json:"until"` // when it is over in any case
}

func (c Challenge) equal(o Challenge) bool {
	return c.Type == o.Type && c.Domain == o.Domain && c.Token == o.Token && c.KeyAuthorization == o.KeyAuthorization && c.Until.Equal(o.Until)
}

// Kind is how an authority is shown that a name is ours.
type Kind string

// The kinds, as IANA's registry of ACME validation methods has them.
const (
	HTTP Kind = "http-01"
	ALPN Kind = "tls-alpn-01"
	DNS  Kind = "dns-01"
)

// challengeLife is longer than an authority goes on asking: a challenge that its node could
// not withdraw is over then.
const challengeLife = 15 * time.Minute

// TXT is where and what dns-01 asks for. RFC 8555 §8.4: the record's name is formed "by
// prepending the label "_acme-challenge" to the domain name", and it holds the "base64url
// encoding" of the "SHA-256 digest" of the key authorization.
func (c Challenge) TXT() (name, value string) {
	digest := sha256.Sum256([]byte(c.KeyAuthorization))
	return "_acme-challenge." + strings.ToLower(c.Domain) + ".", base64.RawURLEncoding.EncodeToString(digest[:])
}
