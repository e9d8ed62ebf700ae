package httpserver

import "fairway/steering"

// here is how this player reaches this door: scheme and authority, without a slash at
// the end. It is what the service's configuration says, else what the player asked
// for, as far as a proxy in front of us that we trust passes that on. from may be nil.
func here(v visit, access *access, snapshot *steering.Snapshot, from *steering.Manifests) string {
	if from != nil && from.Door != "" {
		return from.Door
	}
	scheme, host := "http", v.host
	if v.encrypted || v.proto == "https" {
		scheme = "https"
	}
	// Many a proxy passes on what its client wrote: it may say which of our names was
	// asked for, and nothing else.
	if name, ok := hostname(v.forwarded); ok && v.forwarded[0] != '[' && access.ours(name, snapshot) {
		host = v.forwarded
	}
	return scheme + "://" + host
}
