package manifest

import (
	"fmt"
	"strings"
)

// Pathway is one way to the media.
type Pathway struct {
	ID  string // as steering manifests name it
	URL string // the endpoint's base, without a final slash
	// Sign adds the token by which the pathway's CDN lets a viewer in. Default: none.
	Sign func(url string) (string, error)
}

// Options say what is written into a manifest.
type Options struct {
	// Path is where the manifest lies below every pathway's URL, without a slash
	// at its begin: live/main.m3u8.
	Path string
	// Origins are base URLs, without a final slash, by which the manifest may name
	// its own origin absolutely; such URIs become those of the pathways.
	Origins []string
	// Pathways in the order of the decision. At least one.
	Pathways []Pathway
	// Steering is the URL of the steering server; empty = the manifest is not to
	// be steered, only ordered.
	Steering string
	CMCD     *CMCD // what an MPD asks players to report; nil = nothing. HLS cannot ask
}

// CMCD asks players for data with every request to a CDN (CTA-5004).
type CMCD struct {
	Version int
	Header  bool     // in headers in place of the query
	Keys    []string // empty = all
	Session string   // the viewer's session; empty = the player makes one up
}

// Error tells why a manifest cannot be made steerable.
type Error struct {
	Line   int // of the manifest, from 1; 0 = all of it
	Reason string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Reason
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Reason)
}

func refuse(line int, format string, args ...any) error {
	return &Error{line, fmt.Sprintf(format, args...)}
}

// folder is the manifest's folder below the pathways' URLs, with slashes at both
// ends.
func (o *Options) folder() string { return "/" + o.Path[:strings.LastIndexByte(o.Path, '/')+1] }

// on gives a URI of the manifest as it is on a pathway. What leads to a host that
// is none of the origins stays: it is the same on all pathways.
func (o *Options) on(p Pathway, uri string) string {
	for _, origin := range o.Origins {
		if rest, ok := strings.CutPrefix(uri, origin+"/"); ok {
			return p.URL + "/" + rest
		}
	}
	switch {
	case strings.HasPrefix(uri, "//"), hasScheme(uri):
		return uri
	case strings.HasPrefix(uri, "/"):
		return p.URL + uri
	}
	return p.URL + o.folder() + uri
}

// signed is on with the pathway's token: for what leads there, and nowhere else.
func (o *Options) signed(p Pathway, uri string) (string, error) {
	there := o.on(p, uri)
	if p.Sign == nil || !strings.HasPrefix(there, p.URL+"/") {
		return there, nil
	}
	return p.Sign(there)
}

// hasScheme tells whether a reference begins with a scheme (RFC 3986 §3.1).
func hasScheme(uri string) bool {
	for i := range len(uri) {
		switch c := uri[i]; {
		case 'a' <= c|0x20 && c|0x20 <= 'z':
		case i > 0 && ('0' <= c && c <= '9' || c == '+' || c == '-' || c == '.'):
		default:
			return i > 0 && c == ':'
		}
	}
	return false
}

// plain tells whether text can stand in a quoted attribute of HLS and, escaped, of
// XML.
func plain(text string) bool { return !strings.ContainsAny(text, "\"\r\n") }
