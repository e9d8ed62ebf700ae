package httpserver

import (
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"fairway/steering"
)

// Players takes in what players tell of their playback. It is called on the request
// path by many goroutines at once and must not wait. Services are given by their
// index in the snapshot's layout.
type Players interface {
	// Events takes in a body of CMCD events (CTA-5004-B §2.2) and Beacon one of an
	// app; both return the HTTP status to answer with.
	Events(s *steering.Snapshot, service int, client netip.Addr, query string, body []byte) int
	Beacon(s *steering.Snapshot, service int, client netip.Addr, query string, body []byte) int
	// Requested is told of a request that was redirected to an endpoint, which may
	// carry CMCD in its query or header.
	Requested(s *steering.Snapshot, service int, e *steering.Endpoint, client netip.Addr, query string, header http.Header)
	// Polled is told of a steering poll: the pathway that came first in the last
	// answer, whether the player has left it by itself, and what it says to have used
	// since, the newest last, with throughputs in bit/s, 0 = not said.
	Polled(s *steering.Snapshot, service int, client netip.Addr, session, told string, failed bool, used []string, throughputs []float64)
}

const (
	eventsPrefix = "/cmcd/v2/"
	beaconPrefix = "/beacon/v1/"
	reportLimit  = 64 << 10 // of a body
)

// What a report is, by its path.
const (
	reportsEvents = "events"
	reportsBeacon = "beacon"
)

var (
	reportMethod   = answer{status: http.StatusMethodNotAllowed, allow: true, message: "only POST and OPTIONS are answered here"}
	reportPlain    = refuse(http.StatusUnsupportedMediaType, "send application/cmcd, or text/cmcd; to /beacon, application/json or text/plain; without a content encoding")
	reportTooLarge = refuse(http.StatusRequestEntityTooLarge, "a report is 64 KiB at most")
	reportCut      = refuse(http.StatusBadRequest, "the report did not come whole within five seconds")
)

// report answers POST /cmcd/v2/{service} and POST /beacon/v1/{service}.
func (s *Server) report(snapshot *steering.Snapshot, service int, client netip.Addr, w http.ResponseWriter, r *http.Request, t target) answer {
	switch {
	case r.Method != http.MethodPost:
		return reportMethod
	case r.ContentLength > reportLimit:
		return reportTooLarge
	case snapshot == nil:
		return notReady
	case service < 0:
		return noService
	case !speaks(t, r.Header):
		return reportPlain
	}
	body, err := s.readReport(w, r)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return reportTooLarge
	case err != nil:
		return reportCut
	}
	status := http.StatusNoContent
	if t.reports == reportsBeacon {
		status = s.config.Players.Beacon(snapshot, service, client, t.query, body)
	} else {
		status = s.config.Players.Events(snapshot, service, client, t.query, body)
	}
	a := answer{status: status, whole: true}
	if status != http.StatusNoContent {
		a.message = "this report cannot be read; docs/RUM.md has its form"
	}
	return a
}

// readReport reads a body, which must come within the time that a header has.
func (s *Server) readReport(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Now().Add(s.limits.header)) // a writer that knows no deadline is no connection
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, reportLimit))
	if err == nil {
		_ = c.SetReadDeadline(time.Time{})
	}
	return body, err
}

// speaks tells whether a report is in a language that is read here. CTA-5004-B
// renamed text/cmcd to application/cmcd. Browsers ask beforehand for both; text/plain
// is what they send without asking.
func speaks(t target, h http.Header) bool {
	if encoding := h.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return false
	}
	kind, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "", "text/plain":
		return true
	case "application/cmcd", "text/cmcd":
		return t.reports == reportsEvents
	case "application/json":
		return t.reports == reportsBeacon
	}
	return false
}

// polled tells Players what a poll says. The first poll of a session says nothing:
// what a player reports in it is where it began, and its guess at a throughput.
func (s *Server) polled(snapshot *steering.Snapshot, q *steering.Query, p *poll, seen session, failed bool) {
	if s.config.Players == nil || seen.first == "" {
		return
	}
	s.config.Players.Polled(snapshot, q.Service, q.Client, p.session, seen.first, failed, p.reported, p.throughputs)
}
