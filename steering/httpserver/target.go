package httpserver

import (
	"net/http"
	"net/url"
	"strings"
)

const (
	redirectPrefix = "/r/"
	decidePrefix   = "/decide/v1/"
	steerPrefix    = "/steer/v1/"
	manifestPrefix = "/manifest/v1/"
)

// target is a request target (RFC 9112 §3.2), split but not decoded.
type target struct {
	door     string
	reports  string // what is reported, at the door for that
	service  string // decoded: a key to look up, never to send
	path     string // what follows the service and its slash, as received
	asked    string // the same with its slash, for rules that read it
	protocol string // of a steering manifest: hls or dash
	cohort   string // whose shared steering manifest is asked for; empty = the client's own
	query    string // with its question mark, as received; empty = none
}

// batch tells whether the target takes several queries for decisions.
func (t *target) batch() bool { return t.door == doorDecide && t.service == "" }

// parseTarget splits the target as it came over the wire, since net/http's URL
// has already decoded the path. The second result tells people why the target is
// refused; it is empty when it is not.
func parseTarget(r *http.Request) (target, string) {
	t := target{door: doorOther}
	if len(r.RequestURI) > targetLimit {
		return t, "the request target is longer than 8 KiB"
	}
	raw, ok := originForm(r)
	if !ok {
		return t, "the request target is neither a path nor an http URL"
	}
	return splitTarget(raw)
}

// splitTarget splits a target in origin form.
func splitTarget(raw string) (target, string) {
	t := target{door: doorOther}
	path, query, asked := strings.Cut(raw, "?")
	if asked {
		t.query = raw[len(path):]
	}
	rest := ""
	switch {
	case strings.HasPrefix(path, redirectPrefix):
		t.door, rest = doorRedirect, path[len(redirectPrefix):]
		t.service, t.path, _ = strings.Cut(rest, "/")
		t.asked = rest[len(t.service):]
	case strings.HasPrefix(path, manifestPrefix):
		t.door, rest = doorManifest, path[len(manifestPrefix):]
		t.service, t.path, _ = strings.Cut(rest, "/")
		t.asked = rest[len(t.service):]
	case strings.HasPrefix(path, decidePrefix):
		t.door, t.service = doorDecide, path[len(decidePrefix):]
	case strings.HasPrefix(path, steerPrefix):
		t.door, t.path = doorSteer, path
		service, protocol, _ := strings.Cut(path[len(steerPrefix):], "/")
		protocol, t.cohort, _ = strings.Cut(protocol, cohortInfix)
		if t.service, t.protocol = service, protocol; protocol != "hls" && protocol != "dash" {
			return t, "a steering manifest is asked for as /steer/v1/{service}/hls or /steer/v1/{service}/dash"
		}
	case strings.HasPrefix(path, eventsPrefix):
		t.door, t.reports, t.service = doorReport, reportsEvents, path[len(eventsPrefix):]
	case strings.HasPrefix(path, beaconPrefix):
		t.door, t.reports, t.service = doorReport, reportsBeacon, path[len(beaconPrefix):]
	default:
		return t, ""
	}
	if strings.IndexByte(t.service, '%') >= 0 {
		service, err := url.PathUnescape(t.service)
		if err != nil {
			return t, "the path has a malformed percent-encoding"
		}
		t.service = service
	}
	// RFC 9112 §3.2 knows no fragment in a target; in a Location it would be one.
	if strings.IndexByte(raw, '#') >= 0 {
		return t, "a number sign must be percent-encoded"
	}
	if hasControl(query) {
		return t, "the query has a control character"
	}
	return t, refusePath(t.path)
}

// originForm returns the path and query of a target in origin form or absolute
// form, which every server must accept (RFC 9112 §3.2.2). In the latter net/http
// takes the authority for the Host.
func originForm(r *http.Request) (string, bool) {
	if strings.HasPrefix(r.RequestURI, "/") {
		return r.RequestURI, true
	}
	if r.URL == nil || r.URL.Host == "" || r.URL.User != nil || (r.URL.Scheme != "http" && r.URL.Scheme != "https") {
		return "", false
	}
	_, rest, ok := strings.Cut(r.RequestURI, "://")
	at := strings.IndexAny(rest, "/?")
	if !ok || at < 0 {
		return "/", ok
	}
	if rest[at] == '?' {
		return "/" + rest[at:], true
	}
	return rest[at:], true
}

// refusePath tells why a path may not be put behind an endpoint's base path;
// empty when it may. A browser turns \ into / and %2e%2e into .. (WHATWG URL
// §4.4), some servers decode %2f or decode twice, and some cut "..;x" to "..":
// whatever any of them could make of the path, it must stay below the base.
func refusePath(path string) string {
	decoded := decodeFully(path)
	if hasControl(decoded) {
		return "the path has a control character"
	}
	if strings.IndexByte(decoded, '\\') >= 0 {
		return "the path has a backslash"
	}
	for segment := range strings.SplitSeq(decoded, "/") {
		if name, _, _ := strings.Cut(segment, ";"); name == ".." {
			return "the path leaves its service"
		}
	}
	return ""
}

// decodeFully undoes percent-encoding until none is left, in one pass: what a
// triplet becomes may be the end of another.
func decodeFully(path string) string {
	if strings.IndexByte(path, '%') < 0 {
		return path
	}
	out := make([]byte, 0, len(path))
	for i := range len(path) {
		out = append(out, path[i])
		for n := len(out); n >= 3 && out[n-3] == '%' && isHex(out[n-2]) && isHex(out[n-1]); n = len(out) {
			out = append(out[:n-3], unhex(out[n-2])<<4|unhex(out[n-1]))
		}
	}
	return string(out)
}

// hasControl tells whether s has a C0 control character or DEL.
func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&0xf + 9
}
