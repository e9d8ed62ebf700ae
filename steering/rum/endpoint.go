package rum

import (
	"net/url"
	"slices"
	"strings"

	"fairway/steering"
)

// directory knows the endpoints of a revision by what players say of them.
type directory struct {
	revision *steering.Revision
	services []*endpoints
}

// endpoints are those of a service.
type endpoints struct {
	key      string
	ids      []string
	pathways []string
	below    []below // the longest paths first
}

// below is where the URLs of an endpoint lie.
type below struct {
	host, path string // "cdn.example:8443" in lower case, "/live"
	endpoint   int
}

// directory returns that of a revision; a new one is made when it is asked for
// first.
func (k *Collector) directory(r *steering.Revision) *directory {
	d := k.known.Load()
	if d == nil || d.revision != r {
		d = &directory{revision: r}
		for _, s := range r.Services {
			d.services = append(d.services, newEndpoints(s))
		}
		k.known.Store(d)
	}
	return d
}

func newEndpoints(s *steering.Service) *endpoints {
	e := &endpoints{key: s.Key}
	for i, endpoint := range s.Endpoints {
		e.ids = append(e.ids, endpoint.ID)
		e.pathways = append(e.pathways, endpoint.Pathway)
		if host, path, ok := splitURL(endpoint.URL); ok {
			e.below = append(e.below, below{host, strings.TrimSuffix(path, "/"), i})
		}
	}
	slices.SortStableFunc(e.below, func(a, b below) int { return len(b.path) - len(a.path) })
	return e
}

// find gives the endpoint that a URL lies below, -1 for none.
func (e *endpoints) find(text string) int {
	host, path, ok := splitURL(text)
	if !ok {
		return -1
	}
	for _, b := range e.below {
		if rest, within := strings.CutPrefix(path, b.path); b.host == host && within && (rest == "" || rest[0] == '/') {
			return b.endpoint
		}
	}
	return -1
}

// pathway gives the endpoint with a pathway, -1 for none.
func (e *endpoints) pathway(id string) int {
	if id == "" {
		return -1
	}
	return slices.Index(e.pathways, id)
}

func (e *endpoints) index(id string) int { return slices.Index(e.ids, id) }

// splitURL gives a URL's host, with a port that is not the scheme's own, and path.
// The query is left out, and nothing is copied in the common case.
func splitURL(text string) (host, path string, ok bool) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return "", "", false
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	host, path = rest[:end], rest[end:]
	if at := strings.IndexAny(path, "?#"); at >= 0 {
		path = path[:at]
	}
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		host = host[at+1:]
	}
	host = strings.ToLower(host)
	switch strings.ToLower(scheme) {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	default:
		return "", "", false
	}
	if strings.IndexByte(path, '%') >= 0 {
		if decoded, err := url.PathUnescape(path); err == nil {
			path = decoded
		}
	}
	return host, path, host != ""
}
