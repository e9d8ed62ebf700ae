package policies

func dnsSchema() property {
	return key("dns", "How the DNS door works. Taken up by a restart only, but for the content of the files that it names.",
		object("",
			key("backend", "How UDP packets are moved: mmsg (Linux) many per system call, portable one at a time; auto takes mmsg where it works.",
				word("auto", "mmsg", "portable")).by(defaultBackend),
			key("nsid", "What this server calls itself to whoever asks (RFC 5001), to tell servers behind one address apart; hostname stands for the machine's host name. At most 64 octets.",
				text()).like("fra-1", NSIDHostname),
			key("cookies", "DNS cookies (RFC 7873, RFC 9018).", cookiesSchema()),
			key("rate_limit", "Responses over UDP per second that one client network gets, of each kind; as many may come at once. 0 = no limit. Whoever shows a valid cookie is not limited.",
				rateLimitSchema()),
			key("amplification", "How many octets an answer over UDP may have for each octet of its query, unless the client shows a valid cookie. A larger one is sent over TCP. 0 = no bound.",
				object("",
					key("unsigned", "Where the query asks for no DNSSEC signatures.", whole(0, 100)).by(defaultUnsigned),
					key("signed", "Where the query asks for DNSSEC signatures.", whole(0, 100)).by(defaultSigned),
				)),
			key("alias", "How hosts are looked up behind names that are answered with addresses.",
				object("",
					key("resolvers", "Whom to ask, with a network of the region as client subnet, one after the other. Default: the system's. One that passes the client subnet on makes the answers fit the region.",
						oneOrList(resolverAddress())).like("192.0.2.53"),
					key("min_ttl", "The least time that an answer is kept: 1s to 1h.", duration()).by("5s"),
					key("max_ttl", "The longest: min_ttl to 24h.", duration()).by("5m"),
				)),
			key("tcp", "Connections, clear and encrypted together. The one that has been silent longest makes room for a new one.",
				object("",
					key("connections", "Of all clients together.", whole(1, 1_000_000)).by(defaultConnections),
					key("per_client", "Of one IPv4 address or IPv6 /64, unless it is in rate_limit.exempt.", whole(1, 1_000_000)).by(defaultPerClient),
					key("idle", "How long a connection may be silent, 1s to 30s.", duration()).by("10s"),
				)),
			key("tls", "The certificate of DNS over TLS (RFC 7858), for listen.dot: files, taken up when they change, or acme, which has it obtained as the section acme says.",
				certificateSchema(
					key("certificate", "A PEM file: the certificate, then its chain.", text()),
					key("key", "A PEM file: its key.", text()),
				)).like("acme", map[string]string{"certificate": "/etc/fairway/dot.pem", "key": "/etc/fairway/dot.key"}),
			key("dnstap", "Queries and answers for other programs, as dnstap. Default: none.", dnstapSchema()),
			key("query_log", "Queries and answers in a file, a JSON object per line. Default: none.", queryLogSchema()),
		))
}

func cookiesSchema() *schema {
	return object("",
		key("mode", "answer: whoever asks with a cookie is answered with one. require: over UDP such clients get BADCOOKIE until they show the right one. ignore: no cookies.",
			word("answer", "require", "ignore")).by(defaultCookies),
		key("secret_file", "The secrets, the same on every server behind one address; `fairway cookies new` makes it, mode 0600. Taken up when it changes. Default: a secret of this node alone, which a restart forgets.",
			text()).like("/var/lib/fairway/cookies"),
	)
}

func rateLimitSchema() *schema {
	return object("",
		key("answers", "Answers with records.", whole(0, maxRate)).by(defaultAnswers),
		key("negatives", "NXDOMAIN, no data, referrals.", whole(0, maxRate)).by(defaultNegatives),
		key("errors", "REFUSED, FORMERR and the like.", whole(0, maxRate)).by(defaultErrors),
		key("slip", "Every so many responses over the limit goes out all the same, short, and sends an honest client over TCP. 0 = none.", whole(0, 100)).by(defaultSlip),
		key("ipv4", "Length of an IPv4 client network.", whole(1, 32)).by(defaultLimitIPv4),
		key("ipv6", "Length of an IPv6 client network.", whole(1, 64)).by(defaultLimitIPv6),
		key("exempt", "Networks that are never limited, such as your own resolvers, and load balancers that hide their clients' addresses. Default: loopback.",
			list(prefix())).like([]string{"127.0.0.0/8", "192.0.2.0/28"}),
	)
}
