package rum

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"time"

	"fairway/steering"
)

// The parameters of a signed target URL.
const (
	expiresParameter = "x"
	macParameter     = "m"
)

// SigningKey derives the key of target URLs from a secret that nodes share.
func SigningKey(secret []byte) []byte {
	if len(secret) == 0 {
		return nil
	}
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("fairway reports 1"))
	return h.Sum(nil)
}

// Sign gives the query for the target URLs of a service's reports, valid until a
// time. It says that its bearer was given a player's page by us, no more: within its
// time a bearer can report what it likes.
func Sign(key []byte, service string, until time.Time) string {
	expires := strconv.FormatInt(until.Unix(), 10)
	return expiresParameter + "=" + expires + "&" + macParameter + "=" + mac(key, service, expires)
}

func mac(key []byte, service, expires string) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(service + "\x00" + expires))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:16])
}

// signed tells whether reports at a target URL are taken.
func (k *Collector) signed(s *steering.Snapshot, service int, query string) bool {
	key := s.Layout.Revision.Services[service].Key
	if !k.config.Signed(key) || valid(k.config.Key, key, query, time.Now()) {
		return true
	}
	k.counts.unsigned.Add(1)
	return false
}

func valid(key []byte, service, query string, now time.Time) bool {
	values, err := url.ParseQuery(strings.TrimPrefix(query, "?"))
	if err != nil || len(key) == 0 {
		return false
	}
	expires := values.Get(expiresParameter)
	until, err := strconv.ParseInt(expires, 10, 64)
	return err == nil && now.Unix() <= until && hmac.Equal([]byte(values.Get(macParameter)), []byte(mac(key, service, expires)))
}
