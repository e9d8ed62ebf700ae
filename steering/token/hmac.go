package token

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/url"
	"strconv"
	"strings"
	"time"
)

func mac(key any, message string) []byte { return macOf(sha256.New, key, message) }

func macOf(hash func() hash.Hash, key any, message string) []byte {
	h := hmac.New(hash, key.([]byte))
	h.Write([]byte(message))
	return h.Sum(nil)
}

// akamai makes EdgeAuth 2.0 tokens: fields in a fixed order, and an HMAC over
// them. A token for an exact URL has the URL in the HMAC only; one for an access
// list names it.
type akamai struct{ config *Config }

func (a *akamai) load(k Key) (any, error) {
	secret, err := hex.DecodeString(strings.TrimSpace(string(k.Secret)))
	if err != nil || len(secret) == 0 {
		return nil, errors.New("an Akamai key is an even number of hexadecimal digits")
	}
	return secret, nil
}

func (a *akamai) sign(key loaded, t target, until time.Time, r Request) (string, error) {
	var fields []string
	if a.config.BindClient && r.Client.IsValid() {
		fields = append(fields, "ip="+escapeEarly(r.Client.Unmap().String()))
	}
	fields = append(fields, "exp="+strconv.FormatInt(until.Unix(), 10))
	path, wild := a.config.covered(t)
	if wild {
		fields = append(fields, "acl="+path+"*")
	}
	if r.Session != "" {
		fields = append(fields, "id="+escapeEarly(r.Session))
	}
	signed := strings.Join(fields, "~")
	if !wild {
		signed += "~url=" + escapeEarly(path)
	}
	if a.config.Salt != "" {
		signed += "~salt=" + a.config.Salt
	}
	return a.config.param("hdnts") + "=" + strings.Join(fields, "~") + "~hmac=" + hex.EncodeToString(mac(key.secret, signed)), nil
}

// escapeEarly percent-encodes as Akamai's libraries do with escape_early, and
// as the CDN does where its token behaviour escapes inputs: as a URI component, also ~ ' and *, in lower case.
func escapeEarly(s string) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-_.!()", c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

// fastly makes the token that Fastly's documented VCL checks: the end of its
// time, and an HMAC over the path and that. Until 2018 the recipe had SHA-1 in it, and
// services that were made by it still have.
type fastly struct{ config *Config }

func (f *fastly) load(k Key) (any, error) {
	secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(k.Secret)))
	if err != nil || len(secret) == 0 {
		return nil, errors.New("a Fastly key is in base64")
	}
	if bytes.IndexByte(secret, 0) >= 0 {
		return nil, errors.New("a Fastly key must not have an octet 0, where VCL would cut it: make another (openssl rand -base64 32)")
	}
	return secret, nil
}

func (f *fastly) sign(key loaded, t target, until time.Time, _ Request) (string, error) {
	end := strconv.FormatInt(until.Unix(), 10)
	hash := sha256.New
	if f.config.Hash == SHA1 {
		hash = sha1.New
	}
	return fmt.Sprintf("%s=%s_%x", f.config.param("token"), end, macOf(hash, key.secret, t.path+end)), nil
}

// cloudflare makes the token that is_timed_hmac_valid_v0 checks: the time of
// issue, and an HMAC over everything before the token and that time. How long it
// holds is for the rule at Cloudflare to say.
type cloudflare struct{ config *Config }

func (c *cloudflare) load(k Key) (any, error) {
	if len(k.Secret) == 0 {
		return nil, errors.New("a Cloudflare key must not be empty")
	}
	return k.Secret, nil
}

func (c *cloudflare) sign(key loaded, t target, until time.Time, _ Request) (string, error) {
	issued := strconv.FormatInt(until.Add(-c.config.TTL).Unix(), 10)
	sum := mac(key.secret, t.path+t.query+issued)
	return c.config.param("verify") + "=" + issued + "-" + url.QueryEscape(base64.StdEncoding.EncodeToString(sum)), nil
}
