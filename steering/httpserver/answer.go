package httpserver

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"fairway/steering"
)

// answer is what a request gets, before it is put on the wire.
type answer struct {
	status    int
	location  string
	to        *steering.Endpoint // that the location leads to; nil = none
	reason    string             // code of the reason why there is no endpoint
	retry     time.Duration      // when asking again makes sense; 0 = not said
	allow     bool               // say which methods are allowed
	preflight bool               // say what a cross-origin request may do
	message   string             // for people: text, or {"error": …} where JSON is spoken
	whole     bool               // the request's body was read to its end
	json      []byte             // the body, where JSON is spoken; nil = made from message
	manifest  string             // the body, where it is a manifest
	format    *format            // of the manifest
	share     time.Duration      // how long caches may give it to others; 0 = not at all
}

// refuse is an answer that says no.
func refuse(status int, message string) answer { return answer{status: status, message: message} }

// String gives the answer in one line.
func (a *answer) String() string {
	line := strconv.Itoa(a.status) + " " + a.location + a.message // one of the two is empty
	if a.reason != "" {
		line += " (" + a.reason + ")"
	}
	return line
}

// Header values that many answers share. net/http only reads them.
var (
	anyOrigin  = []string{"*"}
	noStore    = []string{"no-store"}
	nosniff    = []string{"nosniff"}
	closing    = []string{"close"}
	typeText   = []string{"text/plain; charset=utf-8"}
	typeJSON   = []string{"application/json"}
	methods    = []string{"GET, HEAD, OPTIONS"}
	reporting  = []string{"POST, OPTIONS"}
	exposed    = []string{"Retry-After, Fairway-Reason"}
	preflights = []string{"86400"}
	// The star covers everything in today's browsers; the names are for those
	// that read it as a header called "*" (Safari before 15.4).
	requestHeaders = []string{"*, Content-Type, Range, Fairway-Session, CMCD-Object, CMCD-Request, CMCD-Session, CMCD-Status"}
	foundBody      = []byte("Found\n")
	foundLength    = []string{strconv.Itoa(len(foundBody))}
)

// send puts the answer on the wire.
func (s *Server) send(w http.ResponseWriter, r *http.Request, door string, a *answer) {
	h := w.Header()
	h["Cache-Control"] = noStore
	if a.share > 0 {
		h["Cache-Control"] = []string{"public, max-age=" + strconv.Itoa(int(a.share/time.Second))}
	}
	h["Access-Control-Allow-Origin"] = anyOrigin
	// Location is not exposed: browsers follow redirects before any script could
	// read it (Fetch §4.4).
	if a.location != "" {
		h["Location"] = []string{a.location}
	}
	allowed := methods
	if door == doorReport {
		allowed = reporting
	}
	if a.allow {
		h["Allow"] = allowed
	}
	if a.preflight {
		h["Access-Control-Allow-Methods"] = allowed
		h["Access-Control-Allow-Headers"] = requestHeaders
		h["Access-Control-Max-Age"] = preflights
	}
	if a.retry > 0 {
		h["Retry-After"] = []string{strconv.Itoa(max(1, int(a.retry/time.Second)))}
		h["Access-Control-Expose-Headers"] = exposed
	}
	if a.reason != "" {
		h["Fairway-Reason"] = []string{a.reason}
	}
	if s.altSvc != nil && r.TLS != nil && r.ProtoMajor < 3 {
		h["Alt-Svc"] = s.altSvc
	}
	switch {
	case r.ProtoMajor == 3:
		// Its streams are apart, and it knows no Connection (RFC 9114 §4.2).
	case r.ContentLength != 0 && !a.whole:
		// A body means nothing on these methods, and where it ends is what request
		// smuggling argues about: what follows it on this connection is not read.
		// net/http reads the body itself after the answer; not for long. A writer
		// that knows no deadline is no connection.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.limits.body))
		h["Connection"] = closing
	case s.lastAnswer():
		h["Connection"] = closing
	}
	if a.status == http.StatusNoContent {
		w.WriteHeader(a.status)
		return
	}
	body, contentType := a.body(door)
	h["Content-Type"] = contentType
	h["Content-Length"] = foundLength
	if a.location == "" {
		h["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	h["X-Content-Type-Options"] = nosniff
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		// An error here is a client that went away.
		_, _ = w.Write(body)
	}
}

// body is the answer's body and its type, in the language of the door.
func (a *answer) body(door string) ([]byte, []string) {
	switch {
	case a.location != "":
		return foundBody, typeText
	case a.format != nil:
		return []byte(a.manifest), a.format.contentType
	case a.json != nil:
		return a.json, typeJSON
	case door == doorDecide, door == doorSteer:
		return encode(errorBody{Error: a.message}), typeJSON
	}
	return []byte(a.message + "\n"), typeText
}

type errorBody struct {
	Error string `json:"error"`
}

// encode gives a value as one line of JSON.
func encode(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic("httpserver: " + err.Error()) // only types of this package come here
	}
	return append(body, '\n')
}
