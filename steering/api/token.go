package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Scope is what a token may be used for.
type Scope string

// The scopes. Whoever may operate may read, and an admin may do everything.
const (
	ScopeRead    Scope = "read"    // ask anything
	ScopeMeasure Scope = "measure" // report measurements, traffic and players; ask what a vantage measures
	ScopeOperate Scope = "operate" // drain, force and the like, end a trial, roll back
	ScopeAdmin   Scope = "admin"   // put configurations in force, DNSSEC keys, profiles
	// ScopeNode is of no token: it is what nodes ask each other. A certificate of the
	// fleet's authority is enough for it, and so is whatever may read.
	ScopeNode Scope = "node"
)

// Token is what a caller may present. The server knows its digest alone: who reads
// that has no token.
type Token struct {
	Name string // for the log
	// SHA256 are digests; a token with any of them is this one: two while one takes the
	// place of the other.
	SHA256   [][sha256.Size]byte
	Scopes   []Scope
	Vantages []string // whom it may report measurements of; nil = anyone
}

// allows tells whether a token is enough for a scope.
func (t *Token) allows(s Scope) bool {
	return slices.Contains(t.Scopes, s) || slices.Contains(t.Scopes, ScopeAdmin) ||
		s == ScopeRead && slices.Contains(t.Scopes, ScopeOperate)
}

// scopes are its scopes as text.
func (t *Token) scopes() string {
	var all []string
	for _, s := range t.Scopes {
		all = append(all, string(s))
	}
	return strings.Join(all, ", ")
}

// needed is what a request to one of the API's own paths needs.
func needed(r *http.Request) Scope {
	path := r.URL.Path
	switch {
	case path == assignmentPath:
		return ScopeMeasure
	case !changes(r.Method):
		return ScopeRead
	case slices.Contains([]string{"/api/v1/measurements", "/api/v1/usage", "/api/v1/players"}, path):
		return ScopeMeasure
	case path == "/api/v1/overrides", strings.HasPrefix(path, "/api/v1/overrides/"), strings.HasPrefix(path, "/api/v1/canary/"),
		strings.HasPrefix(path, revisionsPath+"/") && strings.HasSuffix(path, "/rollback"):
		return ScopeOperate
	}
	return ScopeAdmin
}

// neededExtra is the same of paths that are not the API's own.
func (s *Server) neededExtra(r *http.Request) Scope {
	if s.config.Needs != nil {
		return s.config.Needs(r)
	}
	return needed(r)
}

// identify finds the token that a request presents; false when it is none of ours.
func (s *Server) identify(r *http.Request) (Token, bool) {
	if s.open() {
		return Token{Scopes: []Scope{ScopeAdmin}}, true
	}
	scheme, presented, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") { // RFC 9110 §11.1: case-insensitive
		return Token{}, false
	}
	return s.find(strings.TrimSpace(presented))
}

// find looks a token up. All digests are compared, so that the time taken tells nothing of
// any.
func (s *Server) find(presented string) (Token, bool) {
	digest := sha256.Sum256([]byte(presented))
	var found *Token
	for _, t := range s.tokens() {
		for _, known := range t.SHA256 {
			if subtle.ConstantTimeCompare(digest[:], known[:]) == 1 {
				found = &t
			}
		}
	}
	if found == nil {
		return Token{}, false
	}
	return *found, true
}

// Entitled tells other doors of this node whether a token is one of the API's at the
// moment, and enough for a scope. An API that asks for no token knows none.
func (s *Server) Entitled(presented string, needs Scope) (known, enough bool) {
	t, known := s.find(presented)
	return known, known && t.allows(needs)
}

// open tells whether callers need no token.
func (s *Server) open() bool { return s.config.Token == "" && s.config.Tokens == nil }

// tokens are those of the moment.
func (s *Server) tokens() (all []Token) {
	if s.config.Token != "" {
		all = append(all, Token{Name: "api.token_file", SHA256: [][sha256.Size]byte{sha256.Sum256([]byte(s.config.Token))}, Scopes: []Scope{ScopeAdmin}})
	}
	if s.config.Tokens != nil {
		all = append(all, s.config.Tokens()...)
	}
	return all
}

type tokenKey struct{}

// TokenOf is the token of the request that a context belongs to; false when the API
// asks for none.
func TokenOf(ctx context.Context) (Token, bool) {
	t, known := ctx.Value(tokenKey{}).(Token)
	return t, known && t.Name != ""
}

// MayReport tells why a token may not report measurements of a vantage; nil = it may.
func (t *Token) MayReport(vantage string) error {
	if t.Vantages == nil || slices.Contains(t.Vantages, vantage) {
		return nil
	}
	return &Error{
		Status:  http.StatusForbidden,
		Message: fmt.Sprintf("the token %s may not report for the vantage %q", t.Name, cut(vantage, 63)),
		Remedy:  "it may for " + strings.Join(t.Vantages, ", ") + "; say so under api.tokens, or have the vantage show its own token",
	}
}
