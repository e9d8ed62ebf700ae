package httpserver

import (
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"fairway/steering"
)

// Limits on one request.
const (
	headerLimit = 16 << 10 // request line and header together; more is answered with 431
	targetLimit = 8 << 10  // the request target; more is answered with 414
	bodyLimit   = 64 << 10 // bodies mean nothing here; one that announces more is answered with 413
)

// The answers that are always the same.
var (
	notFound     = refuse(http.StatusNotFound, "nothing here; ask /r/{service}/{path} for a redirect, /steer/v1/{service}/hls or dash for a steering manifest, /manifest/v1/{service}/{path} for a playlist or an MPD, or /decide/v1/{service} for a decision")
	noService    = refuse(http.StatusNotFound, "no such service")
	notReady     = answer{status: http.StatusServiceUnavailable, retry: time.Second, message: "no decision is ready yet; try again in a second"}
	wrongMethod  = answer{status: http.StatusMethodNotAllowed, allow: true, message: "only GET, HEAD and OPTIONS are answered here"}
	preflight    = answer{status: http.StatusNoContent, preflight: true}
	misdirected  = refuse(http.StatusMisdirectedRequest, "this server does not answer for that host name")
	bodyTooLarge = refuse(http.StatusRequestEntityTooLarge, "requests need no body here")
	broken       = refuse(http.StatusInternalServerError, "this request could not be answered; the server's log tells why")
)

// Handler is the door without its listeners.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// serve answers one request and counts it.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	door := doorOther
	defer s.survive(&door)
	a := s.answer(w, r, &door)
	s.send(w, r, door, &a)
	s.answered(door, a.status, began)
}

// answered tells the observer, whose panic costs nothing but what it would have
// counted.
func (s *Server) answered(door string, status int, began time.Time) {
	if s.config.Observer != nil {
		defer s.survive(&door)
		s.config.Observer.Answered(door, status, time.Since(began))
	}
}

// answer makes the answer and tells which door it comes from. A panic on the
// way costs this request and nothing else.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, door *string) (a answer) {
	a = broken
	defer s.survive(door)
	t, refusal := parseTarget(r)
	*door = t.door
	switch {
	case len(r.RequestURI) > targetLimit:
		return refuse(http.StatusRequestURITooLong, refusal)
	case refusal != "":
		return refuse(http.StatusBadRequest, refusal)
	}
	return s.route(w, r, t)
}

// survive ends a panic. net/http would do it too, but close the connection and
// write the client's address to the log.
func (s *Server) survive(door *string) {
	if failure := recover(); failure != nil {
		s.log.Error("http door: panic while answering; only that request is lost",
			"door", *door, "panic", failure, "stack", string(debug.Stack()))
	}
}

// route is done by hand. http.ServeMux would clean the path and redirect to the
// result by itself, and it matches the decoded path.
func (s *Server) route(w http.ResponseWriter, r *http.Request, t target) answer {
	if answered, known := s.challenged(r); known {
		return answered
	}
	snapshot, access := s.config.Current.Load(), s.access.Load()
	passes := passesOn(r.Method, snapshot, &t)
	switch {
	case !s.learns(r, access) && !access.accepts(r.Host, snapshot):
		return misdirected
	case r.ContentLength > bodyLimit && !passes:
		return bodyTooLarge
	case t.door == doorOther, t.door == doorReport && s.config.Players == nil:
		return notFound
	case r.Method == http.MethodOptions:
		return preflight.naming(snapshot, &t)
	case t.door == doorReport:
		service := -1
		if snapshot != nil {
			service = snapshot.Layout.ByKey(t.service)
		}
		return s.report(snapshot, service, access.client(r), w, r, t)
	case t.batch() && r.Method == http.MethodPost && snapshot != nil:
		return s.decideBatch(snapshot, steering.Query{Client: access.client(r), Door: steering.DoorDecide}, w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead && !passes:
		return wrongMethod.naming(snapshot, &t)
	case snapshot == nil:
		return notReady
	}
	q := steering.Query{Service: snapshot.Layout.ByKey(t.service), Client: access.client(r), Door: steering.DoorRedirect, Path: t.asked}
	switch {
	case t.door == doorSteer:
		return s.guide(access.visit(r), access, snapshot, q, t, r.Header)
	case q.Service < 0:
		return noService
	case t.door == doorDecide:
		q.Door = steering.DoorDecide
		return s.decide(r, snapshot, q, t)
	}
	q.Session = r.Header.Get(sessionHeader)
	if t.door == doorManifest {
		return s.manifested(r, access, snapshot, q, t)
	}
	a := s.guide(visit{}, access, snapshot, q, t, r.Header)
	if passes && a.status == http.StatusFound {
		// RFC 9110 §15.4.8: "the user agent MUST NOT change the request method if it
		// performs an automatic redirection"; with 302 many make it a GET.
		a.status = http.StatusTemporaryRedirect
	}
	return a
}

// challengePrefix is where an ACME authority asks (RFC 8555 §8.3).
const challengePrefix = "/.well-known/acme-challenge/"

// challenged answers an authority that asks what it was told to.
func (s *Server) challenged(r *http.Request) (a answer, known bool) {
	token, asks := strings.CutPrefix(r.RequestURI, challengePrefix)
	if !asks || s.config.Challenge == nil || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return a, false
	}
	text, known := s.config.Challenge(token)
	return answer{status: http.StatusOK, message: text}, known
}

// guide answers for the doors that players ask most: redirects and steering
// manifests, which need to know how the player came. It is all the same who read the
// request.
func (s *Server) guide(v visit, access *access, snapshot *steering.Snapshot, q steering.Query, t target, header http.Header) answer {
	switch {
	case t.door == doorSteer:
		s.steering.busy.Add(1)
		defer s.steering.busy.Add(-1)
		return s.steer(v, access, snapshot, q, t)
	case q.Service < 0:
		return noService
	}
	return s.redirect(snapshot, q, t, header)
}

// learns takes in a request under a name that is used once, whatever is asked for
// there; false for any other name.
func (s *Server) learns(r *http.Request, access *access) bool {
	if s.config.Learning == nil {
		return false
	}
	host, ok := hostname(r.Host)
	if !ok || !s.config.Learning.Host(host) {
		return false
	}
	s.config.Learning.Seen(host, access.client(r))
	return true
}

// Preview tells in one line what the redirect door answers a client that asks
// for the service's root: status and Location, or status and the reason for it.
func (s *Server) Preview(service string, client netip.Addr) string {
	snapshot := s.config.Current.Load()
	if snapshot == nil {
		return notReady.String()
	}
	index := snapshot.Layout.ByKey(service)
	if index < 0 {
		return noService.String()
	}
	// The observer counts what players got, and nobody got this.
	a, _ := s.redirection(snapshot, steering.Query{Service: index, Client: client, Door: steering.DoorRedirect}, target{door: doorRedirect, service: service})
	return a.String()
}
