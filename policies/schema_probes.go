package policies

import "fairway/steering"

// The sections that say how things are measured.

func probesSchema() property {
	status := &schema{AnyOf: []*schema{whole(100, 599), matching(`^[1-5][0-9]{2}(-[1-5][0-9]{2})?$`)}}
	return key("probes", "How something is measured, by name, and when measurements become a verdict.",
		entries(object("",
			key("type", "The protocol.", word(wordsOf(steering.ProbeTypes())...)).needed(),
			key("path", "What to GET, perhaps with a query; needed by all types over HTTP. Use a small object that every CDN has; for hls a playlist, for dash an MPD.", matching(`^/[^\s#]*$`)).like("/live/main.m3u8"),
			key("port", "Where to connect. Default: the port of the url, else 80 or 443.", whole(1, 65535)),
			key("every", "From start to start: 100ms to 1h.", duration()).by("5s"),
			key("fastest", "From start to start while something changes: 100ms to every. Default: every.", duration()),
			key("slowest", "From start to start while all has long been well: every to 1h. Default: every.", duration()),
			key("timeout", "For the whole attempt at one address: 50ms to 1m.", duration()).by("2s"),
			key("rise", "Good measurements in a row that end a failure.", whole(1, 100)).by(defaultRise),
			key("fall", "Failures in a row that begin one.", whole(1, 100)).by(defaultFall),
			key("failures", "So many failures among the last measurements begin one too, in a row or not. Needs among.", whole(1, 63)).like(4),
			key("among", "Of how many measurements failures are counted.", whole(2, 64)).like(10),
			key("drift", "Latency that has risen to so many times its usual level, as a quorum sees it, is degraded. Default: it is only told.", number(1.1, 100)).like(2),
			key("quorum", "Vantages that must agree on down; never more than the region has.", whole(1, 1000)).by(defaultQuorum),
			key("window", "How far back the score's figures look: slowest to 24h. Default: 12 × slowest.", duration()),
			key("stale_after", "Older measurements are no evidence: slowest to 24h. Default: 3 × slowest + timeout.", duration()),
			key("status", "Accepted HTTP statuses: 200, or 200-299, or a list of such.",
				&schema{AnyOf: []*schema{status, {Type: "array", Items: status, MinItems: 1}}}).by("200-299"),
			key("body_contains", "Must occur in what is read of the body.", text()).like("#EXTM3U"),
			key("max_bytes", "Read no more of a body. Default: 65536; of media 16777216.", whole(1, 64<<20)),
			key("redirects", "So many are followed.", whole(0, 10)).by(0),
			key("connection", "fresh: each probe makes its own, as a new player does. reuse: the last probe's is used again, so only the response is timed.", word("fresh", "reuse")).by("fresh"),
			key("parity", "check: the same object has the same bytes at every address and CDN.", word("ignore", "check")).by("ignore"),
			key("ca_file", "PEM file of the authorities to trust instead of the system's; with TLS only.", text()),
			key("expires_in", "The certificate must hold for so long: 1h to 365d. Default: now is enough.", duration()).like("14d"),
			key("ocsp", "require: the server must staple an OCSP response. One that says revoked is refused in any case.", word("accept", "require")).by("accept"),
			key("alpn", "Of tls: the server must choose one of these.", oneOrSome(text())).like([]string{"h2"}),
			key("within", "Of dns: every address in the answer must be in one of these networks.", list(prefix())).like([]string{"192.0.2.0/24"}),
			key("max_ttl", "Of dns: no TTL may be longer: 1s to 7d.", duration()),
			key("variant", "Of hls and dash: what is played. Default: first.", word("first", "lowest", "highest")),
			key("edge_age", "Of hls and dash: the newest segment may be so old: 1s to 1h. Default: no rule.", duration()).like("20s"),
			key("stuck_after", "Of hls and dash: a live playlist without a new segment for so long is stuck: 1s to 1h. Default: three target durations.", duration()),
			key("min_rate", "Of hls and dash: throughput of a segment by the bitrate that is declared. Default: 1; 0: no rule.", number(0, 100)),
			key("resolver", "The DNS server to ask: an address, perhaps with a port. Default: the system's.",
				resolverAddress()).like("192.0.2.53:5353"),
			key("resolve", "Where addresses come from: system, per-region (as the region's clients get them), or a list of addresses.",
				&schema{AnyOf: []*schema{word("system", "per-region"), some(address())}}).by("system"),
			key("family", "Probe addresses of this family only. Default: both.", word("ipv4", "ipv6")),
		)))
}

func probingSchema() property {
	return key("probing", "What holds for probing as a whole.",
		object("",
			key("allow", "Networks that are no public ones and may be probed all the same: private, loopback, link-local.", list(prefix())).like([]string{"10.1.0.0/16"}),
			key("budget", "What probing may cost, at one node.",
				object("",
					key("connections", "Under way at once.", whole(1, 1_000_000)).by(defaultInFlight),
					key("connections_per_target", "Of them to one target.", whole(1, 1_000_000)).by(defaultTargetInFlight),
					key("mbps", "What is read, in Mbit/s on average: probes wait. Default: no bound.", number(0.001, 1e6)),
					key("mbps_per_target", "The same, of one target.", number(0.001, 1e6)),
					key("probes_per_minute", "fairway check warns of more. Default: no bound.", whole(1, 100_000_000)),
				)),
		))
}

func referencesSchema() property {
	return key("references", "Neutral things outside by which each vantage tells that its own network works: what it measures counts only while enough of them answer.",
		object("",
			key("targets", "Of different owners and networks, and none of your CDNs: https://host/path or http://host/path, of which any answer will do, or tcp://host:port.",
				oneOrSome(matching(`^(https?|tcp)://[^\s#@]+$`))).needed().like([]string{"https://www.example.com/", "tcp://192.0.2.1:443"}),
			key("need", "So many must answer. Default: more than half.", whole(1, 1000)),
			key("every", "From start to start at each vantage: 1s to 1h. A failure that is new is held back until they were asked again.", duration()).by("10s"),
			key("timeout", "For one answer: 50ms to 1m.", duration()).by("2s"),
		))
}
