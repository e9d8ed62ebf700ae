package httpserver

import (
	"net/http"

	"fairway/steering"
)

// here is how this player reaches this door: scheme and authority, without a slash at
// the end. It is what the service's configuration says, else what the player asked
// for, as far as a proxy in front of us that we trust passes that on. from may be nil.
func here(r *http.Request, access *access, snapshot *steering.Snapshot, from *steering.Manifests) string {
	if from != nil && from.Door != "" {
		return from.Door
	}
	scheme, host := "http", r.Host // which is one of ours, see accepts
	proto, forwarded := access.forwardedBy(r)
	if r.TLS != nil || proto == "https" {
		scheme = "https"
	}
	// Many a proxy passes on what its client wrote: it may say which of our names was
	// asked for, and nothing else.
	if name, ok := hostname(forwarded); ok && forwarded[0] != '[' && access.ours(name, snapshot) {
		host = forwarded
	}
	return scheme + "://" + host
}
