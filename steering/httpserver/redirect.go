package httpserver

import (
	"net/http"
	"strings"
	"time"

	"fairway/steering"
)

// sessionHeader carries a viewer's session id to the redirect door. It is a
// header because the query belongs to the CDN and is passed on untouched.
const sessionHeader = "Fairway-Session"

// redirect answers GET /r/{service}/{path…}.
func (s *Server) redirect(snapshot *steering.Snapshot, q steering.Query, t target, header http.Header) answer {
	a, d := s.redirection(snapshot, q, t)
	s.decided(doorRedirect, d)
	if s.config.Players != nil && a.to != nil {
		s.config.Players.Requested(snapshot, q.Service, a.to, q.Client, t.query, header)
	}
	return a
}

// decided tells the observer. It has its own copy of the decision, so that
// without an observer none goes to the heap.
func (s *Server) decided(door string, d steering.Decision) {
	if s.config.Observer != nil {
		seen := d
		s.config.Observer.Decided(door, &seen)
	}
}

// redirection makes the redirect door's answer.
func (s *Server) redirection(snapshot *steering.Snapshot, q steering.Query, t target) (answer, steering.Decision) {
	d := snapshot.Decide(q)
	return s.toFirst(&d, q, t), d
}

// toFirst redirects to the first endpoint that HTTP can reach.
func (s *Server) toFirst(d *steering.Decision, q steering.Query, t target) answer {
	first, ok := d.First()
	if !ok {
		return nothing(d)
	}
	if first.Endpoint.URL == "" {
		if first = firstWithURL(d); first == nil {
			a := nothing(d)
			a.message = "no endpoint of this service can be reached by HTTP"
			return a
		}
	}
	to := location(first.Endpoint.URL, t)
	if s.config.Signer != nil {
		var err error
		if to, err = s.config.Signer.Sign(first.Endpoint, to, q.Client, q.Session); err != nil {
			return s.unsigned(first.Endpoint, err)
		}
	}
	return answer{status: http.StatusFound, location: to, to: first.Endpoint}
}

// unsigned is the answer where no token can be made: a CDN would let nobody in
// without, and other endpoints are not for this client now.
func (s *Server) unsigned(e *steering.Endpoint, err error) answer {
	s.log.Error("no token can be made: viewers of this endpoint get 503", "endpoint", e.ID, "provider", e.Provider, "err", err)
	return answer{status: http.StatusServiceUnavailable, retry: 5 * time.Second, message: "no token can be made for the chosen endpoint; the server's log tells why"}
}

// nothing is the answer when the decision hands out no endpoint. Asking again
// makes sense when this decision has run out.
func nothing(d *steering.Decision) answer {
	if d.Split.Trouble == steering.TroubleBlocked {
		// RFC 7725 §3: "denied as a consequence of a legal demand".
		a := refuse(http.StatusUnavailableForLegalReasons, "the law forbids this service where you are")
		a.reason = string(d.Split.Reason.Code)
		return a
	}
	return answer{
		status:  http.StatusServiceUnavailable,
		retry:   d.TTL,
		reason:  string(d.Split.Reason.Code),
		message: "no endpoint of this service is available now",
	}
}

// firstWithURL returns the next endpoint of the client's own order that HTTP
// can reach, one that is down only if there is no other; nil when there is none.
// Where it is one without a weight, it is never one that the policy or an
// operator has ruled out.
func firstWithURL(d *steering.Decision) *steering.Candidate {
	var last *steering.Candidate
	for _, c := range d.AppendRanked(make([]*steering.Candidate, 0, 16)) {
		switch {
		case c.Endpoint.URL == "", c.Reason.Code.Forbids(), c.Reason.Code == steering.ReasonDrained:
		case c.Reason.Code == steering.ReasonDown, c.Reason.Code == steering.ReasonPoolDown:
			if last == nil {
				last = c
			}
		default:
			return c
		}
	}
	return last
}

// location puts the client's path and query behind an endpoint's base URL. The
// slash between them ends the authority, so nothing in the path can change it.
// Bytes beyond ASCII, which no URI may have (RFC 3986 §2), are percent-encoded;
// they mean the same octets.
func location(base string, t target) string {
	return base + "/" + ascii(t.path) + ascii(t.query)
}

// ascii percent-encodes the bytes of s that are not ASCII.
func ascii(s string) string {
	beyond := 0
	for i := range len(s) {
		if s[i] >= 0x80 {
			beyond++
		}
	}
	if beyond == 0 {
		return s
	}
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(s) + 2*beyond)
	for i := range len(s) {
		if c := s[i]; c >= 0x80 {
			b.Write([]byte{'%', digits[c>>4], digits[c&0xf]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
