package httpserver

import (
	"cmp"
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
	methods   string             // that are allowed; empty = as the door has them
	challenge string             // how to show who one is (RFC 9110 §11.6.1); empty = not asked for
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

// headerField is one line of an answer's header.
type headerField struct{ name, value string }

const (
	typeText = "text/plain; charset=utf-8"
	typeJSON = "application/json"
	// The star covers everything in today's browsers; the names are for those
	// that read it as a header called "*" (Safari before 15.4).
	requestHeaders = "*, Content-Type, Range, Fairway-Session, CMCD-Object, CMCD-Request, CMCD-Session, CMCD-Status"
)

var foundBody = []byte("Found\n")

// fields appends the answer's header, but for what is about its connection, and
// returns its body with it. altSvc tells of HTTP/3; empty = nothing to tell.
func (a *answer) fields(header []headerField, door, altSvc string) ([]headerField, []byte) {
	add := func(name, value string) { header = append(header, headerField{name, value}) }
	if a.share > 0 {
		add("Cache-Control", "public, max-age="+strconv.Itoa(int(a.share/time.Second)))
	} else {
		add("Cache-Control", "no-store")
	}
	add("Access-Control-Allow-Origin", "*")
	// Location is not exposed: browsers follow redirects before any script could
	// read it (Fetch §4.4).
	if a.location != "" {
		add("Location", a.location)
	}
	allowed := cmp.Or(a.methods, methods)
	if door == doorReport {
		allowed = "POST, OPTIONS"
	}
	if a.allow {
		add("Allow", allowed)
	}
	if a.preflight {
		add("Access-Control-Allow-Methods", allowed)
		add("Access-Control-Allow-Headers", requestHeaders)
		add("Access-Control-Max-Age", "86400")
	}
	if a.retry > 0 {
		add("Retry-After", strconv.Itoa(max(1, int(a.retry/time.Second))))
		add("Access-Control-Expose-Headers", "Retry-After, Fairway-Reason")
	}
	if a.challenge != "" {
		add("WWW-Authenticate", a.challenge)
	}
	if a.reason != "" {
		add("Fairway-Reason", a.reason)
	}
	if altSvc != "" {
		add("Alt-Svc", altSvc)
	}
	if a.status == http.StatusNoContent {
		return header, nil
	}
	body, contentType := a.body(door)
	add("Content-Type", contentType)
	add("Content-Length", strconv.Itoa(len(body)))
	add("X-Content-Type-Options", "nosniff")
	return header, body
}

// send puts the answer on the wire.
func (s *Server) send(w http.ResponseWriter, r *http.Request, door string, a *answer) {
	altSvc := ""
	if r.TLS != nil && r.ProtoMajor < 3 {
		altSvc = s.altSvc
	}
	fields, body := a.fields(make([]headerField, 0, 16), door, altSvc)
	h, values := w.Header(), make([]string, len(fields))
	for i, f := range fields {
		values[i] = f.value
		h[f.name] = values[i : i+1 : i+1]
	}
	switch {
	case r.ProtoMajor >= 2:
		// Streams are apart, and there is no Connection (RFC 9113 §8.2.2, RFC 9114 §4.2).
	case r.ContentLength != 0 && !a.whole:
		// A body means nothing on these methods, and where it ends is what request
		// smuggling argues about: what follows it on this connection is not read.
		// net/http reads the body itself after the answer; not for long. A writer
		// that knows no deadline is no connection.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.limits.body))
		h["Connection"] = []string{"close"}
	case s.lastAnswer():
		h["Connection"] = []string{"close"}
	}
	w.WriteHeader(a.status)
	if body != nil && r.Method != http.MethodHead {
		// An error here is a client that went away.
		_, _ = w.Write(body)
	}
}

// body is the answer's body and its type, in the language of the door.
func (a *answer) body(door string) ([]byte, string) {
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
