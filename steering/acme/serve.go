package acme

import (
	"crypto/tls"
	"errors"
	"strings"
)

// serving are the certificates by name. It never changes.
type serving struct {
	byName map[string]*tls.Certificate
	first  *tls.Certificate // for who names none, or another; nil = there is none at all
}

// serve takes up what the records hold; k.mu is held.
func (k *Keeper) serve() {
	next := &serving{byName: make(map[string]*tls.Certificate)}
	for _, name := range k.config.Names {
		r := k.records[name]
		if r == nil || r.pair == nil {
			continue
		}
		next.byName[name] = r.pair
		if next.first == nil {
			next.first = r.pair
		}
	}
	k.serving.Store(next)
}

var errNone = errors.New("no certificate has been obtained yet")

// TLS returns a configuration with the certificates, as they are at each handshake.
func (k *Keeper) TLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if c := k.serving.Load().find(hello.ServerName); c != nil {
				return c, nil
			}
			return nil, errNone
		},
	}
}

// find is the certificate for a name; that of the wildcard above it; or the first one,
// with which the client sees whom it has reached.
func (s *serving) find(name string) *tls.Certificate {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if c := s.byName[name]; c != nil {
		return c
	}
	if _, above, ok := strings.Cut(name, "."); ok {
		if c := s.byName["*."+above]; c != nil {
			return c
		}
	}
	return s.first
}
