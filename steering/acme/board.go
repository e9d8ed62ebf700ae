package acme

import (
	"crypto/tls"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mholt/acmez/v3"
	protocol "github.com/mholt/acmez/v3/acme"
)

// Board has the open challenges, for the doors that answer them. The zero value has none.
type Board struct{ open atomic.Pointer[posted] }

// posted are challenges with what is made of them. It never changes.
type posted struct {
	challenges   []Challenge
	certificates map[string]*tls.Certificate // of tls-alpn-01, by domain
}

// Set replaces the open challenges, and tells whether they are others. Those of before that
// are among them keep what was made of them.
func (b *Board) Set(open []Challenge) (changed bool) {
	before := b.posted()
	if slices.EqualFunc(open, before.challenges, Challenge.equal) {
		return false
	}
	if len(open) == 0 {
		b.open.Store(nil)
		return true
	}
	next := &posted{slices.Clone(open), make(map[string]*tls.Certificate)}
	for _, c := range open {
		if c.Type != ALPN {
			continue
		}
		if slices.ContainsFunc(before.challenges, c.equal) {
			next.certificates[c.Domain] = before.certificates[c.Domain]
			continue
		}
		made, err := acmez.TLSALPN01ChallengeCert(protocol.Challenge{
			Identifier: protocol.Identifier{Type: "dns", Value: c.Domain}, KeyAuthorization: c.KeyAuthorization,
		})
		if err == nil { // the name is one, or it would not be in the configuration
			next.certificates[c.Domain] = made
		}
	}
	b.open.Store(next)
	return true
}

func (b *Board) posted() *posted {
	if p := b.open.Load(); p != nil {
		return p
	}
	return &posted{}
}

// Answer is what a request for /.well-known/acme-challenge/{token} is answered (RFC 8555
// §8.3); false for a token that nobody asked about.
func (b *Board) Answer(token string) (string, bool) {
	for _, c := range b.posted().challenges {
		if c.Type == HTTP && c.Token == token && time.Now().Before(c.Until) {
			return c.KeyAuthorization, true
		}
	}
	return "", false
}

// TXT are the records that dns-01 asks for, by their names.
func (b *Board) TXT() map[string][]string {
	records := make(map[string][]string)
	for _, c := range b.posted().challenges {
		if c.Type == DNS {
			name, value := c.TXT()
			records[name] = append(records[name], value)
		}
	}
	return records
}

// Accept returns a TLS configuration that answers tls-alpn-01 where an authority asks, and
// is the given one for everybody else.
//
// RFC 8737 §3: the authority's handshake has "acme-tls/1" as its only protocol, and in the
// SNI the name in question.
func (b *Board) Accept(others *tls.Config) *tls.Config {
	c := others.Clone()
	otherwise := others.GetConfigForClient
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acmez.ACMETLS1Protocol {
			if proof := b.posted().certificates[strings.ToLower(hello.ServerName)]; proof != nil {
				return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*proof}, NextProtos: []string{acmez.ACMETLS1Protocol}}, nil
			}
		}
		if otherwise != nil {
			return otherwise(hello)
		}
		return nil, nil
	}
	return c
}
