package httpserver

import (
	"net/url"
	"strings"

	"fairway/steering"
)

// clonesParameter is how a page says that its player can make pathways from clones.
// Players do not say it themselves, and not all of them can: video.js and Shaka's
// compiled builds take no notice.
const clonesParameter = "clones"

// clone has a player make a pathway out of one that it has (draft-pantos-content-
// steering §5, TS 103 998 §6): for what came to be after it had its manifest.
type clone struct {
	Base    string      `json:"BASE-ID"`
	ID      string      `json:"ID"`
	Replace replacement `json:"URI-REPLACEMENT"`
}

type replacement struct {
	Host string `json:"HOST"`
}

// clones are for the pathways that were not there when the session began. They come
// with every answer: players forget those that are not repeated.
func (s *Server) clones(list pathwayList, told *session, q *steering.Query, protocol string) []clone {
	var all []clone
	for i := range list {
		if told.began.has(list[i].id) {
			continue
		}
		if base, host, ok := s.base(list, i, told, q, protocol); ok {
			all = append(all, clone{base, list[i].id, replacement{host}})
		}
	}
	return all
}

// base finds the pathway that differs from another in the host alone, and that host.
// What needs a token cannot be cloned: the base's would go along to another CDN.
func (s *Server) base(list pathwayList, of int, told *session, q *steering.Query, protocol string) (id, host string, ok bool) {
	want, err := url.Parse(list[of].to.URL)
	if err != nil || want.Host == "" || !s.free(list[of].to, q) {
		return "", "", false
	}
	for i := range list {
		have, err := url.Parse(list[i].to.URL)
		if err != nil || !told.began.has(list[i].id) || have.Scheme != want.Scheme || have.Port() != want.Port() || have.Path != want.Path || !s.free(list[i].to, q) {
			continue
		}
		// hls.js keeps the base's port and refuses one that is said; dash.js takes one
		// that is not said for the scheme's own.
		if protocol == formatHLS.protocol {
			return list[i].id, bracketed(want), true
		}
		return list[i].id, want.Host, true
	}
	return "", "", false
}

// bracketed is a URL's host without its port.
func bracketed(u *url.URL) string {
	return strings.TrimSuffix(u.Host, ":"+u.Port())
}

// free tells whether viewers need no token for an endpoint.
func (s *Server) free(e *steering.Endpoint, q *steering.Query) bool {
	if s.config.Signer == nil {
		return true
	}
	plain := e.URL + "/"
	signed, err := s.config.Signer.Sign(e, plain, q.Client, q.Session)
	return err == nil && signed == plain
}
