package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// What vantages elsewhere ask.
const (
	measurementsPath = "/api/v1/measurements"
	assignmentPath   = "/api/v1/assignment"
)

// paths are the API's own, as the patterns of http.ServeMux.
func (s *Server) paths() map[string]methods {
	return map[string]methods{
		"/api/v1/status":                     {"GET": s.getStatus},
		"/api/v1/explain":                    {"GET": s.getExplain},
		"/api/v1/revision":                   {"GET": s.getRevision},
		"/api/v1/state":                      {"GET": s.getState},
		"/api/v1/queries":                    {"GET": s.getQueries},
		"/api/v1/overrides":                  {"GET": s.getOverrides, "POST": s.postOverride, "DELETE": s.deleteOverrides},
		"/api/v1/overrides/log":              {"GET": s.getOverrideLog},
		"/api/v1/overrides/{id}":             {"DELETE": s.deleteOverrides},
		assignmentPath:                       {"GET": s.getAssignment},
		measurementsPath:                     {"POST": s.postMeasurements},
		"/api/v1/usage":                      {"GET": s.getUsage, "POST": s.postUsage},
		"/api/v1/players":                    {"GET": s.getPlayers, "POST": s.postPlayers},
		"/api/v1/history":                    {"GET": s.getHistory},
		"/api/v1/history/curves":             {"GET": s.getCurves},
		"/api/v1/history/state":              {"GET": s.getHistoryState},
		revisionsPath:                        {"GET": s.getRevisions, "POST": s.postRevision},
		revisionsPath + "/{number}":          {"GET": s.getStoredRevision},
		revisionsPath + "/{number}/rollback": {"POST": s.postRollback},
		"/api/v1/canary/{action}":            {"POST": s.postCanary},
		"/api/":                              {}, // so that a caller without the token learns no paths
	}
}

// routes is the whole surface of the server.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for path, handler := range s.paths() {
		mux.Handle(path, s.protect(handler))
	}
	for path, handler := range s.config.Extra {
		mux.Handle(path, s.protectFor(s.neededExtra, handler))
	}
	mux.Handle("/healthz", check(s.config.Alive))
	mux.Handle("/readyz", check(s.config.Ready))
	if s.config.Metrics != nil {
		mux.Handle("/metrics", s.config.Metrics)
	}
	if s.config.Console != nil {
		mux.Handle("/{$}", s.config.Console)
		mux.Handle("/console/", s.config.Console)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.fail(w, r, nothingAt()) })
	return mux
}

// ownPath tells whether an extra path would stand in the way of ours.
func ownPath(path string) bool {
	switch strings.TrimSuffix(path, "/") {
	case "", "/api", "/metrics", "/healthz", "/readyz", "/console":
		return true
	}
	return strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, "/console/") || strings.ContainsAny(path, " {}")
}

// methods answers by HTTP method. What a method returns is the answer's JSON.
type methods map[string]func(*http.Request) (any, error)

// protect puts the token, the rules for browsers and the body limit before a
// handler of the API's own.
func (s *Server) protect(handler methods) http.Handler { return s.protectFor(needed, handler) }

func (s *Server) protectFor(needs func(*http.Request) Scope, handler any) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := s.admit(w, r, needs(r))
		if err != nil {
			s.fail(w, r, err)
			return
		}
		r = r.WithContext(context.WithValue(r.Context(), tokenKey{}, token))
		if s.config.Forward != nil {
			to, err := s.config.Forward(r)
			if err != nil {
				s.fail(w, r, err)
				return
			}
			if to != nil {
				to.ServeHTTP(w, r)
				return
			}
		}
		switch h := handler.(type) {
		case methods:
			s.dispatch(w, r, h)
		case http.Handler:
			h.ServeHTTP(w, r)
		}
	})
}

func (s *Server) dispatch(w http.ResponseWriter, r *http.Request, m methods) {
	if len(m) == 0 {
		s.fail(w, r, nothingAt())
		return
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet // net/http drops the body (RFC 9110 §9.3.2)
	}
	handle, known := m[method]
	if !known {
		allow := make([]string, 0, len(m)+1)
		for name := range m {
			allow = append(allow, name)
		}
		slices.Sort(allow)
		w.Header().Set("Allow", strings.Join(allow, ", ")) // RFC 9110 §15.5.6
		s.fail(w, r, &Error{
			Status:  http.StatusMethodNotAllowed,
			Message: "this path does not take that method",
			Remedy:  "use one of: " + strings.Join(allow, ", "),
		})
		return
	}
	result, err := handle(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.answer(w, r, http.StatusOK, result)
}

// answer writes JSON. It is encoded first, so that what cannot be encoded is an
// error and not half an answer.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, status int, body any) {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(body); err != nil {
		s.config.Logger.Error("api: cannot encode an answer", "path", r.Pattern, "error", err)
		http.Error(w, `{"error":"the answer could not be encoded","remedy":"see the log of the node"}`, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the caller has gone, or it has not: nothing to do
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := failure(err)
	if e.Status >= http.StatusInternalServerError {
		s.config.Logger.Error("api: request failed", "method", r.Method, "path", r.Pattern, "error", e.Message)
	}
	e.TellRetry(w.Header())
	s.answer(w, r, e.Status, e)
}

func nothingAt() *Error {
	return notFound("the API is below /api/v1/: status, explain, revision, state, queries, revisions, canary, overrides, measurements, assignment, usage, players, history", "there is nothing at this path")
}

// check answers for load balancers and supervisors.
func check(probe func() error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if probe != nil {
			if err := probe(); err != nil {
				w.WriteHeader(http.StatusServiceUnavailable)
				_, _ = w.Write([]byte(err.Error() + "\n"))
				return
			}
		}
		_, _ = w.Write([]byte("ok\n"))
	})
}
