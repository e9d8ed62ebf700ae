package api

import (
	"mime"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
)

// maxBody is how much of a request's body is read, as it comes over the wire.
const maxBody = 1 << 20

// guard stands before every path: one panic costs one request, and browsers are
// told to guess nothing.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			caught := recover()
			if caught == nil {
				return
			}
			if caught == http.ErrAbortHandler {
				panic(caught)
			}
			s.config.Logger.Error("api: panic in a request", "method", r.Method, "path", r.Pattern,
				"panic", caught, "stack", string(debug.Stack()))
			s.answer(w, r, http.StatusInternalServerError,
				&Error{Message: "the node failed on this request", Remedy: "its log has the details; please report them"})
		}()
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if !s.knownHost(r.Host) {
			s.fail(w, r, &Error{
				Status:  http.StatusMisdirectedRequest, // RFC 9110 §15.5.20
				Message: "this node does not answer to that name",
				Remedy:  "use its IP address or localhost, add the name to the API's listen addresses, or give the API a token",
			})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// knownHost keeps out pages that have pointed a name of their own at this
// address (DNS rebinding): such a request carries their name. An address
// cannot be forged that way, and a token protects without this.
func (s *Server) knownHost(host string) bool {
	if !s.open() {
		return true
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return s.hosts[strings.ToLower(host)]
}

// admit decides about a protected path and bounds the body. It returns the token
// that the caller has shown.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, needs Scope) (Token, error) {
	if needs == ScopeNode {
		if s.config.Certified && certified(r) {
			return Token{}, nil // it asks, so there is no body to bound
		}
		needs = ScopeRead
	}
	token, known := s.identify(r)
	if !known {
		w.Header().Set("WWW-Authenticate", `Bearer realm="fairway"`) // RFC 6750 §3
		return token, &Error{
			Status:  http.StatusUnauthorized,
			Message: "the token is missing or wrong",
			Remedy:  "send \"Authorization: Bearer TOKEN\" with the token from this node's token file, or one of api.tokens",
		}
	}
	if err := s.entitled(w, r, &token, needs); err != nil {
		return token, err
	}
	if changes(r.Method) {
		// Browsers say where a request comes from; other programs say nothing and
		// pass. A form or a no-cors fetch cannot send this content type either.
		if err := http.NewCrossOriginProtection().Check(r); err != nil {
			return token, &Error{
				Status:  http.StatusForbidden,
				Message: "a page of another origin may not change anything here",
				Remedy:  "use the console of this node, or the command line",
			}
		}
		if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
			return token, &Error{
				Status:  http.StatusUnsupportedMediaType,
				Message: "a request that changes something must be application/json",
				Remedy:  "send \"Content-Type: application/json\"",
			}
		}
	}
	limit := int64(maxBody)
	if r.URL.Path == revisionsPath {
		limit = maxRevision
	}
	r.Body = http.MaxBytesReader(w, r.Body, limit)
	return token, nil
}

// entitled tells why a known caller may not do what the request wants; nil = it may.
func (s *Server) entitled(w http.ResponseWriter, r *http.Request, token *Token, needs Scope) error {
	if !token.allows(needs) {
		// RFC 6750 §3.1: insufficient_scope, with the scope that is necessary.
		w.Header().Set("WWW-Authenticate", `Bearer realm="fairway", error="insufficient_scope", scope="`+string(needs)+`"`)
		return &Error{
			Status:  http.StatusForbidden,
			Message: "the token " + token.Name + " may " + token.scopes() + "; this needs " + string(needs),
			Remedy:  "use a token with that scope; they are under api.tokens",
		}
	}
	if needs == ScopeMeasure && s.config.Certified && !certified(r) {
		return &Error{
			Status:  http.StatusForbidden,
			Message: "reports are taken from nodes that show a certificate of the fleet's authority, and none was shown",
			Remedy:  "give the node a certificate of that authority: api.tls",
		}
	}
	if needs != ScopeRead && needs != ScopeMeasure && token.Name != "" {
		s.config.Logger.Info("api: change", "token", token.Name, "method", r.Method, "path", r.URL.Path)
	}
	return nil
}

// certified tells whether the caller has shown a certificate of the fleet's authority.
func certified(r *http.Request) bool { return r.TLS != nil && len(r.TLS.VerifiedChains) > 0 }

func changes(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}
