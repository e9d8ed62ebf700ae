package steering

import "time"

// Manifests says how a service's multivariant playlists and MPDs are made
// steerable on the way from the origin to players.
type Manifests struct {
	// Origins are base URLs, without a final slash, where the manifests are; the
	// first that answers has it.
	Origins []string
	// Door is the base URL, without a final slash, by which players reach the HTTP
	// door; empty = the one by which they asked for the manifest.
	Door string
	// Shared manifests name a steering server whose answers caches may share: each
	// viewer is in a cohort of its network.
	Shared bool
	// Unsteered manifests name no steering server: they are only ordered.
	Unsteered bool
	// Redirected manifests lead to the redirect door in place of the CDNs: for players
	// that can neither be steered nor leave a CDN.
	Redirected bool
	Fresh      time.Duration // how long a manifest is kept without asking the origins
	Stale      time.Duration // and for how much longer while no origin answers
	Timeout    time.Duration // for one origin to answer
	// Redirect sends players to a CDN's own copy of what cannot be had or made
	// steerable, in place of an error.
	Redirect bool
	Query    []string // names of the parameters that the origin gets; sorted
	CMCD     *CMCD    // nil = manifests do not ask players for data
	Place    Place
}

// CMCD is what an MPD asks players to report (CTA-5004).
type CMCD struct {
	Version int
	Header  bool     // in request headers, not in the query
	Keys    []string // empty = all
}
