package httpserver

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"fairway/steering"
	"fairway/steering/manifest"
)

// format is a kind of manifest.
type format struct {
	suffix      string // of its path
	protocol    string // of its steering manifests
	contentType string
	rewrite     func(string, manifest.Options) (string, error)
}

// The formats.
var (
	formatHLS  = &format{".m3u8", "hls", "application/vnd.apple.mpegurl", manifest.HLS}
	formatDASH = &format{".mpd", "dash", "application/dash+xml", manifest.DASH}
)

// formatOf tells the format by the path; nil when it is none.
func formatOf(path string) *format {
	for _, f := range []*format{formatHLS, formatDASH} {
		if strings.HasSuffix(path, f.suffix) {
			return f
		}
	}
	return nil
}

var (
	noManifests  = refuse(http.StatusNotFound, "this service hands out no manifests; give it manifest: in the configuration")
	noFormat     = refuse(http.StatusNotFound, "only multivariant playlists (.m3u8) and MPDs (.mpd) are handed out here; everything else is at the CDNs")
	noSuchText   = refuse(http.StatusNotFound, "the origins have no such manifest")
	noOrigin     = answer{status: http.StatusBadGateway, retry: 2 * time.Second, message: "no origin answers for this manifest; the server's log tells why"}
	noPathways   = refuse(http.StatusNotFound, "no endpoint of this service has both a pathway and a url")
	unsteerables = "this manifest cannot be made steerable: "
)

// manifested answers GET /manifest/v1/{service}/{path…}: the origin's manifest
// with every pathway that is lawful for the client, the chosen one first.
func (s *Server) manifested(r *http.Request, access *access, snapshot *steering.Snapshot, q steering.Query, t target) answer {
	form := formatOf(t.path)
	if form == nil {
		return noFormat
	}
	mine, kept, err := manifestQuery(t)
	if err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	if mine != "" {
		q.Session = mine
	}
	q.Door = steering.DoorSteering // it must agree with the polls that follow
	d := snapshot.Decide(q)
	from := d.Service.Manifests
	polls := pollQuery(q.Session, kept.Has(clonesParameter))
	if from != nil && from.Shared {
		c := cohortOf(&d, q)
		polls = cohortInfix + c.String()
		d = snapshot.Decide(c.ask(q))
	}
	s.decided(doorManifest, d)
	switch _, ok := d.First(); {
	case from == nil, s.config.Fetch == nil:
		return noManifests
	case !ok:
		return nothing(&d)
	}
	door := here(access.visit(r), access, snapshot, from)
	options := manifest.Options{Path: ascii(t.path), Origins: from.Origins}
	if from.Redirected {
		options.Pathways = []manifest.Pathway{{ID: redirectedID, URL: door + redirectPrefix + t.service}}
	} else {
		options.Pathways = s.ways(&d, q)
	}
	if len(options.Pathways) == 0 {
		return s.instead(from, &d, q, t, noPathways)
	}
	if !from.Unsteered {
		options.Steering = door + steerPrefix + t.service + "/" + form.protocol + polls
	}
	if from.CMCD != nil {
		options.CMCD = &manifest.CMCD{Version: from.CMCD.Version, Header: from.CMCD.Header, Keys: from.CMCD.Keys, Session: q.Session}
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.limits.write-time.Second)
	defer cancel()
	text, err := s.config.Fetch(ctx, from, options.Path+originQuery(from, kept))
	if err != nil {
		var missing interface{ NotFound() bool }
		if errors.As(err, &missing) && missing.NotFound() {
			return noSuchText
		}
		return s.instead(from, &d, q, t, noOrigin)
	}
	steered, err := form.rewrite(text, options)
	if err != nil {
		s.log.Warn("a manifest cannot be made steerable", "service", t.service, "path", t.path, "err", err)
		return s.instead(from, &d, q, t, refuse(http.StatusBadGateway, unsteerables+err.Error()))
	}
	return answer{status: http.StatusOK, manifest: steered, format: form}
}

// redirectedID names the only pathway of a manifest that leads to the redirect door.
const redirectedID = "redirect"

// instead is what a player gets in place of a manifest: the refusal or, where the
// configuration says so, the way to the original at the chosen CDN. There relative
// URIs mean what they say; here they would not.
func (s *Server) instead(from *steering.Manifests, d *steering.Decision, q steering.Query, t target, refusal answer) answer {
	if !from.Redirect {
		return refusal
	}
	return s.toFirst(d, q, t)
}

// ways lists the pathways of a decision as a manifest needs them, in the order in
// which this client should use them.
func (s *Server) ways(d *steering.Decision, q steering.Query) []manifest.Pathway {
	var all []manifest.Pathway
	for _, p := range *lawful(d) {
		if p.to.URL == "" {
			continue
		}
		way := manifest.Pathway{ID: p.id, URL: p.to.URL}
		if s.config.Signer != nil {
			way.Sign = func(url string) (string, error) { return s.config.Signer.Sign(p.to, url, q.Client, q.Session) }
		}
		all = append(all, way)
	}
	return all
}

// manifestQuery reads the viewer's session off the query and returns the rest.
func manifestQuery(t target) (session string, rest url.Values, err error) {
	rest, err = url.ParseQuery(strings.TrimPrefix(t.query, "?"))
	if err != nil {
		return "", nil, errMalformedQuery
	}
	session = rest.Get(sessionParameter)
	return session, rest, nil
}

// originQuery is the part of the query that the origin gets: what is not named in
// the configuration would only make the cache miss.
func originQuery(from *steering.Manifests, asked url.Values) string {
	passed := make(url.Values, len(from.Query))
	for _, name := range from.Query {
		if values, ok := asked[name]; ok {
			passed[name] = values
		}
	}
	if len(passed) == 0 {
		return ""
	}
	return "?" + passed.Encode()
}

// pollQuery is the query of a steering server's URL.
func pollQuery(session string, clones bool) string {
	var parameters []string
	if session != "" {
		parameters = append(parameters, sessionParameter+"="+url.QueryEscape(session))
	}
	if clones {
		parameters = append(parameters, clonesParameter)
	}
	if parameters == nil {
		return ""
	}
	return "?" + strings.Join(parameters, "&")
}
