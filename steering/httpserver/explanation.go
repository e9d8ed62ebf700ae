package httpserver

import (
	"bytes"
	"net/http"
	"strings"
	"time"

	"fairway/steering"
)

// entitled tells why whoever asks is told no explanations; nil = they are.
func (s *Server) entitled(r *http.Request) *answer {
	if s.config.Explainer == nil {
		return &unexplained
	}
	kind, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if token == "" || !strings.EqualFold(kind, "bearer") { // RFC 9110 §11.1: case-insensitive
		return &unauthorised
	}
	switch known, enough := s.config.Explainer.Entitled(token); {
	case !known:
		return &unknownToken
	case !enough:
		return &narrowToken
	}
	return nil
}

// RFC 9110 §15.5.2: "The server generating a 401 response MUST send a WWW-Authenticate
// header field". RFC 6750 §3 and §3.1 say what is in it: no error where nothing was
// shown, else which, and the scope that it takes.
var (
	unauthorised = challenge(http.StatusUnauthorized, `Bearer realm="fairway"`,
		"explanations are for callers with a token of the API: Authorization: Bearer TOKEN")
	unknownToken = challenge(http.StatusUnauthorized, `Bearer realm="fairway", error="invalid_token"`,
		"the token is none of the API's, or is one no longer")
	narrowToken = challenge(http.StatusForbidden, `Bearer realm="fairway", error="insufficient_scope", scope="read"`,
		"the token may not be used to ask: it needs the scope read")
)

func challenge(status int, challenge, message string) answer {
	a := refuse(status, message)
	a.challenge = challenge
	return a
}

// explained adds to a described decision how it came about.
func (s *Server) explained(a answer, service string, q steering.Query) answer {
	explanation, err := s.config.Explainer.Explain(service, q)
	if err != nil {
		return answer{status: http.StatusServiceUnavailable, retry: time.Second, message: err.Error(), json: encode(errorBody{Error: err.Error()})}
	}
	described := bytes.TrimSuffix(a.json, []byte("}\n"))
	a.json = append(append(append(described, `,"explanation":`...), bytes.TrimSpace(encode(explanation))...), "}\n"...)
	return a
}
